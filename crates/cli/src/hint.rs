//! Every hint of the program, in one place: the same trouble is mended by the same words.

/// The controller does not answer.
pub const START_CONTROLLER: &str =
    "start it with `gapless up`, or name its state folder with --state DIR (or GAPLESS_STATE)";
/// There is no `gapless.toml`.
pub const WRITE_CONFIG: &str = "`gapless init` writes one for the code in this folder";
/// A key of a configuration file is wrong.
pub const HELP_CONFIG: &str = "`gapless help config` lists every key with its type, default and bounds";
/// The name of a service is needed.
pub const NAME_SERVICE: &str =
    "name the service, or run this in the folder of its `gapless.toml`; `gapless status` lists the services";
/// The state folder is not known.
pub const NAME_STATE: &str = "name a folder with --state DIR (or GAPLESS_STATE)";
