//! What a run gives.

use std::fmt;

use gapless_model::{RolloutId, Tick};

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Requests that clients sent.
    pub requests: u64,
    /// Requests answered by an instance.
    pub answered: u64,
    /// Requests that ended otherwise because of a fault of the script (a process or proxy that was killed).
    pub lost_to_faults: u64,
    /// Requests that were cut at a drain deadline, on the record.
    pub cut: u64,
    /// Requests that were lost although no fault explains it; each is a violation too.
    pub lost: u64,
    /// How the rollouts ended, in the order of their ends.
    pub rollouts: Vec<RolloutEnd>,
    /// The release that serves in the end.
    pub current: Option<u64>,
    /// Live instances in the end.
    pub live: usize,
    /// Processes that run in the end.
    pub running: usize,
    /// How many processes were started.
    pub starts: usize,
    /// How many commands that run once were started.
    pub one_offs: usize,
    /// How many records the journal has.
    pub records: u64,
    /// How many effects were performed.
    pub effects: u64,
    /// How many news reached a controller.
    pub news: u64,
    /// When everything was quiet.
    pub ended: Tick,
    /// What was broken; empty in a good run.
    pub violations: Vec<Violation>,
    /// What happened, one line each, where it was asked for.
    pub timeline: Vec<String>,
}

/// The end of a rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolloutEnd {
    /// Which.
    pub rollout: RolloutId,
    /// `done`, `rolled-back`, `needs-operator`, `superseded` or `refused`.
    pub outcome: &'static str,
}

/// A broken invariant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// When.
    pub at: Tick,
    /// Which, by its name in the design.
    pub invariant: &'static str,
    /// What was seen.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}ms: {}", self.invariant, self.at.0, self.what)
    }
}
