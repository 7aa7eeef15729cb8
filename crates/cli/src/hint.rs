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
/// The journal is damaged or cannot be written.
pub const MEND_JOURNAL: &str =
    "the proxy serves on meanwhile; repair the disk or restore journal.db from a copy, then start `gapless up` again";
/// A newer controller is at work.
pub const OTHER_CONTROLLER: &str = "end the other controller first if this one is to act; `gapless status` tells which";
/// Another controller uses the state folder.
pub const SECOND_CONTROLLER: &str =
    "`gapless status` shows the controller that runs; another one needs a folder of its own: --state DIR";
/// The journal was written by a newer Gapless.
pub const NEWER_JOURNAL: &str = "start the newer gapless that wrote it";
/// The disk is full.
pub const MAKE_ROOM: &str = "make room on the disk that holds the state folder";
/// An address is taken.
pub const PORT_IN_USE: &str =
    "end the other program (`ss -ltnp` shows it), or name another address under [[listener]] in gapless-server.toml";
/// The proxy does not come up.
pub const SEE_PROXY_LOG: &str = "proxy.log in the state folder says why";
