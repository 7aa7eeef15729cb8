//! The two configuration files, `gapless.toml` (a service; part of each release) and `gapless-server.toml` (the machine).
//!
//! In two stages: what was written, then what it means. The first stage is driven by a table of sections and keys
//! ([`SERVICE`], [`SERVER`]): name, type, bounds, default, documentation, example. The same table generates `gapless help config`
//! and the reference, so a key cannot exist undocumented. The second stage builds values that are valid by construction.
//!
//! **Invariant W-C1**: parsing the text that a release stores gives the release's specification again; nothing else of the
//! configuration is stored. So a key's meaning may never change; a new meaning takes a new key.
//!
//! **Invariant W-C2**: a refused file names *every* fault the stage found, each with file, line and column.

mod edit;
mod error;
mod hook;
mod hook_keys;
mod key;
mod notify;
mod placeholder;
mod read;
mod reference;
mod server;
mod service;
mod service_keys;
mod sources;
#[cfg(test)]
mod tests;
mod text;
mod value;

pub use edit::with_strategy;
pub use error::{ConfigError, ConfigErrors};
pub use key::{Fallback, Key, Kind, Section};
pub use notify::{NotifyConfig, NotifyFormat, NotifyTarget};
pub use reference::{help, markdown};
pub use server::{ListenerConfig, SERVER, ServerConfig, parse_server_config};
pub use service::{RouteTaken, parse_service_config, recorded_service_config, routes_taken, traffic_defaults};
pub use service_keys::SERVICE;
pub use value::{Network, NetworkInvalid, PortRange, duration_of as parse_duration};

/// The largest configuration file, in bytes: far above any that a person writes, far below what would trouble the parser.
pub const CONFIG_BYTES_MAX: usize = 256 * 1024;
