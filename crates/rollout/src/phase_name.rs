//! The names of the phases, for reports, plans and causes.

use std::fmt;

/// A phase of a rollout.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PhaseName {
    /// A hook or the release command runs.
    Hook,
    /// Processes are being started.
    Start,
    /// Started instances are being proven ready.
    Warmup,
    /// Checks run through the preview header; nobody is switched yet.
    Test,
    /// Proxies are being told to route to the candidate.
    Expose,
    /// A batch is watched in load.
    Observe,
    /// The finished whole is watched with a way back.
    Bake,
    /// Instances that left load end their requests.
    Drain,
    /// Drained instances are being stopped.
    Stop,
    /// The release before is being put back.
    Rollback,
}

impl PhaseName {
    /// The name as people and files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            PhaseName::Hook => "Hook",
            PhaseName::Start => "Start",
            PhaseName::Warmup => "Warmup",
            PhaseName::Test => "Test",
            PhaseName::Expose => "Expose",
            PhaseName::Observe => "Observe",
            PhaseName::Bake => "Bake",
            PhaseName::Drain => "Drain",
            PhaseName::Stop => "Stop",
            PhaseName::Rollback => "Rollback",
        }
    }
}

impl fmt::Display for PhaseName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
