//! Facts about the fleet, the proxies and the checks: what each one changes.
//!
//! Facts are never refused. One that speaks of what is gone or replaced changes nothing.

use std::collections::BTreeSet;

use core::net::SocketAddr;

use gapless_model::{EffectNumber, InstanceId, Millis, ReleaseId, RolloutId, Tick};

use crate::desired::Desired;
use crate::instance::{Drain, Instance, Life, Listing};
use crate::one_off::{self, Running};
use crate::planted::PlantedBug;
use crate::rollout::compiled::Reversibility;
use crate::rollout::{BackStage, Forward, Phase, TestStage, Way};
use crate::service::Situation;
use crate::transition::Transition;
use crate::{Action, Cause, EndedBy, ErrorCounts, NoticeLevel, OneOffEnd};

/// How often instances of a release may end before they were ready, within one batch or one rollback, until the release is held to
/// be unable to start. Three: once is chance, twice may be a port or a disk that was busy, the third time says the same again.
pub const START_FAILURES_MAX: u16 = 3;

impl Transition {
    fn known(&self, id: &InstanceId) -> Option<&Instance> {
        self.service.instances.get(&id.ordinal).filter(|instance| instance.id == *id)
    }

    pub(crate) fn started(&mut self, id: &InstanceId, address: SocketAddr) {
        let now = self.now;
        if let Some(Instance { life: Life::Starting { deadline, .. }, .. }) = self.known(id) {
            let life = Life::Warming { address, since: now, deadline: *deadline, failing: None };
            self.service.instances.change(id.ordinal, |instance| instance.life = life);
        }
    }

    pub(crate) fn ready(&mut self, id: &InstanceId) {
        let Some(instance) = self.known(id) else { return };
        match instance.life {
            Life::Warming { address, .. } | Life::Unhealthy { address, .. } => {
                let life = Life::Ready { address, since: self.now };
                self.service.instances.change(id.ordinal, |instance| instance.life = life);
                self.note(Action::Ready(id.clone()));
            }
            Life::Starting { .. } | Life::Ready { .. } | Life::Stopping { .. } => {}
        }
    }

    /// What an instance that is not ready yet fails with is no decision: it is kept to be told when its time is over.
    pub(crate) fn probe_failed(&mut self, id: &InstanceId, reason: String) {
        let Some(Instance { life: Life::Warming { failing, .. }, .. }) = self.known(id) else { return };
        if failing.as_ref() == Some(&reason) {
            return;
        }
        self.service.instances.change(id.ordinal, |instance| {
            if let Life::Warming { failing, .. } = &mut instance.life {
                *failing = Some(reason.clone());
            }
        });
        self.note(Action::NotReady { instance: id.clone(), reason });
    }

    pub(crate) fn unhealthy(&mut self, id: &InstanceId, reason: String) {
        let now = self.now;
        let Some(instance) = self.known(id).cloned() else { return };
        let was_leaving = self.is_leaving(&instance);
        let (address, ready_for) = match instance.life {
            Life::Ready { address, since } => (address, now.since(since)),
            // Its readiness was proven to an earlier controller; the proof failed this time.
            Life::Warming { address, .. } if instance.is_live() => (address, Millis::ZERO),
            Life::Starting { .. } | Life::Warming { .. } | Life::Unhealthy { .. } | Life::Stopping { .. } => return,
        };
        let life = Life::Unhealthy { address, since: now, reason: reason.clone() };
        self.service.instances.change(id.ordinal, |instance| instance.life = life);
        self.note(Action::Unhealthy { instance: id.clone(), reason: reason.clone() });
        if was_leaving {
            return;
        }
        self.service.count_failure(&instance, ready_for, now);
        let cause = Cause::CandidateUnhealthy { instance: id.clone(), reason: reason.clone() };
        self.judge_loss(&instance, cause, reason);
    }

    /// An end from outside of an instance that was never ready counts as its own: else a machine that is short of memory would be kept busy
    /// by starts that are killed.
    pub(crate) fn exited(&mut self, id: &InstanceId, status: String, ended_by: EndedBy) {
        let was_ready = self.known(id).is_some_and(|instance| instance.is_ready());
        let ended_by = if was_ready { ended_by } else { EndedBy::Itself };
        self.lost(id, status, ended_by);
    }

    fn lost(&mut self, id: &InstanceId, status: String, ended_by: EndedBy) {
        let Some(instance) = self.known(id).cloned() else { return };
        let was_leaving = self.is_leaving(&instance);
        self.service.instances.remove(id.ordinal);
        if instance.is_stopping() {
            self.note(Action::Stopped(id.clone()));
            return;
        }
        self.note(Action::Lost { instance: id.clone(), reason: status.clone() });
        if was_leaving {
            return;
        }
        let ready_for = match instance.life {
            Life::Ready { since, .. } => self.now.since(since),
            Life::Starting { .. } | Life::Warming { .. } | Life::Unhealthy { .. } | Life::Stopping { .. } => {
                Millis::ZERO
            }
        };
        match ended_by {
            EndedBy::Itself => {
                self.service.count_failure(&instance, ready_for, self.now);
                let cause = Cause::CandidateExited { instance: id.clone(), status: status.clone() };
                self.judge_loss(&instance, cause, status);
            }
            EndedBy::Outside => {
                self.service.count_kill(&instance, ready_for, self.now);
                self.wait_for_its_place(instance.release());
            }
        }
    }

    /// Whether the instance is one that its release wants no more: its loss costs nothing.
    fn is_leaving(&self, instance: &Instance) -> bool {
        if matches!(instance.life, Life::Unhealthy { .. }) {
            return true; // counted when it became unhealthy
        }
        let desired = self.service.desired().get(&instance.release()).copied().unwrap_or(Desired::NONE);
        !self.service.instances.stays(instance, &desired)
    }

    /// What the loss of an instance that was wanted means for the rollout.
    ///
    /// A candidate that is lost in load (or under test) fails the rollout: that is what it is being watched for. One that is
    /// lost before it was ready may try again, [`START_FAILURES_MAX`] times. The release before is healed, whatever happens.
    fn judge_loss(&mut self, instance: &Instance, cause: Cause, reason: String) {
        let Situation::Rollout(rollout) = &mut self.service.situation else { return };
        let is_candidate = instance.release() == rollout.to;
        let reversibility = rollout.reversibility();
        let start_failed = Cause::StartFailed { instance: instance.id.clone(), reason };
        let verdict = match (&mut rollout.way, is_candidate) {
            (Way::Forward(_), false) | (Way::Back(_), true) => None,
            (Way::Forward(forward), true) => match (reversibility, &mut forward.phase) {
                (Reversibility::Earned, _) => None,
                (Reversibility::Unexposed | Reversibility::Exposed, _) if instance.is_live() => Some(cause),
                (
                    Reversibility::Unexposed | Reversibility::Exposed,
                    Phase::Start { failures, .. } | Phase::Warmup { failures, .. },
                ) => {
                    *failures += 1;
                    (*failures >= START_FAILURES_MAX).then_some(start_failed)
                }
                (
                    Reversibility::Unexposed | Reversibility::Exposed,
                    Phase::Hook { .. }
                    | Phase::Test { .. }
                    | Phase::Expose { .. }
                    | Phase::Observe { .. }
                    | Phase::Bake { .. },
                ) => Some(cause),
                (Reversibility::Unexposed | Reversibility::Exposed, Phase::Drain { .. } | Phase::Stop { .. }) => None,
            },
            (Way::Back(back), false) => match &mut back.stage {
                BackStage::Restore { failures, .. } => {
                    *failures += 1;
                    (*failures >= START_FAILURES_MAX).then_some(start_failed)
                }
                BackStage::Switch { .. } | BackStage::Leave { .. } => None,
            },
        };
        match (verdict, is_candidate) {
            (Some(cause), true) => self.turn_back(cause),
            (Some(cause), false) => self.call_operator(cause),
            (None, _) => {}
        }
    }

    pub(crate) fn start_failed(&mut self, id: &InstanceId, reason: String) {
        let is_starting = self.known(id).is_some_and(|instance| matches!(instance.life, Life::Starting { .. }));
        let is_stopping = self.known(id).is_some_and(|instance| instance.is_stopping());
        if is_starting || is_stopping {
            self.exited(id, reason, EndedBy::Itself);
        }
    }

    pub(crate) fn stopped(&mut self, id: &InstanceId) {
        self.one_off_stopped(id);
        if self.known(id).is_some_and(|instance| instance.is_stopping()) {
            self.service.instances.remove(id.ordinal);
            self.note(Action::Stopped(id.clone()));
        }
    }

    pub(crate) fn applied(&mut self, routes: EffectNumber) {
        let Some(published) = &self.service.table.published else { return };
        if routes <= self.service.table.applied || routes > published.number {
            return; // late, or of a table that was never ordered
        }
        let newest = published.number == routes;
        if newest {
            self.service.table.referred = published.routes.pools.iter().map(|pool| pool.release).collect();
        }
        self.service.table.applied = routes;
        let now = self.now;
        for ordinal in self.service.instances.awaiting(routes) {
            self.service.instances.change(ordinal, |instance| {
                if let Listing::Left { drain, .. } = &mut instance.listing {
                    *drain = Drain::Running { since: now };
                }
            });
        }
        if newest {
            self.note(Action::Applied { routes });
        }
    }

    /// A refused table is an error of the rollout that ordered it: waiting for an acknowledgement that is known not to come would only put off
    /// its end.
    ///
    /// ## Forward => (Rollback | NeedsOperator)
    /// It turns back while it can. A candidate that has earned its place is kept as it is, for there the table that was refused is the only way on.
    /// ## Rollback => NeedsOperator
    /// Only where the table without the candidate is refused: the way back needs it. The tables before and after it are waited for.
    pub(crate) fn routes_refused(&mut self, routes: EffectNumber, reason: String) {
        let newest = self.service.table.published.as_ref().map(|published| published.number);
        if newest != Some(routes) || self.service.table.is_applied() {
            return; // late: another table took its place, or every proxy took it in the end
        }
        let Some(rollout) = self.service.running() else { return };
        let cause = Cause::RoutesRefused { routes, reason };
        match &rollout.way {
            Way::Forward(_) => match rollout.reversibility() {
                Reversibility::Unexposed | Reversibility::Exposed => self.turn_back(cause),
                Reversibility::Earned => self.call_operator(cause),
            },
            Way::Back(back) => match back.stage {
                BackStage::Switch { .. } => self.call_operator(cause),
                BackStage::Restore { .. } | BackStage::Leave { .. } => {}
            },
        }
    }

    pub(crate) fn requests_ended(&mut self, id: &InstanceId, routes: EffectNumber) {
        if self.service.has(PlantedBug::WaitsForTunnels) {
            return;
        }
        let now = self.now;
        let Some(instance) = self.known(id) else { return };
        let Listing::Left { by, drain } = instance.listing else { return };
        let since = match drain {
            // The news that the table is in use may come after what rests on it.
            Drain::AwaitingTable if by <= routes => now,
            Drain::Running { since } if by <= routes => since,
            Drain::AwaitingTable | Drain::Running { .. } | Drain::Lasting { .. } | Drain::Done => return,
        };
        let listing = Listing::Left { by, drain: Drain::Lasting { since } };
        self.service.instances.change(id.ordinal, |instance| instance.listing = listing);
        self.note(Action::RequestsEnded(id.clone()));
    }

    pub(crate) fn drained(&mut self, id: &InstanceId, routes: EffectNumber) {
        let unfenced = self.service.has(PlantedBug::UnfencedDrain);
        let Some(instance) = self.known(id) else { return };
        if let Listing::Left { by, drain } = instance.listing
            && (by <= routes || unfenced)
            && drain != Drain::Done
        {
            let listing = Listing::Left { by, drain: Drain::Done };
            self.service.instances.change(id.ordinal, |instance| instance.listing = listing);
            self.note(Action::Drained(id.clone()));
        }
    }

    /// ## Forward => Rollback
    /// Where the candidate fails its clients, and only while it is exposed and there is a way back: an operator who vouched for it
    /// ended one observation, not the guard.
    pub(crate) fn requests_counted(&mut self, candidate: ReleaseId, counts: &ErrorCounts) {
        if self.service.exposure().is_none_or(|exposure| exposure.candidate != candidate) {
            return; // late
        }
        let above = self.service.releases.get(&candidate).map_or(0, |release| release.spec.errors_above);
        if above > 0
            && let Some(failing) = counts.failing(above)
        {
            self.turn_back(Cause::CandidateFailing(failing));
        }
    }

    pub(crate) fn check_passed(&mut self, check: EffectNumber) {
        let Some((to, stage)) = self.test_stage() else { return };
        let TestStage::Checking { index, effect } = *stage else { return };
        if effect != check {
            return;
        }
        let Some(release) = self.service.releases.get(&to).cloned() else { return };
        let name = release.spec.checks.get(index).map(|check| check.name.clone()).unwrap_or_default();
        self.note(Action::CheckPassed { check: name });
        self.begin_check(&release, index + 1);
    }

    pub(crate) fn check_failed(&mut self, check: EffectNumber, reason: String) {
        let Some((to, stage)) = self.test_stage() else { return };
        let TestStage::Checking { index, effect } = *stage else { return };
        if effect == check {
            let release = self.service.releases.get(&to);
            let name = release.and_then(|release| release.spec.checks.get(index)).map(|check| check.name.clone());
            self.turn_back(Cause::CheckFailed { check: name.unwrap_or_default(), reason });
        }
    }

    /// The candidate and its stage, while it is under test.
    pub(crate) fn test_stage(&mut self) -> Option<(ReleaseId, &mut TestStage)> {
        let Situation::Rollout(rollout) = &mut self.service.situation else { return None };
        match &mut rollout.way {
            Way::Forward(Forward { phase: Phase::Test { stage, .. }, .. }) => Some((rollout.to, stage)),
            Way::Forward(_) | Way::Back(_) => None,
        }
    }

    pub(crate) fn receipt_closed(&mut self, rollout: RolloutId) {
        self.service.open_receipts.remove(&rollout);
    }

    /// A controller took over: what was observed is observed again, deadlines go on, orders without an outcome are repeated.
    pub(crate) fn restarted(&mut self, alive: &BTreeSet<InstanceId>, gone_by: EndedBy) {
        self.note(Action::ControllerRestarted { alive: u16::try_from(alive.len()).unwrap_or(u16::MAX) });
        let ids: Vec<InstanceId> = self.service.instances.values().map(|instance| instance.id.clone()).collect();
        for id in ids {
            if alive.contains(&id) {
                self.prove_again(&id);
            } else if self.known(&id).is_some_and(|instance| instance.address().is_some()) {
                self.lost(&id, "found gone when a controller took over".to_owned(), gone_by);
            }
        }
        self.watch_again();
        self.repeat_orders();
    }

    /// Health is never latched (I10): what an earlier controller saw is no proof now. Load is kept meanwhile.
    fn prove_again(&mut self, id: &InstanceId) {
        let now = self.now;
        let deadline = self.start_deadline(id.release);
        let latched = self.service.has(PlantedBug::LatchedObservation);
        let Some(instance) = self.known(id) else { return };
        match instance.life {
            Life::Ready { address, .. } | Life::Unhealthy { address, .. } if !latched => {
                let life = Life::Warming { address, since: now, deadline, failing: None };
                self.service.instances.change(id.ordinal, |instance| instance.life = life);
            }
            Life::Ready { .. }
            | Life::Unhealthy { .. }
            | Life::Starting { .. }
            | Life::Warming { .. }
            | Life::Stopping { .. } => {}
        }
    }

    /// When an instance of `release` that starts now is given up.
    pub(crate) fn start_deadline(&self, release: ReleaseId) -> Tick {
        let timeout = self.service.releases.get(&release).map_or(Millis::ZERO, |release| release.spec.start_timeout);
        self.now.after(timeout)
    }

    /// A one-off ended by itself, or could not be run.
    pub(crate) fn one_off_ended(&mut self, id: &InstanceId, end: &OneOffEnd) {
        let known = self.service.one_offs.get(&id.ordinal).filter(|known| known.one_off.id == *id);
        let Some(running) = known.cloned() else { return };
        self.service.one_offs.remove(&id.ordinal);
        match running.life {
            one_off::Life::Running { .. } => self.one_off_over(&running, end),
            // What it means was decided when it was ordered to end.
            one_off::Life::Stopping { .. } => {}
        }
    }

    /// The process tree of a one-off that was ordered to end is gone.
    pub(crate) fn one_off_stopped(&mut self, id: &InstanceId) {
        let known = self.service.one_offs.get(&id.ordinal).filter(|known| known.one_off.id == *id);
        if known.is_some_and(|running| running.deadline().is_none()) {
            self.service.one_offs.remove(&id.ordinal);
        }
    }

    fn one_off_over(&mut self, running: &Running, end: &OneOffEnd) {
        let (id, what) = (running.one_off.id.clone(), running.one_off.to_string());
        let after = self.now.since(running.since);
        let action = match end {
            OneOffEnd::Passed => Action::OneOffPassed { id, what, after },
            OneOffEnd::Failed { reason } => Action::OneOffFailed { id, what, reason: reason.clone() },
        };
        self.tell_of(running.rollout, action);
        if self.hook_over(running, end) {
            return;
        }
        if let (OneOffEnd::Failed { reason }, Some(rollout)) = (end, running.rollout) {
            let message = format!("{} failed: {reason}", running.one_off);
            self.notify_of(rollout, NoticeLevel::Warning, message);
        }
    }

    /// Ends one-offs whose time is over; says whether there was one.
    pub(crate) fn expire_one_offs(&mut self) -> bool {
        let now = self.now;
        let is_late = |running: &&Running| running.deadline().is_some_and(|deadline| now >= deadline);
        let late: Vec<Running> = self.service.one_offs.values().filter(is_late).cloned().collect();
        for running in &late {
            self.stop_one_off(running);
            let reason = format!("it did not end within {}", running.one_off.timeout);
            self.one_off_over(running, &OneOffEnd::Failed { reason });
        }
        !late.is_empty()
    }
}
