//! The ends of a rollout: Done, RolledBack, NeedsOperator. Each orders the receipt, tells the operators and lets the order
//! that waited begin.

use std::collections::BTreeSet;

use gapless_model::{HookPoint, InstanceId, Millis, ReleaseId, RolloutId};

use crate::effect::{Effect, NoticeLevel, Outcome};
use crate::instance::{Drain, Instance, Listing};
use crate::planted::PlantedBug;
use crate::rollout::{CompiledPlan, Purpose, Queued, Rollout, Tests};
use crate::service::{OpenReceipt, Service, Situation, Stuck};
use crate::table::Table;
use crate::transition::Transition;
use crate::{Action, Adjustment, Cause};

impl Transition {
    /// The candidate is the current release.
    pub(crate) fn finish_done(&mut self) {
        let Some(rollout) = self.service.running().cloned() else { return };
        match (rollout.plan.purpose, rollout.from().or(rollout.rests)) {
            (Purpose::Replace(_), _) => self.run_hooks_at_end(rollout.id, rollout.to, HookPoint::OnDone),
            (Purpose::Return, Some(left)) => self.run_hooks_at_end(rollout.id, left, HookPoint::OnRollback),
            (Purpose::Return | Purpose::Restart | Purpose::Adjust(_), _) => {}
        }
        let current = rollout.to;
        let label = self.label(current);
        let (next, notice) = match rollout.plan.purpose {
            Purpose::Replace(_) | Purpose::Return => {
                if let Some(before) = rollout.from().or(rollout.rests) {
                    self.remember(before, current);
                }
                (Situation::Settled { current }, format!("{label} is the current release"))
            }
            // The same content under another number: what a rollback would go to is what it was.
            Purpose::Restart => (Situation::Settled { current }, format!("{label} was restarted")),
            Purpose::Adjust(Adjustment::Scale { instances }) => {
                (Situation::Settled { current }, format!("{label} has {}", crate::plan::plural(instances)))
            }
            Purpose::Adjust(Adjustment::Start) => (Situation::Settled { current }, format!("{label} was started")),
            Purpose::Adjust(Adjustment::Stop) => (Situation::Stopped { current }, format!("{label} was stopped")),
            Purpose::Adjust(Adjustment::Remove) => {
                self.service.history.clear();
                self.service.left.clear();
                (Situation::Empty, format!("{label} was removed, with every release before it"))
            }
        };
        self.finish(rollout, Outcome::Done, next, NoticeLevel::Info, |_| notice);
    }

    /// The release before serves again.
    pub(crate) fn finish_back(&mut self, cause: Cause) {
        let Some(rollout) = self.service.running().cloned() else { return };
        let next = match (rollout.from(), rollout.rests) {
            (Some(current), _) => Situation::Settled { current },
            (None, Some(current)) => Situation::Stopped { current },
            (None, None) => Situation::Empty,
        };
        if matches!(rollout.plan.purpose, Purpose::Replace(_)) {
            self.run_hooks_at_end(rollout.id, rollout.to, HookPoint::OnRollback);
        }
        let label = self.label(rollout.to);
        let level = match cause {
            Cause::Operator(_) | Cause::Superseded { .. } => NoticeLevel::Info,
            Cause::StartFailed { .. }
            | Cause::CheckFailed { .. }
            | Cause::HookFailed { .. }
            | Cause::CandidateExited { .. }
            | Cause::CandidateUnhealthy { .. }
            | Cause::CandidateFailing(_)
            | Cause::RoutesRefused { .. }
            | Cause::Recorded { .. }
            | Cause::Deadline { .. }
            | Cause::NotReady { .. }
            | Cause::RolloutTimeout { .. } => NoticeLevel::Warning,
        };
        self.finish(rollout, Outcome::RolledBack { reason: cause }, next, level, |outcome| {
            format!("{label} was {outcome}")
        });
    }

    /// Neither forward nor back: everything that serves is kept.
    pub(crate) fn call_operator(&mut self, cause: Cause) {
        let Some(rollout) = self.service.running().cloned() else { return };
        let (current, other) = match rollout.from() {
            Some(from) => (from, Some(rollout.to)),
            None => (rollout.to, None),
        };
        if let Some(before) = rollout.rests {
            self.remember(before, rollout.to);
        }
        let stuck = Stuck { rollout: rollout.id, current, other, cause: cause.clone(), since: self.now };
        let label = self.label(rollout.to);
        let outcome = Outcome::NeedsOperator { reason: cause };
        let next = Situation::NeedsOperator(stuck);
        self.finish(rollout, outcome, next, NoticeLevel::Error, |outcome| format!("the rollout to {label} {outcome}"));
    }

    /// ## NeedsOperator => Settled
    /// What the rollout left behind may mend itself when the fault ends: the release before serves in full at every proxy and no
    /// instance of the candidate is left. Then there is nothing to decide. Says whether it was so.
    ///
    /// ## Empty => Empty
    /// Once nothing is left of a service and every proxy uses a table without its routes, nothing refers to that table any more.
    pub(crate) fn mend(&mut self) -> bool {
        if self.service.is_gone() {
            let Table { published, referred, .. } = &mut self.service.table;
            (*published, *referred) = (None, BTreeSet::new());
            return true;
        }
        let Situation::NeedsOperator(stuck) = &self.service.situation else { return false };
        let current = stuck.current;
        let left = stuck.other.map_or(0, |other| self.service.instances.of(other).all);
        let serving = self.service.instances.of(current).live_ready;
        if left > 0 || serving < usize::from(self.service.size_of(current)) || !self.service.table_in_use() {
            return false;
        }
        self.service.situation = Situation::Settled { current };
        if let Some(current) = self.service.releases.get(&current).map(|release| release.label.clone()) {
            self.note(Action::Mended { current });
        }
        true
    }

    fn finish(
        &mut self,
        rollout: Rollout,
        outcome: Outcome,
        next: Situation,
        level: NoticeLevel,
        message: impl FnOnce(&Outcome) -> String,
    ) {
        let (after, notice) = (self.now.since(rollout.began), message(&outcome));
        self.end(rollout.id, outcome, after, Some((level, notice)));
        self.service.situation = next;
        if let Some(queued) = rollout.queued {
            self.begin_queued(queued);
        }
    }

    /// The end of an order, whether or not it ever began: the only place that gives one. It goes on the timeline under the order's own
    /// number, and its receipt is ordered.
    pub(crate) fn end(
        &mut self,
        rollout: RolloutId,
        outcome: Outcome,
        after: Millis,
        notice: Option<(NoticeLevel, String)>,
    ) {
        if !(self.service.has(PlantedBug::SilentDisplacement) && matches!(outcome, Outcome::Superseded { .. })) {
            self.note_of(rollout, Action::Ended { outcome: outcome.clone(), after });
        }
        if let Some((level, message)) = notice {
            self.notify_of(rollout, level, message);
        }
        let left_behind = self.service.left_by(rollout);
        let effect = self.order_of(Some(rollout), Effect::CloseReceipt { rollout, outcome: outcome.clone() });
        self.service.open_receipts.insert(rollout, OpenReceipt { effect, outcome, left_behind });
    }

    /// The order that waited begins; where it has become impossible its rollout ends at once.
    fn begin_queued(&mut self, Queued { order, since }: Queued) {
        let strategy = order.strategy.clone().unwrap_or_else(|| order.release.spec.strategy.clone());
        match CompiledPlan::for_service(&self.service, &order.release, &strategy, Tests::Run) {
            Ok(plan) => self.begin(order, plan),
            Err(refusal) => {
                let label = order.release.label.clone();
                let notice = format!("the rollout to {label} that waited cannot begin: {refusal}");
                let (outcome, waited) = (Outcome::Refused { reason: refusal.to_string() }, self.now.since(since));
                self.end(order.rollout, outcome, waited, Some((NoticeLevel::Error, notice)));
            }
        }
    }

    /// `from` is the one to go back to now. A return to an earlier release leaves those after it: `rollback` does not go to them by itself, but
    /// they were good enough to be current, so they are kept as the others are.
    fn remember(&mut self, from: ReleaseId, to: ReleaseId) {
        let kept = self.service.releases.get(&to).map_or(1, |release| usize::from(release.spec.releases_kept.max(1)));
        let Service { history, left, .. } = &mut self.service;
        left.retain(|release| *release != to && *release != from);
        match history.iter().position(|earlier| *earlier == to) {
            Some(at) => {
                left.extend(history.drain(at..).filter(|release| *release != to));
                left.push(from);
            }
            None => history.push(from),
        }
        // The oldest go first; the one that a rollback would go to is the last to go.
        while history.len() + left.len() > kept {
            let oldest = |releases: &[ReleaseId]| releases.iter().copied().min();
            let spared = history.len().saturating_sub(1);
            match (oldest(&history[..spared]), oldest(left)) {
                (Some(before), Some(of_left)) if of_left < before => left.retain(|release| *release != of_left),
                (Some(before), _) => history.retain(|release| *release != before),
                (None, Some(of_left)) => left.retain(|release| *release != of_left),
                (None, None) => break,
            }
        }
    }

    fn label(&self, release: ReleaseId) -> String {
        self.service.releases.get(&release).map(|release| release.label.to_string()).unwrap_or_default()
    }

    /// Orders the hooks of `release` that follow the end of a rollout; they change nothing of it.
    pub(crate) fn run_hooks_at_end(&mut self, rollout: RolloutId, release: ReleaseId, point: HookPoint) {
        let hooks = self.service.releases.get(&release).map(|release| release.spec.hooks.clone()).unwrap_or_default();
        for hook in hooks.iter().filter(|hook| hook.point == point) {
            self.run_hook(rollout, release, hook);
        }
    }
}

impl Service {
    /// Whether no release is left, no instance, and no route at any proxy, but the table that says so.
    fn is_gone(&self) -> bool {
        let table = self.table.published.as_ref();
        matches!(self.situation, Situation::Empty)
            && self.instances.is_empty()
            && table.is_some_and(|published| published.routes.routes.is_empty())
            && self.table.is_applied()
    }

    /// What `rollout` took out of load and leaves to drain; nothing where it is not the one that runs, for then it never began.
    fn left_by(&self, rollout: RolloutId) -> BTreeSet<InstanceId> {
        let Some(running) = self.running().filter(|running| running.id == rollout) else { return BTreeSet::new() };
        let leaves = |id: &InstanceId| Some(id.release) == running.from() || id.release == running.to;
        let awaits = Drain::AwaitingTable;
        let drains = |instance: &&Instance| {
            let unseen = matches!(instance.listing, Listing::Left { drain, .. } if drain == awaits);
            (unseen || instance.draining_since().is_some()) && !instance.is_stopping()
        };
        let left = self.instances.values().filter(drains);
        left.map(|instance| instance.id.clone()).filter(leaves).collect()
    }
}
