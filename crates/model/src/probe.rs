//! How the health of an instance is asked for, and the answers.

use crate::Millis;

/// What is known of an instance's health. An instance starts unknown and is not routed to before its first pass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Health {
    /// Not asked often enough yet.
    #[default]
    Unknown,
    /// Its last `rise` probes passed.
    Healthy,
    /// Its last `fall` probes failed.
    Unhealthy,
}

/// A range of HTTP status codes, both ends included.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct StatusRange {
    /// The lowest accepted status, 100 to 599.
    pub first: u16,
    /// The highest accepted status, `first` to 599.
    pub last: u16,
}

impl StatusRange {
    /// 200 to 399.
    pub const SUCCESS: StatusRange = StatusRange { first: 200, last: 399 };

    /// Whether a status lies in the range.
    #[must_use]
    pub fn holds(self, status: u16) -> bool {
        (self.first..=self.last).contains(&status)
    }
}

/// What a probe does.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum ProbeKind {
    /// GET of a path at the instance's address; passes when the status lies in the range.
    Http {
        /// Beginning with `/`.
        path: String,
        /// The `Host` to send; the instance's address when none is given.
        host: Option<String>,
        /// The statuses that pass.
        expect: StatusRange,
    },
    /// Opens a connection to the instance's address; passes when it is accepted.
    Tcp,
    /// Passes while the instance's process runs: of a worker, which listens on no port.
    Process,
    /// Runs a command with the instance's environment; passes when it exits with 0.
    Command {
        /// Program and arguments, at least one; `{port}` and `{release}` are replaced.
        argv: Vec<String>,
    },
}

/// How the health of an instance is asked for.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Probe {
    /// What is done.
    pub kind: ProbeKind,
    /// From the end of one probe to the begin of the next; at least 10 ms.
    pub interval: Millis,
    /// How long one may take; at least 10 ms.
    pub timeout: Millis,
    /// So many passes in a row make it healthy; at least 1.
    pub rise: u16,
    /// So many failures in a row make it unhealthy; at least 1.
    pub fall: u16,
    /// How long it must stay healthy before it counts as ready.
    pub healthy_min: Millis,
}
