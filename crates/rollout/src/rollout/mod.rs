//! A rollout: the replacement of the current release by a candidate, as a list of phases.

pub(crate) mod advance;
pub(crate) mod back;
mod blue_green;
pub(crate) mod course;
pub(crate) mod finish;
mod first;
mod rolling;

use gapless_model::{EffectNumber, ReleaseId, RolloutId, Tick};

use crate::{Cause, DeployOrder, Origin, PhaseName};
pub(crate) use course::Course;

/// A rollout that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rollout {
    /// Which.
    pub id: RolloutId,
    /// Who ordered it, and why.
    pub origin: Origin,
    /// To which release.
    pub to: ReleaseId,
    /// How, and from which release.
    pub course: Course,
    /// Whether the candidate's checks are run.
    pub tests: Tests,
    /// When it began.
    pub began: Tick,
    /// When it turns back at the latest.
    pub deadline: Tick,
    /// Forward or back. There is no way from back to forward, nor from back to back: so one order causes at most one
    /// automatic rollback.
    pub way: Way,
    /// The order that waits for its end; at most one.
    pub queued: Option<Queued>,
}

/// An order that waits for the end of the rollout that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Queued {
    /// The order.
    pub order: DeployOrder,
    /// When it was given.
    pub since: Tick,
}

/// Whether a candidate's checks are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tests {
    /// They are.
    Run,
    /// They are not: the release served before, and going back is urgent.
    Skip,
}

/// Which way a rollout goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// The candidate takes over.
    Forward(Forward),
    /// The release before is put back.
    Back(Back),
}

/// The candidate takes over, batch by batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Forward {
    /// The batch, from 0.
    pub batch: u16,
    /// Since when it is in its phase.
    pub since: Tick,
    /// The phase.
    pub phase: Phase,
}

/// A phase on the way forward, with what is true in it alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Instances of the candidate are ordered; their processes come up.
    Start {
        /// How often one ended before it was ready, in this batch.
        failures: u16,
        deadline: Tick,
    },
    /// Their processes run; their readiness is being proven.
    Warmup {
        /// How often one ended before it was ready, in this batch.
        failures: u16,
        deadline: Tick,
    },
    /// All wanted ones are ready; checks ask them through the preview header.
    Test { stage: TestStage, deadline: Tick },
    /// The table that puts the batch in load is ordered.
    Expose { deadline: Tick },
    /// Every proxy uses that table; the batch is watched.
    Observe { until: Tick, deadline: Tick },
    /// The candidate has all traffic; the whole is watched, the last of the old are warm.
    Bake { until: Tick, deadline: Tick },
    /// The old of this batch left load and end their requests.
    Drain { deadline: Tick },
    /// The old of this batch are being stopped.
    Stop { deadline: Tick },
}

/// Where the Test phase is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum TestStage {
    /// The proxies are being told of the preview.
    Preview,
    /// A check runs.
    Checking {
        /// The check, by its place in the release's list.
        index: usize,
        /// The effect that ordered it.
        effect: EffectNumber,
    },
    /// All checks passed.
    Passed,
}

/// The release before is put back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Back {
    /// Why.
    pub cause: Cause,
    /// Since when it is at this stage.
    pub since: Tick,
    /// How far.
    pub stage: BackStage,
}

/// How far a rollback is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum BackStage {
    /// The instances of the release before are being proven ready; what serves is kept.
    Restore {
        /// How often one ended before it was ready.
        failures: u16,
        deadline: Tick,
    },
    /// The table without the candidate is ordered.
    Switch { deadline: Tick },
    /// Every proxy uses that table; the candidate drains and is stopped.
    Leave { deadline: Tick },
}

impl Phase {
    pub(crate) fn name(&self) -> PhaseName {
        match self {
            Phase::Start { .. } => PhaseName::Start,
            Phase::Warmup { .. } => PhaseName::Warmup,
            Phase::Test { .. } => PhaseName::Test,
            Phase::Expose { .. } => PhaseName::Expose,
            Phase::Observe { .. } => PhaseName::Observe,
            Phase::Bake { .. } => PhaseName::Bake,
            Phase::Drain { .. } => PhaseName::Drain,
            Phase::Stop { .. } => PhaseName::Stop,
        }
    }

    /// When its time is over.
    pub(crate) fn deadline(&self) -> Tick {
        match self {
            Phase::Start { deadline, .. }
            | Phase::Warmup { deadline, .. }
            | Phase::Test { deadline, .. }
            | Phase::Expose { deadline }
            | Phase::Observe { deadline, .. }
            | Phase::Bake { deadline, .. }
            | Phase::Drain { deadline }
            | Phase::Stop { deadline } => *deadline,
        }
    }
}

impl BackStage {
    /// When its time is over.
    pub(crate) fn deadline(&self) -> Tick {
        match self {
            BackStage::Restore { deadline, .. } | BackStage::Switch { deadline } | BackStage::Leave { deadline } => {
                *deadline
            }
        }
    }
}

impl Rollout {
    /// The release it came from; none for a first deploy.
    pub(crate) fn from(&self) -> Option<ReleaseId> {
        self.course.from()
    }

    /// The phase, whichever way it goes.
    pub(crate) fn phase_name(&self) -> PhaseName {
        match &self.way {
            Way::Forward(forward) => forward.phase.name(),
            Way::Back(_) => PhaseName::Rollback,
        }
    }
}
