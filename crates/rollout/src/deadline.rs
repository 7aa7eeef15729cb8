//! Deadlines: when the machine wants to be woken, and what happens then.
//!
//! What happens is not written down a second time for people to read: the machine takes the step that the timer would cause, from the
//! state as it is, and the report says what came of it (`tests/properties.rs`, and `sim` after every timer). So a deadline cannot be
//! explained as anything else than what it does, and an instant at which nothing would happen is none.

use std::collections::BTreeSet;

use gapless_model::{ReleaseId, RolloutId, Tick};

use crate::effect::Outcome;
use crate::instance::Life;
use crate::planted::PlantedBug;
use crate::rollout::{Phase, Way};
use crate::service::Service;
use crate::transition::Transition;
use crate::{Action, Entry, NextDeadline, PhaseName, Then};

impl Service {
    /// The deadline that comes next after `now`, with what it does if nothing happens before.
    pub(crate) fn next_deadline(&self, now: Tick) -> Option<NextDeadline> {
        let instants = self.instants().split_off(&Tick(now.0.saturating_add(1)));
        instants.into_iter().find_map(|at| Some(NextDeadline { at, then: self.then(at)? }))
    }

    /// The first instant after `now` that some condition of the machine compares the time with; found by counts, and so more often in vain than
    /// [`Service::next_deadline`], which tries each.
    pub(crate) fn next_instant(&self, now: Tick) -> Option<Tick> {
        let of_pools = self.instances.pools().flat_map(|(release, pool)| {
            let times = self.traffic_of(release);
            [pool.next_drained(now, times.drain), pool.next_drained(now, times.tunnels)]
        });
        let of_rollout = self
            .rollout_instants()
            .into_iter()
            .chain(self.backoff_instants())
            .chain(self.one_off_deadlines())
            .filter(|at| *at > now);
        of_pools.flatten().chain(self.instances.next_deadline(now)).chain(of_rollout).min()
    }

    fn rollout_instants(&self) -> Vec<Tick> {
        let Some(rollout) = self.running() else { return Vec::new() };
        match &rollout.way {
            Way::Back(back) => vec![back.stage.deadline()],
            Way::Forward(forward) => {
                let mut instants = vec![forward.phase.deadline(), rollout.deadline];
                if let Phase::Observe { until, .. } | Phase::Bake { until, .. } = forward.phase {
                    instants.push(until);
                }
                instants
            }
        }
    }

    /// When places of lost instances may be taken, where any is missing.
    fn backoff_instants(&self) -> Vec<Tick> {
        let desired = self.desired();
        let missing = |release: &ReleaseId| {
            desired.get(release).is_some_and(|desired| self.instances.of(*release).missing(desired) > 0)
        };
        let waits = self.backoff.iter().filter(|(release, _)| missing(release)).flat_map(|(_, waits)| waits);
        waits.map(|wait| wait.until).collect()
    }

    /// What the step at `at` would do; nothing where it would change nothing.
    fn then(&self, at: Tick) -> Option<Then> {
        let mut transition = Transition::new(self.clone(), at);
        transition.run();
        if transition.effects.is_empty() && transition.timeline.is_empty() {
            return None;
        }
        let fixed = self.has(PlantedBug::FixedConsequence);
        Some(if fixed { Then::RollBack } else { Then::of(&transition.timeline, self.rollout()) })
    }

    /// Every instant that some condition of the machine compares the time with.
    fn instants(&self) -> BTreeSet<Tick> {
        let mut instants: BTreeSet<Tick> = self.rollout_instants().into_iter().collect();
        for instance in self.instances.values() {
            match instance.life {
                Life::Starting { deadline, .. } | Life::Warming { deadline, .. } => {
                    instants.insert(deadline);
                }
                Life::Ready { .. } | Life::Unhealthy { .. } | Life::Stopping { .. } => {}
            }
            if let Some(since) = instance.draining_since()
                && !instance.is_stopping()
            {
                let times = self.traffic_of(instance.release());
                instants.extend([since.after(times.drain), since.after(times.tunnels)]);
            }
        }
        instants.extend(self.backoff_instants());
        instants.extend(self.one_off_deadlines());
        instants
    }
}

impl Then {
    /// What a step did, as people ask about it: the gravest of it. The end of an order that waited is not that of the rollout that runs.
    fn of(timeline: &[Entry], running: Option<RolloutId>) -> Then {
        let of_another = |entry: &&Entry| matches!(entry.action, Action::Ended { .. }) && entry.rollout != running;
        let told = timeline.iter().filter(|entry| !of_another(entry));
        told.filter_map(|entry| Then::of_action(&entry.action)).min().unwrap_or(Then::GoOn)
    }

    fn of_action(action: &Action) -> Option<Then> {
        match action {
            Action::Ended { outcome, .. } => Some(match outcome {
                Outcome::NeedsOperator { .. } => Then::CallOperator,
                Outcome::Done => Then::EndRollout,
                Outcome::RolledBack { .. } | Outcome::Superseded { .. } | Outcome::Refused { .. } => Then::EndBack,
            }),
            Action::TurnedBack { .. } | Action::Entered { phase: PhaseName::Rollback, .. } => Some(Then::RollBack),
            Action::DrainCut(_) => Some(Then::StopAnyway),
            Action::Lost { .. } | Action::Unhealthy { .. } => Some(Then::Replace),
            Action::OneOffFailed { .. } => Some(Then::EndCommand),
            Action::Entered { .. } => Some(Then::GoOn),
            Action::Starting(_) => Some(Then::Restart),
            Action::Began { .. }
            | Action::Queued { .. }
            | Action::Ready(_)
            | Action::NotReady { .. }
            | Action::Published { .. }
            | Action::Applied { .. }
            | Action::RequestsEnded(_)
            | Action::Drained(_)
            | Action::Stopping(_)
            | Action::Stopped(_)
            | Action::CheckBegan { .. }
            | Action::CheckPassed { .. }
            | Action::OneOffBegan { .. }
            | Action::OneOffPassed { .. }
            | Action::Mended { .. }
            | Action::Scaled { .. }
            | Action::Promoted { .. }
            | Action::ControllerRestarted { .. }
            | Action::Notified { .. } => None,
        }
    }
}
