//! Deadlines: when the machine wants to be woken, and what happens then.

use gapless_model::Tick;

use crate::instance::{Drain, Life, Listing};
use crate::rollout::advance::then;
use crate::rollout::{BackStage, Forward, Phase, Rollout, Way};
use crate::service::{Service, Situation};
use crate::want::sort;
use crate::{NextDeadline, Then};

impl Service {
    /// The deadline that comes next after `now`.
    pub(crate) fn next_deadline(&self, now: Tick) -> Option<NextDeadline> {
        let mut deadlines = Vec::new();
        if let Situation::Rollout(rollout) = &self.situation {
            rollout_deadlines(rollout, &mut deadlines);
        }
        self.fleet_deadlines(now, &mut deadlines);
        deadlines.into_iter().filter(|deadline| deadline.at > now).min_by_key(|deadline| deadline.at)
    }

    fn fleet_deadlines(&self, now: Tick, deadlines: &mut Vec<NextDeadline>) {
        let wants = self.wants();
        for instance in self.instances.values() {
            match instance.life {
                Life::Starting { deadline, .. } | Life::Warming { deadline, .. } => {
                    deadlines.push(NextDeadline { at: deadline, then: Then::Replace });
                }
                Life::Ready { .. } | Life::Unhealthy { .. } | Life::Stopping { .. } => {}
            }
            if let Listing::Left { drain: Drain::Running { since }, .. } = instance.listing
                && !instance.is_stopping()
            {
                let release = instance.release();
                let goes = sort(&self.instances, release, wants.get(&release)).go.contains(&instance.id.ordinal);
                let times = self.traffic_of(release);
                if goes {
                    deadlines.push(NextDeadline { at: since.after(times.drain), then: Then::GoOn });
                    deadlines.push(NextDeadline { at: since.after(times.tunnels), then: Then::StopAnyway });
                }
            }
        }
        for (release, want) in &wants {
            if let Some(until) = self.backoff_until(*release, now)
                && sort(&self.instances, *release, Some(want)).missing > 0
            {
                deadlines.push(NextDeadline { at: until, then: Then::Restart });
            }
        }
    }
}

fn rollout_deadlines(rollout: &Rollout, deadlines: &mut Vec<NextDeadline>) {
    match &rollout.way {
        Way::Forward(forward) => {
            let name = forward.phase.name();
            let stand = rollout.course.stand(name, forward.batch);
            deadlines.push(NextDeadline { at: forward.phase.deadline(), then: then(&rollout.course, name, stand) });
            deadlines.push(NextDeadline { at: rollout.deadline, then: Then::RollBack });
            deadlines.extend(watched(forward));
        }
        Way::Back(back) => {
            let then = match back.stage {
                BackStage::Restore { .. } | BackStage::Switch { .. } => Then::CallOperator,
                BackStage::Leave { .. } => Then::EndRollout,
            };
            deadlines.push(NextDeadline { at: back.stage.deadline(), then });
        }
    }
}

/// The end of an observation.
fn watched(forward: &Forward) -> Option<NextDeadline> {
    match &forward.phase {
        Phase::Observe { until, .. } | Phase::Bake { until, .. } => Some(NextDeadline { at: *until, then: Then::GoOn }),
        Phase::Start { .. }
        | Phase::Warmup { .. }
        | Phase::Test { .. }
        | Phase::Expose { .. }
        | Phase::Drain { .. }
        | Phase::Stop { .. } => None,
    }
}
