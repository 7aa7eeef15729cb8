//! The way forward: when a phase is over, what its deadline does, and how the next one begins.

use std::sync::Arc;

use gapless_model::{Millis, Release, ReleaseId, Tick};

use crate::effect::Effect;
use crate::instance::{Drain, Instance, Listing};
use crate::planted::PlantedBug;
use crate::rollout::course::{Next, Stand};
use crate::rollout::{BackStage, Course, Forward, Phase, Rollout, TestStage, Way};
use crate::service::{Service, Situation};
use crate::turn::Turn;
use crate::want::sort;
use crate::{Action, BatchReport, Cause, PhaseName, Then};

/// How long all proxies together may take to use a table. It is a push over a local socket and a swap of a pointer per thread;
/// thirty seconds is the time in which a proxy that was killed is back and has its table.
pub const APPLY_TIMEOUT: Millis = Millis::from_secs(30);

/// How long a process may take to be gone after its SIGKILL, and the news of it to arrive.
pub const STOP_SLACK: Millis = Millis::from_secs(10);

/// What a look at a phase found.
enum Found {
    /// It goes on.
    NotYet,
    /// It is over.
    Passed,
    /// Its time is over.
    Late,
}

impl Turn {
    /// Moves the rollout by at most one phase; says whether it did.
    pub(crate) fn advance(&mut self) -> bool {
        let Situation::Rollout(rollout) = &self.service.situation else { return false };
        match &rollout.way {
            Way::Back(_) => self.advance_back(),
            Way::Forward(forward) => {
                let (name, batch) = (forward.phase.name(), forward.batch);
                let stand = rollout.course.stand(name, batch);
                let (late, started) = (self.now >= rollout.deadline, forward.since);
                match self.look(rollout, forward) {
                    Found::Passed => self.follow(name, batch),
                    Found::Late => self.too_late(name, batch, stand, started),
                    Found::NotYet if late => self.out_of_time(stand),
                    Found::NotYet => return false,
                }
                true
            }
        }
    }

    fn look(&self, rollout: &Rollout, forward: &Forward) -> Found {
        let passed = match &forward.phase {
            Phase::Start { .. } => self.service.all_started(rollout, forward),
            Phase::Warmup { .. } => self.service.all_ready(rollout, forward),
            Phase::Test { stage, .. } => *stage == TestStage::Passed && self.service.all_ready(rollout, forward),
            Phase::Expose { .. } => self.service.all_exposed(rollout, forward),
            Phase::Observe { until, .. } | Phase::Bake { until, .. } => {
                self.now >= *until
                    && self.service.all_exposed(rollout, forward)
                    && self.service.all_ready(rollout, forward)
            }
            Phase::Drain { .. } => self.service.old_drained(rollout, forward, self.now),
            Phase::Stop { .. } => self.service.old_stopped(rollout, forward, self.now),
        };
        match passed {
            true => Found::Passed,
            false if self.now >= forward.phase.deadline() => Found::Late,
            false => Found::NotYet,
        }
    }

    /// The phase is over: the next one begins.
    fn follow(&mut self, phase: PhaseName, batch: u16) {
        let Some(rollout) = self.service.running() else { return };
        match rollout.course.next(phase, batch) {
            Next::Phase(next) => self.enter(next, batch),
            Next::Batch(next) => self.enter(next, batch + 1),
            Next::Done => self.finish_done(),
        }
    }

    /// The phase did not end in time: its default action.
    fn too_late(&mut self, phase: PhaseName, batch: u16, stand: Stand, since: Tick) {
        let Some(rollout) = self.service.running() else { return };
        let after = match (phase, self.service.releases.get(&rollout.to)) {
            // From the start on, both phases together.
            (PhaseName::Start | PhaseName::Warmup, Some(to)) => to.spec.start_timeout,
            (_, Some(_) | None) => self.now.since(since),
        };
        let cause = Cause::Deadline { phase, after };
        match then(&rollout.course, phase, stand) {
            Then::GoOn => self.follow(phase, batch),
            Then::EndRollout => self.finish_done(),
            Then::CallOperator => self.call_operator(cause),
            Then::RollBack | Then::EndBack | Then::StopAnyway | Then::Replace | Then::Restart => {
                self.turn_back(cause);
            }
        }
    }

    /// The whole rollout did not end in time.
    fn out_of_time(&mut self, stand: Stand) {
        let Some(rollout) = self.service.running() else { return };
        let after = self.now.since(rollout.began);
        match (stand, rollout.from()) {
            (Stand::Unexposed | Stand::Exposed, _) => self.turn_back(Cause::RolloutTimeout { after }),
            (Stand::Earned, Some(_)) => self.finish_done(),
            (Stand::Earned, None) => self.call_operator(Cause::RolloutTimeout { after }),
        }
    }

    /// Begins `phase` of `batch`, or what follows it where it has nothing to do.
    pub(crate) fn enter(&mut self, mut phase: PhaseName, mut batch: u16) {
        let Some(rollout) = self.service.running() else { return };
        let Some(release) = self.service.releases.get(&rollout.to).cloned() else { return };
        while rollout.course.skips(phase, &release.spec, rollout.tests) {
            match rollout.course.next(phase, batch) {
                Next::Phase(next) => phase = next,
                Next::Batch(next) => (phase, batch) = (next, batch + 1),
                Next::Done => return self.finish_done(),
            }
        }
        let begun = self.phase(rollout, &release, phase);
        let of = rollout.course.batches();
        let now = self.now;
        if let Situation::Rollout(rollout) = &mut self.service.situation {
            rollout.way = Way::Forward(Forward { batch, since: now, phase: begun });
        }
        self.note(Action::Entered { phase, batch: BatchReport { number: batch + 1, of } });
    }

    /// The data of a phase that begins now.
    fn phase(&self, rollout: &Rollout, release: &Release, phase: PhaseName) -> Phase {
        let now = self.now;
        let watched = || now.after(rollout.course.watch(phase));
        let proof = release.spec.start_timeout.max(APPLY_TIMEOUT);
        match phase {
            PhaseName::Start => Phase::Start { failures: 0, deadline: now.after(release.spec.start_timeout) },
            PhaseName::Warmup => {
                // The start's deadline goes on: `start_timeout` is from start to readiness.
                let (failures, deadline) = match &rollout.way {
                    Way::Forward(Forward { phase: Phase::Start { failures, deadline }, .. }) => (*failures, *deadline),
                    Way::Forward(_) | Way::Back(_) => (0, now.after(release.spec.start_timeout)),
                };
                Phase::Warmup { failures, deadline }
            }
            PhaseName::Test => {
                let checks: u64 = release.spec.checks.iter().map(|check| check.timeout.0).sum();
                Phase::Test { stage: TestStage::Preview, deadline: now.after(APPLY_TIMEOUT).after(Millis(checks)) }
            }
            PhaseName::Expose => Phase::Expose { deadline: now.after(APPLY_TIMEOUT) },
            PhaseName::Observe => Phase::Observe { until: watched(), deadline: watched().after(proof) },
            PhaseName::Bake => Phase::Bake { until: watched(), deadline: watched().after(proof) },
            PhaseName::Drain => {
                Phase::Drain { deadline: now.after(APPLY_TIMEOUT).after(self.service.old_traffic(rollout).drain) }
            }
            PhaseName::Stop | PhaseName::Rollback => {
                let old = self.service.old_traffic(rollout);
                let tunnels = if rollout.course.is_in_place() { old.tunnels } else { Millis::ZERO };
                Phase::Stop { deadline: now.after(tunnels).after(old.grace).after(STOP_SLACK) }
            }
        }
    }

    /// Orders the next step of the Test phase when the preview is in use everywhere.
    pub(crate) fn advance_test(&mut self) -> bool {
        let Some(rollout) = self.service.running() else { return false };
        let Way::Forward(Forward { phase: Phase::Test { stage: TestStage::Preview, .. }, .. }) = &rollout.way else {
            return false;
        };
        let to = rollout.to;
        let unseen = self.service.count(|instance| {
            instance.release() == to && instance.listing == Listing::Never && !instance.is_stopping()
        });
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
                Phase::Drain { .. } | Phase::Stop { .. } => {}
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
        let proof =
            self.service.releases.get(&rollout.to).map_or(APPLY_TIMEOUT, |to| to.spec.start_timeout.max(APPLY_TIMEOUT));
        let Way::Forward(forward) = &mut rollout.way else { return };
        let watch = rollout.course.watch(forward.phase.name());
        match &mut forward.phase {
            Phase::Observe { until, deadline } | Phase::Bake { until, deadline } => {
                *until = now.after(watch);
                *deadline = until.after(proof);
            }
            Phase::Start { .. }
            | Phase::Warmup { .. }
            | Phase::Test { .. }
            | Phase::Expose { .. }
            | Phase::Drain { .. }
            | Phase::Stop { .. } => {}
        }
    }
}

/// What the end of a phase's time does.
pub(crate) fn then(course: &Course, phase: PhaseName, stand: Stand) -> Then {
    match (phase, stand) {
        (PhaseName::Stop, _) if !course.is_in_place() => Then::GoOn,
        (_, Stand::Unexposed | Stand::Exposed) => Then::RollBack,
        (PhaseName::Drain | PhaseName::Stop, Stand::Earned) => Then::EndRollout,
        (_, Stand::Earned) => Then::CallOperator,
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

    fn candidates(&self, rollout: &Rollout) -> impl Iterator<Item = &Instance> {
        let to = rollout.to;
        self.instances.values().filter(move |instance| instance.release() == to)
    }

    fn all_started(&self, rollout: &Rollout, forward: &Forward) -> bool {
        let wants = rollout.course.wants(forward.phase.name(), forward.batch);
        let wanted = wants.get(&rollout.to).map_or(0, |want| want.instances);
        let running = self.candidates(rollout).filter(|instance| instance.address().is_some()).count();
        running >= usize::from(wanted)
    }

    fn all_ready(&self, rollout: &Rollout, forward: &Forward) -> bool {
        let wants = rollout.course.wants(forward.phase.name(), forward.batch);
        let wanted = wants.get(&rollout.to).map_or(0, |want| want.instances);
        self.ready(rollout.to) >= wanted
    }

    /// Every proxy uses a table with as many candidates in load as are wanted and no more of the old than are wanted.
    fn all_exposed(&self, rollout: &Rollout, forward: &Forward) -> bool {
        let wants = rollout.course.wants(forward.phase.name(), forward.batch);
        let live = |release| self.count(|instance| instance.release() == release && instance.is_live());
        let candidate = wants.get(&rollout.to).is_none_or(|want| live(rollout.to) >= want.live);
        let old = rollout.from().is_none_or(|from| live(from) <= wants.get(&from).map_or(0, |want| want.live));
        candidate && old && self.table_in_use()
    }

    /// Those of the old release that this phase lets go.
    fn going(&self, rollout: &Rollout, forward: &Forward) -> Vec<&Instance> {
        let Some(from) = rollout.from() else { return Vec::new() };
        let wants = rollout.course.wants(forward.phase.name(), forward.batch);
        sort(&self.instances, from, wants.get(&from)).go.iter().map(|ordinal| &self.instances[ordinal]).collect()
    }

    fn old_drained(&self, rollout: &Rollout, forward: &Forward, now: Tick) -> bool {
        let limit = self.old_traffic(rollout).drain;
        let skip = self.has(PlantedBug::SkipAcknowledgement);
        let over = |instance: &&Instance| match instance.listing {
            Listing::Never => true,
            Listing::Live | Listing::Preview => false,
            Listing::Left { drain: Drain::AwaitingTable, .. } => skip,
            Listing::Left { drain: Drain::Running { since }, .. } => now >= since.after(limit),
            Listing::Left { drain: Drain::Lasting { .. } | Drain::Done, .. } => true,
        };
        self.going(rollout, forward).iter().all(over)
    }

    /// All that let go are gone. Surge first leaves behind those that hold tunnels: they drain on by themselves.
    fn old_stopped(&self, rollout: &Rollout, forward: &Forward, now: Tick) -> bool {
        let from = rollout.from();
        let stopping = self.count(|instance| Some(instance.release()) == from && instance.is_stopping());
        let left_behind = self
            .going(rollout, forward)
            .iter()
            .all(|instance| !rollout.course.is_in_place() && self.holds_tunnels(instance, now));
        stopping == 0 && left_behind
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
}
