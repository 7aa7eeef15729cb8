//! What the data side is told of the machine: when it starts, and again when the machine's configuration changed. What depends on the service comes
//! with the routing table.

use gapless_wire::config::Network;
use gapless_wire::control::SettingsDoc;

/// Bounds and times that hold for every service.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How long a whole request head may take from its first byte, in milliseconds. Then 408.
    pub head_timeout_ms: u64,
    /// How long a client's connection is kept without a request, in milliseconds.
    pub keep_alive_ms: u64,
    /// For how many milliseconds a client must have been waited for before the rate of its body is looked at, where its service asks for one.
    pub body_grace_ms: u64,
    /// How long a client may take nothing of what it is sent while no service's `idle_timeout` holds, in milliseconds.
    pub write_stall_ms: u64,
    /// How long an instance's connection is kept idle at most, in milliseconds; less where the instance says so.
    pub idle_max_ms: u64,
    /// Idle connections that are kept to one instance by one thread.
    pub idle_per_instance_max: usize,
    /// Client connections of one thread, at most; fewer where the process may not open so many descriptors. More wait in the listening
    /// socket's queue. As many connections to instances are kept, idle ones included.
    pub connections_max: usize,
    /// Bytes of the longest request body, or none for no bound. Longer is answered 413.
    pub body_bytes_max: Option<u64>,
    /// Milliseconds between two comparisons of the instances of a release with each other.
    pub compare_every_ms: u64,
    /// Peers whose `X-Forwarded-…` lines are believed.
    pub trusted_peers: Vec<Network>,
}

impl Settings {
    /// These settings with what a controller says; what it leaves out, and a network that is none, changes nothing.
    #[must_use]
    pub fn with(&self, doc: &SettingsDoc) -> Settings {
        let networks = |texts: &Vec<String>| texts.iter().filter_map(|text| text.parse().ok()).collect();
        Settings {
            head_timeout_ms: doc.head_timeout_ms.unwrap_or(self.head_timeout_ms),
            keep_alive_ms: doc.keep_alive_timeout_ms.unwrap_or(self.keep_alive_ms),
            trusted_peers: doc.trusted_peers.as_ref().map_or_else(|| self.trusted_peers.clone(), networks),
            ..self.clone()
        }
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            head_timeout_ms: 10_000,
            keep_alive_ms: 75_000,
            body_grace_ms: 10_000,
            write_stall_ms: 60_000,
            idle_max_ms: 30_000,
            idle_per_instance_max: 1_024,
            connections_max: 32_768,
            body_bytes_max: None,
            compare_every_ms: 10_000,
            trusted_peers: Vec::new(),
        }
    }
}
