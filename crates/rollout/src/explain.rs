//! Explaining: the report is read off the state, so that it can never say anything else than what the machine will do.

use std::collections::BTreeSet;

use gapless_model::{ReleaseId, Tick, Weight};

use crate::desired::Desired;
use crate::instance::{Drain, Instance, Life, Listing};
use crate::rollout::{Forward, Phase, Rollout, TestStage, Way};
use crate::service::{Service, Situation};
use crate::{
    Awaited, BatchReport, InstanceReport, InstanceState, LoadState, PhaseName, ReleaseReport, Report, Role,
    RolloutReport, SituationReport, TimeToRollBack, Wait,
};

impl Service {
    /// Where it stands.
    pub fn report(&self, now: Tick) -> Report {
        Report {
            service: self.name.clone(),
            now,
            situation: self.situation_report(),
            releases: self.release_reports(),
            waits: self.waits(now),
            next: self.next_deadline(now),
            rollback: self.time_to_roll_back(),
            queued: self.running().and_then(|rollout| rollout.queued.as_ref()).map(|queued| queued.order.rollout),
        }
    }

    fn label(&self, id: ReleaseId) -> gapless_model::ReleaseLabel {
        self.releases.get(&id).map(|release| release.label.clone()).expect("BUG: a release in use is not kept")
    }

    pub(crate) fn situation_report(&self) -> SituationReport {
        match &self.situation {
            Situation::Empty => SituationReport::Empty,
            Situation::Settled { current } => SituationReport::Settled { current: self.label(*current) },
            Situation::Stopped { current } => SituationReport::Stopped { current: self.label(*current) },
            Situation::Rollout(rollout) => SituationReport::Rollout(self.rollout_report(rollout)),
            Situation::NeedsOperator(stuck) => SituationReport::NeedsOperator {
                rollout: stuck.rollout,
                reason: stuck.cause.clone(),
                since: stuck.since,
            },
        }
    }

    fn rollout_report(&self, rollout: &Rollout) -> RolloutReport {
        let of = rollout.plan.batches;
        let (phase_since, batch, turned_back) = match &rollout.way {
            Way::Forward(forward) => (forward.since, rollout.plan.step(forward.at).batch + 1, None),
            Way::Back(back) => (back.since, of, Some(back.cause.clone())),
        };
        RolloutReport {
            rollout: rollout.id,
            from: rollout.from().map(|from| self.label(from)),
            to: self.label(rollout.to),
            strategy: rollout.plan.name(),
            origin: rollout.origin.clone(),
            phase: rollout.phase_name(),
            phase_since,
            batch: BatchReport { number: batch, of },
            began: rollout.began,
            turned_back,
            progress_milli: progress(rollout),
        }
    }

    fn release_reports(&self) -> Vec<ReleaseReport> {
        let roles = self.roles();
        let mut ids = roles.clone();
        let of_instances: Vec<ReleaseId> = self.instances.releases().filter(|id| !roles.contains(id)).collect();
        ids.extend(of_instances);
        let role = |id: ReleaseId| match &self.situation {
            Situation::Rollout(rollout) if rollout.to == id && rollout.plan.purpose.replaces() => Role::Candidate,
            Situation::NeedsOperator(stuck) if stuck.other == Some(id) => Role::Candidate,
            Situation::Empty
            | Situation::Settled { .. }
            | Situation::Stopped { .. }
            | Situation::Rollout(_)
            | Situation::NeedsOperator(_) => {
                if roles.contains(&id) {
                    Role::Current
                } else {
                    Role::Retiring
                }
            }
        };
        ids.into_iter()
            .map(|id| ReleaseReport {
                release: id,
                label: self.label(id),
                role: role(id),
                weight: self.weight(id),
                instances: self.instances.values().filter(|i| i.release() == id).map(instance_report).collect(),
            })
            .collect()
    }

    fn weight(&self, id: ReleaseId) -> Weight {
        let pools = self.table.published.iter().flat_map(|published| &published.routes.pools);
        pools.filter(|pool| pool.release == id).map(|pool| pool.weight).max().unwrap_or(Weight::NONE)
    }

    fn waits(&self, now: Tick) -> Vec<Wait> {
        let mut waits = Vec::new();
        let desired = self.desired();
        if let Some(published) = self.table.published.as_ref().filter(|_| !self.table.is_applied()) {
            waits.push(Wait { awaited: Awaited::Applied(published.number), since: published.since });
        }
        let of = |release: ReleaseId| desired.get(&release).copied().unwrap_or(Desired::NONE);
        let going: BTreeSet<u64> = self.instances.releases().flat_map(|id| self.instances.going(id, &of(id))).collect();
        for instance in self.instances.values() {
            let release = instance.release();
            let goes = || going.contains(&instance.id.ordinal);
            let id = instance.id.clone();
            let awaited = match &instance.life {
                Life::Starting { .. } => Some(Awaited::Started(id)),
                Life::Warming { .. } => Some(Awaited::Ready(id)),
                Life::Stopping { .. } => Some(Awaited::Stopped(id)),
                Life::Ready { .. } | Life::Unhealthy { .. } if instance.is_live() && goes() => {
                    Some(Awaited::Floor { ready: self.ready_in_load(), floor: self.floor() })
                }
                Life::Ready { .. } | Life::Unhealthy { .. } if goes() => {
                    instance.stop_permit(now, self.traffic_of(release).tunnels).err()
                }
                Life::Ready { .. } | Life::Unhealthy { .. } => None,
            };
            waits.extend(awaited.map(|awaited| Wait { since: self.waiting_since(&awaited, instance), awaited }));
        }
        for (release, desired) in &desired {
            if let Some(until) = self.backoff_until(*release, now)
                && self.instances.of(*release).missing(desired) > 0
            {
                let awaited = Awaited::Backoff { release: self.label(*release), until };
                waits.push(Wait { awaited, since: now });
            }
        }
        waits.extend(self.running().and_then(|rollout| self.phase_wait(rollout, now)));
        let mut seen = BTreeSet::new();
        waits.retain(|wait| seen.insert(wait.awaited.clone()));
        waits
    }

    /// Since when something about an instance is waited for: a drain lasts from the moment when no proxy routes to the instance, however
    /// long the instance had served before.
    fn waiting_since(&self, awaited: &Awaited, instance: &Instance) -> Tick {
        let published = self.table.published.as_ref().map(|published| published.since);
        match awaited {
            Awaited::Applied(_) => published,
            Awaited::Drained(_) | Awaited::LastingEnded(_) => instance.draining_since().or(published),
            Awaited::Floor { .. } => self.running().map(|rollout| match &rollout.way {
                Way::Forward(forward) => forward.since,
                Way::Back(back) => back.since,
            }),
            Awaited::Started(_)
            | Awaited::Ready(_)
            | Awaited::Stopped(_)
            | Awaited::Check(_)
            | Awaited::Hook(_)
            | Awaited::Observed { .. }
            | Awaited::Backoff { .. } => None,
        }
        .unwrap_or(instance.since())
    }

    fn phase_wait(&self, rollout: &Rollout, now: Tick) -> Option<Wait> {
        let Way::Forward(Forward { since, phase, .. }) = &rollout.way else { return None };
        let awaited = match phase {
            Phase::Observe { until, .. } | Phase::Bake { until, .. } if now < *until => {
                Awaited::Observed { until: *until }
            }
            Phase::Test { stage: TestStage::Checking { index, .. }, .. } => {
                Awaited::Check(self.releases.get(&rollout.to)?.spec.checks.get(*index)?.name.clone())
            }
            Phase::Hook { .. } => Awaited::Hook(self.hook_of_step()?.to_string()),
            Phase::Start { .. }
            | Phase::Warmup { .. }
            | Phase::Test { .. }
            | Phase::Expose { .. }
            | Phase::Observe { .. }
            | Phase::Bake { .. }
            | Phase::Drain { .. }
            | Phase::Stop { .. } => return None,
        };
        Some(Wait { awaited, since: *since })
    }

    /// How many instances are in load and ready.
    #[must_use]
    pub fn ready_in_load(&self) -> u16 {
        let ready = self.instances.pools().map(|(_, pool)| pool.live_ready).sum::<usize>();
        u16::try_from(ready).unwrap_or(u16::MAX)
    }

    /// What going back would take now.
    fn time_to_roll_back(&self) -> TimeToRollBack {
        let target = match &self.situation {
            Situation::Empty => None,
            Situation::Settled { .. } | Situation::Stopped { .. } => self.history.last().copied(),
            Situation::Rollout(rollout) => rollout.from(),
            Situation::NeedsOperator(stuck) => stuck.other.map(|_| stuck.current),
        };
        match target {
            None => TimeToRollBack::Impossible,
            Some(id) if self.ready(id) >= self.size_of(id) => TimeToRollBack::OneTable,
            Some(id) => match self.releases.get(&id) {
                Some(release) => TimeToRollBack::Restart { expected: crate::plan::readiness(&release.spec) },
                None => TimeToRollBack::Impossible,
            },
        }
    }
}

fn instance_report(instance: &Instance) -> InstanceReport {
    let state = match &instance.life {
        Life::Starting { .. } => InstanceState::Starting,
        Life::Warming { failing, .. } => InstanceState::Warming { failing: failing.clone() },
        Life::Ready { .. } => InstanceState::Ready,
        Life::Unhealthy { reason, .. } => InstanceState::Unhealthy { reason: reason.clone() },
        Life::Stopping { .. } => InstanceState::Stopping,
    };
    let load = match instance.listing {
        Listing::Never => LoadState::Out,
        Listing::Preview => LoadState::Preview,
        Listing::Live => LoadState::Live,
        Listing::Left { drain: Drain::Done, .. } => LoadState::Drained,
        Listing::Left { drain: Drain::AwaitingTable | Drain::Running { .. } | Drain::Lasting { .. }, .. } => {
            LoadState::Draining
        }
    };
    InstanceReport { instance: instance.id.clone(), state, since: instance.since(), address: instance.address(), load }
}

/// How far a rollout is, in thousandths: batches done, and within a batch the share of its phases.
fn progress(rollout: &Rollout) -> u16 {
    let of = u32::from(rollout.plan.batches);
    let within = match rollout.phase_name() {
        PhaseName::Hook => match rollout.step() {
            Some(step) if step.new.live > 0 => 590,
            Some(step) if step.new.instances > 0 => 500,
            Some(_) | None => 0,
        },
        PhaseName::Start => 0,
        PhaseName::Warmup => 150,
        PhaseName::Test => 400,
        PhaseName::Expose => 550,
        PhaseName::Observe => 600,
        PhaseName::Bake => 700,
        PhaseName::Drain => 850,
        PhaseName::Stop => 950,
        PhaseName::Rollback => 0,
    };
    let milli = match &rollout.way {
        Way::Forward(forward) => (u32::from(rollout.plan.step(forward.at).batch) * 1_000 + within) / of,
        Way::Back(_) => 0,
    };
    u16::try_from(milli).unwrap_or(1_000)
}
