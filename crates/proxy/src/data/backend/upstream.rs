//! One connection to an instance.

use super::idle::Before;
use crate::data::io::slab::Key;
use crate::data::io::stream::Stream;

/// What a connection to an instance is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// It is not there yet; this client waits for it.
    Connecting {
        /// The client connection.
        client: Key,
    },
    /// It carries a request of this client's.
    Busy {
        /// The client connection.
        client: Key,
    },
    /// It waits in the pool. Whatever happens to it now ends it.
    Idle {
        /// Since when, in milliseconds of the thread's clock.
        since_ms: u64,
    },
}

/// What an instance does with a connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    /// It closes it, or has not said.
    Closes,
    /// It keeps it.
    Keeps,
    /// It sent bytes behind the answer: what it says is no longer in step with what it is asked.
    Surplus,
}

/// Whether what comes on a connection is known to answer what was asked on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Alignment {
    /// It carried requests before, and nothing has come for the one at hand.
    Unproven {
        /// Whose request it carried last.
        before: Before,
        /// Bytes that had been written on it when this request got it.
        written: u64,
    },
    /// It is as far as can be known.
    Aligned,
}

/// A connection to an instance.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) stream: Stream,
    /// The instance's index in the counts and in the thread's instance states.
    pub(crate) slot: usize,
    /// The serial of the instance that had the slot when the connection was made.
    pub(crate) serial: u64,
    pub(crate) duty: Duty,
    pub(crate) alignment: Alignment,
    /// The beginning of a response's head that is not whole yet.
    pub(crate) input: Vec<u8>,
    /// What the instance does with the connection after the answer at hand.
    pub(crate) after: After,
    /// How long the instance keeps it when idle, as far as is known.
    pub(crate) idle_max_ms: u64,
}

impl Upstream {
    /// Until when it may wait for another request; none where it does not wait.
    pub(crate) fn idle_until_ms(&self) -> Option<u64> {
        match self.duty {
            Duty::Idle { since_ms } => Some(since_ms.saturating_add(self.idle_max_ms)),
            Duty::Connecting { .. } | Duty::Busy { .. } => None,
        }
    }
}
