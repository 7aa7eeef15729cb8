//! What the journal keeps of each proxy: that it may route, until its process is known to be gone.

use serde::{Deserialize, Serialize};

/// The table of the proxies that are members: their name → [`ProxyRecord`].
pub const PROXIES: &str = "proxy";

/// A proxy that was lent listening sockets. While it is on record it counts: silent, it has acknowledged nothing and drained nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProxyRecord {
    /// Its process.
    pub pid: u32,
    /// The start of its process, in clock ticks since boot; 0 where it was not known.
    pub started: u64,
    /// The boot of the machine it runs on.
    pub boot: String,
    /// The file of its control socket; empty where it has none.
    pub socket: String,
    /// The name of its control socket in the abstract namespace; empty where it has none.
    pub spare_socket: String,
}
