//! The way forward: when a step of the plan is over, what its deadline does, and how the next one begins.
//!
//! ## Hook => (the next step | Rollback)
//! One that fails turns the rollout back while there is a way back. Where there is none (a first release that serves already) the operators are
//! told, and the rollout goes on: to stop what serves would help nobody.
//! A hook that is due waits for the end of another that a rollout waited for: of two migrations at once neither knows what it finds.

use std::sync::Arc;

use gapless_model::{Hook, InstanceId, Millis, Release, ReleaseId, RolloutId, Tick};

use crate::desired::Rest;
use crate::effect::Effect;
use crate::instance::{Drain, Instance, Life, Listing};
use crate::one_off::{OneOffEnd, Running};
use crate::planted::PlantedBug;
use crate::rollout::compiled::{Gate, Late, PlanStep, Reversibility, Tunnels};
use crate::rollout::{BackStage, Forward, HookStage, Phase, Rollout, TestStage, Way};
use crate::service::{Service, Situation};
use crate::transition::Transition;
use crate::{Action, BatchReport, Cause, NoticeLevel, PhaseName};

/// How long all proxies together may take to use a table. It is a push over a local socket and a swap of a pointer per thread;
/// thirty seconds is the time in which a proxy that was killed is back and has its table.
pub const APPLY_TIMEOUT: Millis = Millis::from_secs(30);

/// How long a process may take to be gone after its SIGKILL, and the news of it to arrive.
pub const STOP_SLACK: Millis = Millis::from_secs(10);

impl Transition {
    /// Moves the rollout by at most one step of its plan; says whether it did.
    pub(crate) fn advance(&mut self) -> bool {
        let Some(rollout) = self.service.running() else { return false };
        let Way::Forward(forward) = &rollout.way else { return self.advance_back() };
        let (at, step) = (forward.at, *rollout.plan.step(forward.at));
        if self.is_over(rollout, forward, &step) {
            self.follow(at);
        } else if self.now >= forward.phase.deadline() {
            self.too_late(at, &step);
        } else if self.now >= rollout.deadline {
            self.out_of_time();
        } else {
            return false;
        }
        true
    }

    /// Whether the gate of the step is passed.
    fn is_over(&self, rollout: &Rollout, forward: &Forward, step: &PlanStep) -> bool {
        let service = &self.service;
        match step.gate {
            Gate::Started => service.all_started(rollout, step),
            Gate::Ready => service.all_ready(rollout, step),
            Gate::Hook(_) => matches!(forward.phase, Phase::Hook { stage: HookStage::Over, .. }),
            Gate::Tested => forward.phase.is_tested() && service.all_ready(rollout, step),
            Gate::Exposed => service.all_exposed(rollout, step),
            Gate::Observed(_) => {
                forward.phase.is_observed(self.now)
                    && service.all_exposed(rollout, step)
                    && service.all_ready(rollout, step)
            }
            Gate::Drained => service.old_drained(rollout, step, self.now),
            Gate::Stopped(tunnels) => service.old_stopped(rollout, step, tunnels, self.now),
        }
    }

    /// The step is over: the next one begins.
    fn follow(&mut self, at: usize) {
        let now = self.now;
        let Situation::Rollout(rollout) = &mut self.service.situation else { return };
        let Some(next) = rollout.plan.after(at) else { return self.finish_done() };
        let before = match &rollout.way {
            Way::Forward(forward) => Some(&forward.phase),
            Way::Back(_) => None,
        };
        let phase = Phase::begin(rollout.plan.step(next), now, before);
        rollout.way = Way::Forward(Forward { at: next, since: now, phase });
        self.note_entered();
    }

    /// Says which step began.
    pub(crate) fn note_entered(&mut self) {
        let Some(rollout) = self.service.running() else { return };
        let Some(step) = rollout.step() else { return };
        let batch = BatchReport { number: step.batch + 1, of: rollout.plan.batches };
        self.note(Action::Entered { phase: step.phase, batch });
    }

    /// The step did not end in time: its default action.
    fn too_late(&mut self, at: usize, step: &PlanStep) {
        let Some(rollout) = self.service.running() else { return };
        let Way::Forward(forward) = &rollout.way else { return };
        let after = match step.phase {
            // From the start on, both phases together.
            PhaseName::Start | PhaseName::Warmup => step.limit.time(),
            _ => self.now.since(forward.since),
        };
        let cause = match self.service.not_ready(rollout.to) {
            Some((instance, reason)) => Cause::NotReady { phase: step.phase, after, instance, reason },
            None => Cause::Deadline { phase: step.phase, after },
        };
        match step.late {
            Late::GoOn => self.follow(at),
            Late::End => self.finish_done(),
            Late::CallOperator => self.call_operator(cause),
            Late::TurnBack => self.turn_back(cause),
        }
    }

    /// The whole rollout did not end in time.
    fn out_of_time(&mut self) {
        let Some(rollout) = self.service.running() else { return };
        let after = self.now.since(rollout.began);
        match (rollout.reversibility(), rollout.from()) {
            (Reversibility::Unexposed | Reversibility::Exposed, _) => self.turn_back(Cause::RolloutTimeout { after }),
            (Reversibility::Earned, Some(_)) => self.finish_done(),
            (Reversibility::Earned, None) if rollout.plan.purpose.ends_all() => self.finish_done(),
            (Reversibility::Earned, None) => self.call_operator(Cause::RolloutTimeout { after }),
        }
    }

    /// Orders the next step of the Test phase when the preview is in use everywhere.
    pub(crate) fn advance_test(&mut self) -> bool {
        let Some(rollout) = self.service.running() else { return false };
        let Way::Forward(Forward { phase: Phase::Test { stage: TestStage::Preview, .. }, .. }) = &rollout.way else {
            return false;
        };
        let to = rollout.to;
        let unseen = self.service.instances.of(to).unseen;
        if unseen > 0 || !self.service.table_in_use() {
            return false;
        }
        let Some(release) = self.service.releases.get(&to).cloned() else { return false };
        self.begin_check(&release, 0);
        true
    }

    /// Orders the check with this index, or ends the Test phase after the last.
    pub(crate) fn begin_check(&mut self, release: &Arc<Release>, index: usize) {
        let next = match release.spec.checks.get(index) {
            None => TestStage::Passed,
            Some(check) => {
                self.note(Action::CheckBegan { check: check.name.clone() });
                let effect = self.order(Effect::RunCheck { check: check.clone(), release: release.id });
                TestStage::Checking { index, effect }
            }
        };
        if let Some((_, stage)) = self.test_stage() {
            *stage = next;
        }
    }

    /// An instance of `release` was ended from outside: what was being observed of a candidate is observed again, and the phase has the time of
    /// another start. The deadline of the whole rollout goes on.
    pub(crate) fn wait_for_its_place(&mut self, release: ReleaseId) {
        let now = self.now;
        let timeout = self.service.releases.get(&release).map_or(Millis::ZERO, |release| release.spec.start_timeout);
        let proven = now.after(timeout.max(APPLY_TIMEOUT));
        let Situation::Rollout(rollout) = &mut self.service.situation else { return };
        let is_candidate = release == rollout.to;
        match (&mut rollout.way, is_candidate) {
            (Way::Forward(forward), true) => match &mut forward.phase {
                Phase::Observe { .. } | Phase::Bake { .. } => self.watch_again(),
                Phase::Start { deadline, .. }
                | Phase::Warmup { deadline, .. }
                | Phase::Test { deadline, .. }
                | Phase::Expose { deadline } => *deadline = (*deadline).max(proven),
                Phase::Hook { .. } | Phase::Drain { .. } | Phase::Stop { .. } => {}
            },
            (Way::Back(back), false) => match &mut back.stage {
                BackStage::Restore { deadline, .. } => *deadline = (*deadline).max(proven),
                BackStage::Switch { .. } | BackStage::Leave { .. } => {}
            },
            (Way::Forward(_), false) | (Way::Back(_), true) => {}
        }
    }

    /// What was being observed is observed again, from now.
    pub(crate) fn watch_again(&mut self) {
        let now = self.now;
        if self.service.has(PlantedBug::LatchedObservation) {
            return;
        }
        let Situation::Rollout(rollout) = &mut self.service.situation else { return };
        let Way::Forward(forward) = &mut rollout.way else { return };
        let step = rollout.plan.step(forward.at);
        match &mut forward.phase {
            phase @ (Phase::Observe { .. } | Phase::Bake { .. }) => *phase = Phase::begin(step, now, None),
            Phase::Hook { .. }
            | Phase::Start { .. }
            | Phase::Warmup { .. }
            | Phase::Test { .. }
            | Phase::Expose { .. }
            | Phase::Drain { .. }
            | Phase::Stop { .. } => {}
        }
    }

    /// Orders the hook of the step, where it is due and may run; says whether it did.
    pub(crate) fn advance_hook(&mut self) -> bool {
        let Some((rollout, to, hook)) = self.service.due_hook() else { return false };
        let ordinal = self.run_hook(rollout, to, &hook);
        self.set_hook_stage(HookStage::Running { ordinal });
        true
    }

    pub(crate) fn set_hook_stage(&mut self, next: HookStage) {
        if let Situation::Rollout(rollout) = &mut self.service.situation
            && let Way::Forward(Forward { phase: Phase::Hook { stage, .. }, .. }) = &mut rollout.way
        {
            *stage = next;
        }
    }

    /// A one-off is over: says whether the rollout that runs waited for it, and takes it where that leads.
    pub(crate) fn hook_over(&mut self, running: &Running, end: &OneOffEnd) -> bool {
        if self.service.awaited_hook() != Some(running.one_off.id.ordinal) {
            return false;
        }
        let reversibility = self.service.running().map(Rollout::reversibility);
        match (end, reversibility) {
            (OneOffEnd::Passed, _) => self.set_hook_stage(HookStage::Over),
            (OneOffEnd::Failed { reason }, Some(Reversibility::Unexposed | Reversibility::Exposed)) => {
                self.turn_back(Cause::HookFailed { hook: running.one_off.to_string(), reason: reason.clone() });
            }
            (OneOffEnd::Failed { reason }, Some(Reversibility::Earned) | None) => {
                self.set_hook_stage(HookStage::Over);
                if let Some(rollout) = running.rollout {
                    let message = format!("{} failed: {reason}", running.one_off);
                    self.notify_of(rollout, NoticeLevel::Warning, message);
                }
            }
        }
        true
    }
}

/// The times of the release that leaves.
pub(crate) struct OldTraffic {
    pub drain: Millis,
    pub tunnels: Millis,
    pub grace: Millis,
}

impl Service {
    pub(crate) fn table_in_use(&self) -> bool {
        self.table.is_applied() || self.has(PlantedBug::SkipAcknowledgement)
    }

    pub(crate) fn traffic_of(&self, release: ReleaseId) -> OldTraffic {
        self.releases.get(&release).map_or(
            OldTraffic { drain: Millis::ZERO, tunnels: Millis::ZERO, grace: Millis::ZERO },
            |release| {
                let spec = &release.spec;
                let drain = spec.traffic.drain_timeout;
                OldTraffic { drain, tunnels: drain.max(spec.traffic.tunnel_drain_timeout), grace: spec.run.stop_grace }
            },
        )
    }

    fn old_traffic(&self, rollout: &Rollout) -> OldTraffic {
        self.traffic_of(rollout.from().unwrap_or(rollout.to))
    }

    fn all_started(&self, rollout: &Rollout, step: &PlanStep) -> bool {
        self.instances.of(rollout.to).addressed >= usize::from(step.new.instances)
    }

    fn all_ready(&self, rollout: &Rollout, step: &PlanStep) -> bool {
        self.ready(rollout.to) >= step.new.instances
    }

    /// An instance that is not ready, with what its probes fail with.
    fn not_ready(&self, release: ReleaseId) -> Option<(InstanceId, String)> {
        self.instances.values().filter(|instance| instance.release() == release).find_map(|instance| {
            match &instance.life {
                Life::Warming { failing: Some(reason), .. } => Some((instance.id.clone(), reason.clone())),
                Life::Warming { failing: None, .. }
                | Life::Starting { .. }
                | Life::Ready { .. }
                | Life::Unhealthy { .. }
                | Life::Stopping { .. } => None,
            }
        })
    }

    /// Every proxy uses a table with as many candidates in load as are wanted and no more of the old than are wanted.
    fn all_exposed(&self, rollout: &Rollout, step: &PlanStep) -> bool {
        let old = rollout.from().is_none_or(|from| self.live(from) <= step.old.live);
        self.live(rollout.to) >= step.new.live && old && self.table_in_use()
    }

    /// Of those that this step lets go no request is in flight any more, or had its time.
    fn old_drained(&self, rollout: &Rollout, step: &PlanStep, now: Tick) -> bool {
        let Some((from, wanted)) = rollout.leaving(step) else { return true };
        let limit = self.old_traffic(rollout).drain;
        let skip = self.has(PlantedBug::SkipAcknowledgement);
        if wanted.instances == 0 && !skip {
            return self.instances.of(from).all_drained(now, limit);
        }
        let over = |ordinal: &u64| match self.instances[ordinal].listing {
            Listing::Never => true,
            Listing::Live | Listing::Preview => false,
            Listing::Left { drain: Drain::AwaitingTable, .. } => skip,
            Listing::Left { drain: Drain::Running { since }, .. } => now >= since.after(limit),
            Listing::Left { drain: Drain::Lasting { .. } | Drain::Done, .. } => true,
        };
        self.instances.going(from, &wanted).iter().all(over)
    }

    /// All that let go are gone. Surge first leaves behind those that hold tunnels: they drain on by themselves.
    fn old_stopped(&self, rollout: &Rollout, step: &PlanStep, tunnels: Tunnels, now: Tick) -> bool {
        let Some((from, wanted)) = rollout.leaving(step) else { return true };
        let pool = self.instances.of(from);
        if pool.stopping > 0 || !pool.any_goes(&wanted) {
            return pool.stopping == 0;
        }
        let mut going = self.instances.going(from, &wanted).into_iter().map(|ordinal| &self.instances[&ordinal]);
        tunnels == Tunnels::LeftBehind && going.all(|instance| self.holds_tunnels(instance, now))
    }

    /// Whether only tunnels and streams can be left: its requests have ended or have had their time.
    pub(crate) fn holds_tunnels(&self, instance: &Instance, now: Tick) -> bool {
        let times = self.traffic_of(instance.release());
        match instance.listing {
            Listing::Left { drain: Drain::Running { since }, .. } => {
                now >= since.after(times.drain) && now < since.after(times.tunnels)
            }
            Listing::Left { drain: Drain::Lasting { since }, .. } => now < since.after(times.tunnels),
            Listing::Never | Listing::Live | Listing::Preview | Listing::Left { .. } => false,
        }
    }

    /// The one-off that the rollout waits for.
    pub(crate) fn awaited_hook(&self) -> Option<u64> {
        let Way::Forward(Forward { phase: Phase::Hook { stage, .. }, .. }) = &self.running()?.way else { return None };
        match stage {
            HookStage::Running { ordinal } => Some(*ordinal),
            HookStage::Due | HookStage::Over => None,
        }
    }

    /// The hook of the step that the rollout is at.
    pub(crate) fn hook_of_step(&self) -> Option<&Hook> {
        let rollout = self.running()?;
        let Gate::Hook(index) = rollout.step()?.gate else { return None };
        self.releases.get(&rollout.to)?.spec.hooks.get(usize::from(index))
    }

    fn due_hook(&self) -> Option<(RolloutId, ReleaseId, Hook)> {
        let rollout = self.running()?;
        let Way::Forward(Forward { phase: Phase::Hook { stage: HookStage::Due, .. }, .. }) = &rollout.way else {
            return None;
        };
        let hook = self.hook_of_step()?;
        let previewed = self.instances.of(rollout.to).unseen == 0 && self.table_in_use();
        let asked = rollout.step().is_some_and(|step| step.new.rest == Rest::Preview);
        let waits_for_preview = asked && !previewed;
        let another_ends = self.one_offs.values().any(Running::is_gate);
        (!waits_for_preview && !another_ends).then(|| (rollout.id, rollout.to, hook.clone()))
    }
}
