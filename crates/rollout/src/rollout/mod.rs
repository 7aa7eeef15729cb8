//! A rollout: the replacement of the current release by a candidate, as a list of phases.

pub(crate) mod adjust;
pub(crate) mod advance;
pub(crate) mod back;
mod blue_green;
pub(crate) mod compiled;
pub(crate) mod finish;
mod first;
mod rolling;

use gapless_model::{EffectNumber, ReleaseId, RolloutId, Tick};

use crate::desired::Desired;
use crate::{Cause, DeployOrder, Origin, PhaseName};
pub(crate) use compiled::{CompiledPlan, Purpose, Tests};
use compiled::{Gate, Limit, PlanStep, Reversibility};

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
    pub plan: CompiledPlan,
    /// The release that an operator had stopped, and that is current again should the candidate not become it. None where one serves.
    pub rests: Option<ReleaseId>,
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

/// Which way a rollout goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// The candidate takes over.
    Forward(Forward),
    /// The release before is put back.
    Back(Back),
}

/// The candidate takes over, step by step.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Forward {
    /// The step of the plan, by its index.
    pub at: usize,
    /// Since when it is at this step.
    pub since: Tick,
    /// The phase.
    pub phase: Phase,
}

/// A phase on the way forward, with what is true in it alone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// A hook of the step runs.
    Hook { stage: HookStage, deadline: Tick },
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

/// Where a hook is that the rollout waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum HookStage {
    /// It is to be ordered.
    Due,
    /// It is ordered, under this ordinal.
    Running {
        /// That of its one-off.
        ordinal: u64,
    },
    /// It passed, or its failure changes nothing.
    Over,
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
    /// The phase of a step that begins now, behind `before`: a limit that is shared with it goes on, and so do its failures.
    pub(crate) fn begin(step: &PlanStep, now: Tick, before: Option<&Phase>) -> Phase {
        let (failures, deadline) = match (step.limit, before) {
            (Limit::Shared(_), Some(Phase::Start { failures, deadline })) => (*failures, *deadline),
            (Limit::Shared(time) | Limit::Own(time), _) => (0, now.after(time)),
        };
        let until = match step.gate {
            Gate::Observed(time) => now.after(time),
            Gate::Hook(_)
            | Gate::Started
            | Gate::Ready
            | Gate::Tested
            | Gate::Exposed
            | Gate::Drained
            | Gate::Stopped(_) => now,
        };
        match step.phase {
            PhaseName::Hook => Phase::Hook { stage: HookStage::Due, deadline },
            PhaseName::Start => Phase::Start { failures, deadline },
            PhaseName::Warmup => Phase::Warmup { failures, deadline },
            PhaseName::Test => Phase::Test { stage: TestStage::Preview, deadline },
            PhaseName::Expose => Phase::Expose { deadline },
            PhaseName::Observe => Phase::Observe { until, deadline },
            PhaseName::Bake => Phase::Bake { until, deadline },
            PhaseName::Drain => Phase::Drain { deadline },
            PhaseName::Stop | PhaseName::Rollback => Phase::Stop { deadline },
        }
    }

    /// Whether its checks passed.
    pub(crate) fn is_tested(&self) -> bool {
        matches!(self, Phase::Test { stage: TestStage::Passed, .. })
    }

    /// Whether it was watched for as long as it is to be.
    pub(crate) fn is_observed(&self, now: Tick) -> bool {
        matches!(self, Phase::Observe { until, .. } | Phase::Bake { until, .. } if now >= *until)
    }

    pub(crate) fn name(&self) -> PhaseName {
        match self {
            Phase::Hook { .. } => PhaseName::Hook,
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
            Phase::Hook { deadline, .. }
            | Phase::Start { deadline, .. }
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
        self.plan.from
    }

    /// The release that is current while it runs.
    pub(crate) fn current(&self) -> Option<ReleaseId> {
        match self.plan.purpose {
            Purpose::Adjust(_) => Some(self.to),
            Purpose::Replace(_) | Purpose::Restart | Purpose::Return => self.from().or(self.rests),
        }
    }

    /// The release of which this step lets instances go, and what is wanted of it.
    pub(crate) fn leaving(&self, step: &PlanStep) -> Option<(ReleaseId, Desired)> {
        match self.plan.purpose {
            Purpose::Adjust(_) => Some((self.to, step.new)),
            Purpose::Replace(_) | Purpose::Restart | Purpose::Return => self.from().map(|from| (from, step.old)),
        }
    }

    /// The step that a rollout on its way forward is at.
    pub(crate) fn step(&self) -> Option<&PlanStep> {
        match &self.way {
            Way::Forward(forward) => Some(self.plan.step(forward.at)),
            Way::Back(_) => None,
        }
    }

    /// Whether there is still a way back. On the way back there is none from it.
    pub(crate) fn reversibility(&self) -> Reversibility {
        self.step().map_or(Reversibility::Earned, |step| step.reversibility)
    }

    /// The phase, whichever way it goes.
    pub(crate) fn phase_name(&self) -> PhaseName {
        match &self.way {
            Way::Forward(forward) => forward.phase.name(),
            Way::Back(_) => PhaseName::Rollback,
        }
    }
}
