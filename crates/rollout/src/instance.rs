//! One instance: how its process is, where it stands in the routing table, and when it may be stopped.

// The plain value; no socket is opened here.
use core::net::SocketAddr;

use gapless_model::{EffectNumber, InstanceId, Millis, ReleaseId, Tick};

use crate::Awaited;

/// One instance as the machine knows it. It is forgotten when its process is gone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// Which.
    pub id: InstanceId,
    /// How its process is.
    pub life: Life,
    /// Where it stands in the newest table.
    pub listing: Listing,
    /// How often in a row those whose place it took failed by themselves; a healthy stretch forgets them.
    pub failures: u32,
}

/// How an instance's process is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Life {
    /// Its start is ordered.
    Starting {
        /// By which effect.
        effect: EffectNumber,
        /// Since when.
        since: Tick,
        /// When it is given up.
        deadline: Tick,
    },
    /// It runs; its readiness is not proven, or not proven since a controller took over.
    Warming {
        /// Where it listens.
        address: SocketAddr,
        /// Since when.
        since: Tick,
        /// When it is given up.
        deadline: Tick,
        /// What its probes fail with, in words; none where none has failed for a while.
        failing: Option<String>,
    },
    /// It is ready.
    Ready {
        /// Where it listens.
        address: SocketAddr,
        /// Since when.
        since: Tick,
    },
    /// Its probes fail.
    Unhealthy {
        /// Where it listens.
        address: SocketAddr,
        /// Since when.
        since: Tick,
        /// The last failure.
        reason: String,
    },
    /// Its stop is ordered.
    Stopping {
        /// By which effect.
        effect: EffectNumber,
        /// Since when.
        since: Tick,
        /// From SIGTERM to SIGKILL.
        grace: Millis,
    },
}

/// Where an instance stands in the newest table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Listing {
    /// No table ever held it.
    Never,
    /// It is reached through the preview header alone.
    Preview,
    /// It is in load.
    Live,
    /// The table of this effect was the first without it.
    Left {
        /// The effect's number.
        by: EffectNumber,
        /// How far its requests in flight are.
        drain: Drain,
    },
}

/// How far the requests in flight to an instance are that left the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Drain {
    /// Some proxy may route to it still.
    AwaitingTable,
    /// No proxy routes to it; requests may be in flight.
    Running {
        /// Since when no proxy routes to it.
        since: Tick,
    },
    /// No proxy routes to it and its requests have ended; tunnels and streams are open.
    Lasting {
        /// Since when no proxy routes to it.
        since: Tick,
    },
    /// Nothing is in flight.
    Done,
}

/// Leave to stop an instance: no proxy routes to it, and its requests have ended or had their time.
/// Only [`Instance::stop_permit`] makes one.
#[derive(Debug)]
pub(crate) struct StopPermit(pub(crate) Ground);

/// On what ground an instance may be stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Ground {
    /// No client reached it, or all have their answers.
    Idle,
    /// Its drain deadline passed.
    DrainDeadline,
}

impl Instance {
    /// The release it runs.
    pub(crate) fn release(&self) -> ReleaseId {
        self.id.release
    }

    /// Whether it left load, and something may be in flight to it as far as is known.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        matches!(self.listing, Listing::Left { drain, .. } if drain != Drain::Done)
    }

    pub(crate) fn is_ready(&self) -> bool {
        matches!(self.life, Life::Ready { .. })
    }

    pub(crate) fn is_live(&self) -> bool {
        self.listing == Listing::Live
    }

    pub(crate) fn is_listed(&self) -> bool {
        matches!(self.listing, Listing::Live | Listing::Preview)
    }

    pub(crate) fn is_stopping(&self) -> bool {
        matches!(self.life, Life::Stopping { .. })
    }

    /// Where it listens, once it runs and until its stop is ordered.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.life {
            Life::Warming { address, .. } | Life::Ready { address, .. } | Life::Unhealthy { address, .. } => {
                Some(*address)
            }
            Life::Starting { .. } | Life::Stopping { .. } => None,
        }
    }

    /// Since when it is as it is.
    pub(crate) fn since(&self) -> Tick {
        match &self.life {
            Life::Starting { since, .. }
            | Life::Warming { since, .. }
            | Life::Ready { since, .. }
            | Life::Unhealthy { since, .. }
            | Life::Stopping { since, .. } => *since,
        }
    }

    /// Since when no proxy routes to it, while something is in flight to it.
    pub(crate) fn draining_since(&self) -> Option<Tick> {
        match self.listing {
            Listing::Left { drain: Drain::Running { since } | Drain::Lasting { since }, .. } => Some(since),
            Listing::Left { drain: Drain::AwaitingTable | Drain::Done, .. }
            | Listing::Never
            | Listing::Preview
            | Listing::Live => None,
        }
    }

    /// How much it is worth to a release that wants fewer instances than it has: the lowest stays. An unhealthy or
    /// stopping one is worth nothing.
    pub(crate) fn rank(&self) -> Option<(u8, u64)> {
        let class = match (&self.life, self.is_listed()) {
            (Life::Ready { .. }, true) => 0,
            (Life::Warming { .. }, true) => 1,
            (Life::Ready { .. }, false) => 2,
            (Life::Warming { .. }, false) => 3,
            (Life::Starting { .. }, _) => 4,
            (Life::Unhealthy { .. } | Life::Stopping { .. }, _) => return None,
        };
        Some((class, self.id.ordinal))
    }

    /// Whether it may be stopped, or what has to be waited for.
    ///
    /// Never while a proxy may route to it: the drain deadline runs only from the moment when none does.
    pub(crate) fn stop_permit(&self, now: Tick, drain_limit: Millis) -> Result<StopPermit, Awaited> {
        match self.listing {
            Listing::Never => Ok(StopPermit(Ground::Idle)),
            Listing::Preview | Listing::Live => Err(Awaited::Drained(self.id.clone())),
            Listing::Left { by, drain } => match drain {
                Drain::AwaitingTable => Err(Awaited::Applied(by)),
                Drain::Running { since } | Drain::Lasting { since } if now >= since.after(drain_limit) => {
                    Ok(StopPermit(Ground::DrainDeadline))
                }
                Drain::Running { .. } => Err(Awaited::Drained(self.id.clone())),
                Drain::Lasting { .. } => Err(Awaited::LastingEnded(self.id.clone())),
                Drain::Done => Ok(StopPermit(Ground::Idle)),
            },
        }
    }
}
