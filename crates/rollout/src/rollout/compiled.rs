//! A strategy compiled against the releases it is about: a list of steps, each with all that is to be known of it.
//!
//! Whoever goes on, explains, plans or waits reads this one list, so a strategy is one function that writes it ([`first`], [`rolling`],
//! [`blue_green`]), and what is told before a rollout is what is done in it.

use std::sync::Arc;

use gapless_model::{Amount, HookPoint, Millis, Release, ReleaseId, ReleaseSpec, Strategy};

use crate::desired::{Desired, DesiredState, Rest};
use crate::rollout::{blue_green, first, rolling};
use crate::{APPLY_TIMEOUT, Adjustment, PhaseName, PlantedBug, Refusal, STOP_SLACK, Service, Then, TimeToRollBack};

/// A compiled strategy. Cloning it copies no steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct CompiledPlan {
    /// What the rollout is for.
    pub purpose: Purpose,
    /// The release before; none for a first deploy.
    pub from: Option<ReleaseId>,
    /// The candidate.
    pub to: ReleaseId,
    /// At least one.
    pub batches: u16,
    /// The way back, from any of the steps.
    pub back: WayBack,
    /// In their order; at least one.
    steps: Arc<[PlanStep]>,
}

/// What a rollout is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Purpose {
    /// Another release becomes current, by the strategy of this name: `rolling`, `rolling in place`, `blue-green` or `first deploy`.
    Replace(&'static str),
    /// The current release takes its own place, with fresh instances.
    Restart,
    /// An earlier release becomes current again.
    Return,
    /// The current release is to run in another way.
    Adjust(Adjustment),
}

impl Purpose {
    /// Whether there is a candidate.
    pub(crate) fn replaces(self) -> bool {
        match self {
            Purpose::Replace(_) | Purpose::Restart | Purpose::Return => true,
            Purpose::Adjust(_) => false,
        }
    }

    /// Whether no instance is to be left.
    pub(crate) fn ends_all(self) -> bool {
        matches!(self, Purpose::Adjust(Adjustment::Stop | Adjustment::Remove))
    }
}

/// One step: a phase of one batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct PlanStep {
    pub phase: PhaseName,
    /// From 0.
    pub batch: u16,
    /// What is wanted of the release before.
    pub old: Desired,
    /// What is wanted of the candidate.
    pub new: Desired,
    /// What ends the step.
    pub gate: Gate,
    /// Whether there is a way back from it.
    pub reversibility: Reversibility,
    /// How long it may take.
    pub limit: Limit,
    /// What is done when it takes longer.
    pub late: Late,
}

/// What has to be true for a step to be over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Gate {
    /// The candidate's hook with this index has passed, or its failure changes nothing.
    Hook(u16),
    /// The candidate's processes run.
    Started,
    /// They are ready.
    Ready,
    /// Its checks passed, and they are ready.
    Tested,
    /// Every proxy routes as wanted.
    Exposed,
    /// That held for so long, and the candidate is ready then.
    Observed(Millis),
    /// What leaves has no requests in flight, or they had their time.
    Drained,
    /// What leaves is gone.
    Stopped(Tunnels),
}

/// What tunnels and streams through an instance that is to stop mean to its rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tunnels {
    /// They drain on behind it.
    LeftBehind,
    /// Their slot is needed: they are waited for.
    Awaited,
}

/// Whether a step can still turn back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Reversibility {
    /// Nobody was switched yet.
    Unexposed,
    /// Some clients are served by the candidate, and there is a way back.
    Exposed,
    /// The candidate has earned its place (or nothing is there to go back to): a loss is healed.
    Earned,
}

/// How long a step may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Limit {
    /// From its own begin.
    Own(Millis),
    /// From the begin of the step before it, whose time goes on.
    Shared(Millis),
}

/// What the end of a step's time does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Late {
    /// The next step begins all the same.
    GoOn,
    /// The rollout turns back.
    TurnBack,
    /// The rollout is done, and what is left drains behind it.
    End,
    /// Neither forward nor back.
    CallOperator,
}

/// How long the stages of the way back may take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct WayBack {
    /// Until the release before is ready in full.
    pub restore: Millis,
    /// Until no proxy routes to the candidate.
    pub switch: Millis,
    /// Until the candidate is gone.
    pub leave: Millis,
}

/// Whether a candidate's checks and hooks are run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Tests {
    /// They are.
    Run,
    /// They are not: the release served before, and going back is urgent.
    Skip,
}

impl CompiledPlan {
    /// Compiles a strategy.
    ///
    /// # Errors
    /// [`Refusal::FloorForbidsInPlace`].
    pub(crate) fn compile(
        from: Option<&Release>,
        to: &Release,
        strategy: &Strategy,
        tests: Tests,
    ) -> Result<CompiledPlan, Refusal> {
        let draft = Draft::new(from, to, tests);
        match (from, strategy) {
            (None, _) => Ok(first::compile(draft)),
            (Some(from), Strategy::Rolling { batch, order, observe, bake }) => {
                let sizes = rolling::Sizes::of(&from.spec, &to.spec, *batch, *order)?;
                Ok(rolling::compile(draft, &sizes, *order, *observe, *bake))
            }
            (Some(_), Strategy::BlueGreen { bake }) => Ok(blue_green::compile(draft, *bake)),
        }
    }

    /// As [`CompiledPlan::compile`], for this service.
    pub(crate) fn for_service(
        service: &Service,
        to: &Release,
        strategy: &Strategy,
        tests: Tests,
    ) -> Result<CompiledPlan, Refusal> {
        let from = service.replaceable().map(|current| &**current);
        if service.has(PlantedBug::BelowFloor) {
            let spec = ReleaseSpec { floor: Amount::Count(0), ..to.spec.clone() };
            return CompiledPlan::compile(from, &Release { spec, ..to.clone() }, strategy, tests);
        }
        CompiledPlan::compile(from, to, strategy, tests)
    }

    /// The same, for another purpose.
    pub(crate) fn with_purpose(self, purpose: Purpose) -> CompiledPlan {
        CompiledPlan { purpose, ..self }
    }

    /// Its name: that of the strategy, or what the rollout is for.
    pub(crate) fn name(&self) -> &'static str {
        match self.purpose {
            Purpose::Replace(strategy) => strategy,
            Purpose::Restart => "restart",
            Purpose::Return => "rollback",
            Purpose::Adjust(adjustment) => adjustment.name(),
        }
    }

    /// The step with this index; the last one for an index past it.
    pub(crate) fn step(&self, at: usize) -> &PlanStep {
        &self.steps[at.min(self.steps.len() - 1)]
    }

    /// The steps in their order.
    pub(crate) fn steps(&self) -> &[PlanStep] {
        &self.steps
    }

    /// The index of the step behind this one; none behind the last.
    pub(crate) fn after(&self, at: usize) -> Option<usize> {
        Some(at + 1).filter(|next| *next < self.steps.len())
    }

    /// What the step with this index wants of the fleet.
    pub(crate) fn desired(&self, at: usize) -> DesiredState {
        let step = self.step(at);
        self.from.map(|from| (from, step.old)).into_iter().chain([(self.to, step.new)]).collect()
    }

    /// What going back takes once the candidate has all traffic and the rollout has not ended: one table where all of the release before is
    /// warm then.
    pub(crate) fn time_to_roll_back(&self, from: Option<&ReleaseSpec>) -> TimeToRollBack {
        let Some(from) = from else { return TimeToRollBack::Impossible };
        let baked = self.steps.iter().find(|step| step.phase == PhaseName::Bake);
        match baked.is_some_and(|step| step.old.instances >= from.instances) {
            true => TimeToRollBack::OneTable,
            false => TimeToRollBack::Restart { expected: crate::plan::readiness(from) },
        }
    }
}

impl PlanStep {
    /// How long it takes at least: nothing fails, processes start at once, nothing is in flight.
    pub(crate) fn expected(&self, to: &ReleaseSpec) -> Millis {
        match self.gate {
            Gate::Ready => crate::plan::readiness(to),
            Gate::Observed(time) => time,
            Gate::Hook(_) | Gate::Started | Gate::Tested | Gate::Exposed | Gate::Drained | Gate::Stopped(_) => {
                Millis::ZERO
            }
        }
    }
}

impl Limit {
    pub(crate) fn time(self) -> Millis {
        match self {
            Limit::Own(time) | Limit::Shared(time) => time,
        }
    }
}

impl From<Late> for Then {
    fn from(late: Late) -> Then {
        match late {
            Late::GoOn => Then::GoOn,
            Late::TurnBack => Then::RollBack,
            Late::End => Then::EndRollout,
            Late::CallOperator => Then::CallOperator,
        }
    }
}

/// A plan while a strategy writes it. What follows from a phase alone is filled in here: gates, limits and what they do.
pub(super) struct Draft<'a> {
    from: Option<&'a Release>,
    to: &'a Release,
    tests: Tests,
    batch: u16,
    steps: Vec<PlanStep>,
}

/// What a strategy says of a step.
#[derive(Clone, Copy)]
pub(super) struct Stage {
    pub old: Desired,
    pub new: Desired,
    pub reversibility: Reversibility,
}

impl<'a> Draft<'a> {
    pub(super) fn new(from: Option<&'a Release>, to: &'a Release, tests: Tests) -> Draft<'a> {
        Draft { from, to, tests, batch: 0, steps: Vec::new() }
    }

    /// How many instances the release before and the candidate ask for.
    pub(super) fn sizes(&self) -> (u16, u16) {
        (self.from.map_or(0, |from| from.spec.instances), self.to.spec.instances)
    }

    /// The steps that follow are of this batch.
    pub(super) fn begin_batch(&mut self, batch: u16) {
        self.batch = batch;
    }

    /// The candidate's instances come up out of load.
    pub(super) fn bring_up(&mut self, stage: Stage) {
        let proof = self.to.spec.start_timeout;
        self.push(PhaseName::Start, stage, Gate::Started, Limit::Own(proof));
        self.push(PhaseName::Warmup, stage, Gate::Ready, Limit::Shared(proof));
    }

    /// They are asked through the preview, where there is anything to ask.
    pub(super) fn test(&mut self, stage: Stage) {
        let checks = &self.to.spec.checks;
        if self.tests == Tests::Skip || checks.is_empty() {
            return;
        }
        let time = checks.iter().fold(APPLY_TIMEOUT, |sum, check| sum.plus(check.timeout));
        let new = Desired { rest: Rest::Preview, ..stage.new };
        self.push(PhaseName::Test, Stage { new, ..stage }, Gate::Tested, Limit::Own(time));
    }

    /// The candidate's hooks of this point run, one after the other.
    pub(super) fn hooks(&mut self, point: HookPoint, stage: Stage) {
        if self.tests == Tests::Skip {
            return;
        }
        // Asked through the preview, as the checks did before it.
        let asked = point == HookPoint::BeforeExpose && !self.to.spec.checks.is_empty();
        let new = if asked { Desired { rest: Rest::Preview, ..stage.new } } else { stage.new };
        let to = self.to;
        for (index, hook) in (0..).zip(&to.spec.hooks).filter(|(_, hook)| hook.point == point) {
            let time = if asked { hook.timeout.plus(APPLY_TIMEOUT) } else { hook.timeout };
            self.push(PhaseName::Hook, Stage { new, ..stage }, Gate::Hook(index), Limit::Own(time));
        }
    }

    /// Before anything of the rollout is done: the hooks before it, then the release command.
    pub(super) fn prepare(&mut self, old: Desired) {
        let stage = Stage { old, new: Desired::NONE, reversibility: Reversibility::Unexposed };
        self.hooks(HookPoint::BeforeStart, stage);
        self.hooks(HookPoint::Release, stage);
    }

    /// Every proxy routes to them.
    pub(super) fn expose(&mut self, stage: Stage) {
        self.push(PhaseName::Expose, stage, Gate::Exposed, Limit::Own(APPLY_TIMEOUT));
    }

    /// They are watched for so long (`Observe` or `Bake`), where that is any time at all.
    pub(super) fn watch(&mut self, phase: PhaseName, stage: Stage, time: Millis) {
        if time > Millis::ZERO {
            let proof = self.to.spec.start_timeout.max(APPLY_TIMEOUT);
            self.push(phase, stage, Gate::Observed(time), Limit::Own(time.plus(proof)));
        }
    }

    /// What is wanted no more leaves load and stops.
    pub(super) fn retire(&mut self, stage: Stage, tunnels: Tunnels) {
        let leaving = &self.from.unwrap_or(self.to).spec;
        let drain = APPLY_TIMEOUT.plus(leaving.traffic.drain_timeout);
        self.push(PhaseName::Drain, stage, Gate::Drained, Limit::Own(drain));
        let waited = match tunnels {
            Tunnels::LeftBehind => Millis::ZERO,
            Tunnels::Awaited => leaving.traffic.drain_timeout.max(leaving.traffic.tunnel_drain_timeout),
        };
        let stop = waited.plus(leaving.run.stop_grace).plus(STOP_SLACK);
        self.push(PhaseName::Stop, stage, Gate::Stopped(tunnels), Limit::Own(stop));
    }

    fn push(&mut self, phase: PhaseName, stage: Stage, gate: Gate, limit: Limit) {
        let Stage { old, new, reversibility } = stage;
        let late = match (gate, reversibility) {
            (Gate::Stopped(Tunnels::LeftBehind), _) | (Gate::Hook(_), Reversibility::Earned) => Late::GoOn,
            (_, Reversibility::Unexposed | Reversibility::Exposed) => Late::TurnBack,
            (Gate::Drained | Gate::Stopped(Tunnels::Awaited), Reversibility::Earned) => Late::End,
            (Gate::Started | Gate::Ready | Gate::Tested | Gate::Exposed | Gate::Observed(_), Reversibility::Earned) => {
                Late::CallOperator
            }
        };
        self.steps.push(PlanStep { phase, batch: self.batch, old, new, gate, reversibility, limit, late });
    }

    pub(super) fn finish(self, strategy: &'static str) -> CompiledPlan {
        assert!(!self.steps.is_empty(), "BUG: a strategy without a step");
        let to = &self.to.spec;
        let proof = self.from.map_or(APPLY_TIMEOUT, |from| from.spec.start_timeout.max(APPLY_TIMEOUT));
        CompiledPlan {
            purpose: Purpose::Replace(strategy),
            from: self.from.map(|from| from.id),
            to: self.to.id,
            batches: self.batch + 1,
            back: WayBack {
                restore: proof,
                switch: APPLY_TIMEOUT,
                leave: to.traffic.drain_timeout.plus(to.run.stop_grace).plus(STOP_SLACK),
            },
            steps: self.steps.into(),
        }
    }
}
