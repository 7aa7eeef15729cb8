//! Operators' orders: what each one begins, or why it is refused.

use std::sync::Arc;

use gapless_model::{Millis, ReleaseId, RolloutId, SecondOrder, Strategy};

use crate::effect::Outcome;
use crate::rollout::compiled::Reversibility;
use crate::rollout::{Back, BackStage, CompiledPlan, Forward, Phase, Purpose, Queued, Rollout, Tests, Way, adjust};
use crate::service::{Situation, resized};
use crate::transition::Transition;
use crate::{
    Action, AdjustOrder, Adjustment, Cause, DeployOrder, Origin, OwnOrder, Place, Placed, Refusal, RollbackOrder,
};

impl Transition {
    pub(crate) fn deploy(&mut self, order: DeployOrder) -> Result<(), Refusal> {
        let spec = &order.release.spec;
        if spec.service != self.service.name {
            let (expected, found) = (self.service.name.clone(), spec.service.clone());
            return Err(Refusal::OtherService { expected, found });
        }
        self.check_number(order.rollout)?;
        if self.service.roles().contains(&order.release.id) {
            return Err(Refusal::AlreadyDeployed(order.release.id));
        }
        let Situation::Rollout(running) = &self.service.situation else {
            let strategy = order.strategy.as_ref().unwrap_or(&order.release.spec.strategy);
            let plan = CompiledPlan::for_service(&self.service, &order.release, strategy, Tests::Run)?;
            self.place(&order, Place::Running);
            self.begin(order, plan);
            return Ok(());
        };
        let supersedes = match spec.second_order {
            SecondOrder::Reject => return Err(Refusal::RolloutRunning { running: running.id }),
            SecondOrder::Queue => None,
            SecondOrder::Supersede => Some(Cause::Superseded { by: order.rollout }),
        };
        let behind = running.id;
        self.place(&order, Place::Queued { behind });
        self.queue(order);
        if let Some(cause) = supersedes
            && self.can_turn_back()
        {
            self.turn_back(cause);
        }
        Ok(())
    }

    /// Begins to replace the instances of the current release by fresh ones; refused while a rollout runs.
    pub(crate) fn restart(&mut self, order: DeployOrder) -> Result<(), Refusal> {
        let current = self.adjustable()?;
        if matches!(self.service.situation, Situation::Stopped { .. }) {
            return Err(Refusal::Stopped);
        }
        self.check_number(order.rollout)?;
        let before = self.service.releases.get(&current).ok_or(Refusal::ReleaseNotKept(current))?;
        let DeployOrder { release, .. } = &order;
        if (&release.label, release.digest) != (&before.label, before.digest) {
            return Err(Refusal::OtherContent(release.id));
        }
        if release.id == current {
            return Err(Refusal::AlreadyDeployed(current));
        }
        let instances = before.spec.instances;
        let release =
            if release.spec.instances == instances { Arc::clone(release) } else { resized(release, instances) };
        let strategy = adjust::restart_strategy(&release);
        let plan = CompiledPlan::for_service(&self.service, &release, &strategy, Tests::Skip)?;
        if self.service.scaled.contains_key(&current) {
            self.service.scaled.insert(release.id, instances);
        }
        let order = DeployOrder { release, ..order };
        self.place(&order, Place::Running);
        self.begin(order, plan.with_purpose(Purpose::Restart));
        Ok(())
    }

    /// Begins to run the current release in another way; refused while a rollout runs.
    pub(crate) fn adjust(&mut self, order: AdjustOrder) -> Result<(), Refusal> {
        let AdjustOrder { rollout, adjustment, origin } = order;
        let current = self.adjustable()?;
        match (&self.service.situation, adjustment) {
            (Situation::Stopped { .. }, Adjustment::Scale { .. } | Adjustment::Stop) => return Err(Refusal::Stopped),
            (Situation::Stopped { .. }, Adjustment::Start) => {}
            (_, Adjustment::Start) => return Err(Refusal::NotStopped),
            (Situation::NeedsOperator(stuck), Adjustment::Scale { .. }) => {
                return Err(Refusal::Undecided(stuck.rollout));
            }
            (_, Adjustment::Scale { instances: 0 }) => return Err(Refusal::NoInstance),
            (_, Adjustment::Scale { .. } | Adjustment::Stop | Adjustment::Remove) => {}
        }
        self.check_number(rollout)?;
        let before = self.service.size_of(current);
        if let Adjustment::Scale { instances } = adjustment {
            self.service.resize(current, instances);
        }
        let release = self.service.releases.get(&current).cloned().ok_or(Refusal::ReleaseNotKept(current))?;
        let plan = adjust::compile(&release, before, adjustment);
        let order = DeployOrder { rollout, release, strategy: None, origin };
        self.place(&order, Place::Running);
        self.begin(order, plan);
        if let Adjustment::Scale { instances } = adjustment {
            self.note(Action::Scaled { from: before, to: instances });
        }
        Ok(())
    }

    /// The release that an adjustment or a restart is about.
    fn adjustable(&self) -> Result<ReleaseId, Refusal> {
        match &self.service.situation {
            Situation::Empty => Err(Refusal::NothingDeployed),
            Situation::Rollout(running) => Err(Refusal::RolloutRunning { running: running.id }),
            Situation::Settled { current } | Situation::Stopped { current } => Ok(*current),
            Situation::NeedsOperator(stuck) => Ok(stuck.current),
        }
    }

    /// The order is taken, under its own number.
    fn place(&mut self, order: &DeployOrder, place: Place) {
        let DeployOrder { rollout, release, origin, .. } = order;
        self.service.numbers.rollout = *rollout;
        let (to, origin) = (release.label.clone(), origin.clone());
        self.placed = Some(Placed::Own(OwnOrder { rollout: *rollout, to, origin, place }));
    }

    pub(crate) fn roll_back(&mut self, order: RollbackOrder) -> Result<(), Refusal> {
        let RollbackOrder { rollout, to, origin } = order;
        match &self.service.situation {
            Situation::Empty => Err(Refusal::NoEarlierRelease),
            Situation::Rollout(rollout) => match to {
                Some(to) if rollout.from() != Some(to) => {
                    let from = rollout.from().and_then(|from| self.service.releases.get(&from));
                    let back_to = from.map_or_else(|| "nothing".to_owned(), |from| from.label.to_string());
                    Err(Refusal::GoesBackElsewhere { running: rollout.id, back_to })
                }
                Some(_) | None => self.abort(origin),
            },
            Situation::Settled { current } | Situation::Stopped { current } => {
                let current = *current;
                let to = to.or_else(|| self.service.history.last().copied()).ok_or(Refusal::NoEarlierRelease)?;
                self.check_number(rollout)?;
                self.return_to(current, to, rollout, origin)
            }
            Situation::NeedsOperator(stuck) => {
                let (current, other) = (stuck.current, stuck.other);
                self.check_number(rollout)?;
                match (to, other) {
                    (Some(to), _) if to != current => self.return_to(current, to, rollout, origin),
                    (Some(_) | None, Some(other)) => self.retry_way_back(current, other, rollout, origin),
                    (Some(_) | None, None) => Err(Refusal::NoEarlierRelease),
                }
            }
        }
    }

    pub(crate) fn abort(&mut self, origin: Origin) -> Result<(), Refusal> {
        let Situation::Rollout(rollout) = &self.service.situation else { return Err(Refusal::NoRollout) };
        match &rollout.way {
            Way::Back(_) => Err(Refusal::RollingBack(rollout.id)),
            Way::Forward(_) => {
                if let Purpose::Adjust(adjustment) = rollout.plan.purpose {
                    return Err(Refusal::NoWayBack { running: rollout.id, what: adjustment.name() });
                }
                if rollout.reversibility() == Reversibility::Earned && rollout.from().is_none() {
                    return Err(Refusal::NoEarlierRelease);
                }
                self.placed = Some(Placed::OfRunning(rollout.id));
                self.turn_back(Cause::Operator(origin));
                Ok(())
            }
        }
    }

    pub(crate) fn promote(&mut self, origin: Origin) -> Result<(), Refusal> {
        let now = self.now;
        let Situation::Rollout(rollout) = &mut self.service.situation else { return Err(Refusal::NoRollout) };
        match &mut rollout.way {
            Way::Back(_) => Err(Refusal::RollingBack(rollout.id)),
            Way::Forward(forward) => match &mut forward.phase {
                Phase::Observe { until, .. } | Phase::Bake { until, .. } => {
                    *until = now;
                    self.placed = Some(Placed::OfRunning(rollout.id));
                    self.note(Action::Promoted { origin });
                    Ok(())
                }
                Phase::Hook { .. }
                | Phase::Start { .. }
                | Phase::Warmup { .. }
                | Phase::Test { .. }
                | Phase::Expose { .. }
                | Phase::Drain { .. }
                | Phase::Stop { .. } => Err(Refusal::NothingToPromote { phase: forward.phase.name() }),
            },
        }
    }

    fn check_number(&self, given: RolloutId) -> Result<(), Refusal> {
        let last = self.service.numbers.rollout;
        if given <= last { Err(Refusal::RolloutNumberUsed { given, last }) } else { Ok(()) }
    }

    /// Whether the running rollout is going forward and its result is not earned yet.
    fn can_turn_back(&self) -> bool {
        self.service.running().is_some_and(|rollout| rollout.reversibility() != Reversibility::Earned)
    }

    /// At most one order waits; the one that waited before is over.
    fn queue(&mut self, order: DeployOrder) {
        let (by, since) = (order.rollout, self.now);
        self.service.releases.insert(order.release.id, Arc::clone(&order.release));
        let Some(behind) = self.service.rollout() else { return };
        self.note_of(by, Action::Queued { to: order.release.label.clone(), behind });
        let Situation::Rollout(rollout) = &mut self.service.situation else { return };
        if let Some(earlier) = rollout.queued.replace(Queued { order, since }) {
            let waited = since.since(earlier.since);
            self.end(earlier.order.rollout, Outcome::Superseded { by }, waited, None);
        }
    }

    /// Begins a rollout; the situation is not one already.
    pub(crate) fn begin(&mut self, order: DeployOrder, plan: CompiledPlan) {
        let DeployOrder { rollout, release, strategy: _, origin } = order;
        self.service.releases.insert(release.id, Arc::clone(&release));
        let from = plan.from.and_then(|id| self.service.releases.get(&id)).map(|release| release.label.clone());
        let stopped = matches!(self.service.situation, Situation::Stopped { .. });
        let plan = match plan.purpose {
            Purpose::Replace(_) if stopped => plan.with_purpose(Purpose::Replace("deploy while stopped")),
            _ => plan,
        };
        let action = Action::Began { from, to: release.label.clone(), strategy: plan.name() };
        let rests = match self.service.situation {
            Situation::Stopped { current } if plan.purpose.replaces() => Some(current),
            _ => None,
        };
        let phase = Phase::begin(plan.step(0), self.now, None);
        self.service.situation = Situation::Rollout(Box::new(Rollout {
            id: rollout,
            origin,
            to: release.id,
            plan,
            rests,
            began: self.now,
            deadline: self.now.after(release.spec.rollout_timeout),
            way: Way::Forward(Forward { at: 0, since: self.now, phase }),
            queued: None,
        }));
        self.note(action);
        self.note_entered();
    }

    /// Goes back to an earlier release by a rollout: it was stopped, so it comes up beside and takes over by one table.
    fn return_to(
        &mut self,
        current: ReleaseId,
        to: ReleaseId,
        rollout: RolloutId,
        origin: Origin,
    ) -> Result<(), Refusal> {
        if to == current {
            return Err(Refusal::AlreadyDeployed(to));
        }
        let release = self.service.releases.get(&to).cloned().ok_or(Refusal::ReleaseNotKept(to))?;
        let strategy = Strategy::BlueGreen { bake: Millis::ZERO };
        let plan = CompiledPlan::for_service(&self.service, &release, &strategy, Tests::Skip)?;
        let plan = plan.with_purpose(Purpose::Return);
        let order = DeployOrder { rollout, release, strategy: Some(strategy), origin };
        self.place(&order, Place::Running);
        self.begin(order, plan);
        Ok(())
    }

    /// Tries once more to put back `current` where `other` is in the way.
    fn retry_way_back(
        &mut self,
        current: ReleaseId,
        other: ReleaseId,
        rollout: RolloutId,
        origin: Origin,
    ) -> Result<(), Refusal> {
        let find = |id: ReleaseId| self.service.releases.get(&id).ok_or(Refusal::ReleaseNotKept(id));
        let (from, to) = (find(current)?, find(other)?);
        let strategy = Strategy::BlueGreen { bake: Millis::ZERO };
        let plan = CompiledPlan::compile(Some(from), to, &strategy, Tests::Skip)?;
        let own = OwnOrder { rollout, to: from.label.clone(), origin: origin.clone(), place: Place::Running };
        let cause = Cause::Operator(origin.clone());
        let action = Action::Began { from: Some(to.label.clone()), to: from.label.clone(), strategy: "rollback" };
        let deadline = self.now.after(to.spec.rollout_timeout);
        let stage = BackStage::Leave { deadline };
        self.service.situation = Situation::Rollout(Box::new(Rollout {
            id: rollout,
            origin,
            to: other,
            plan,
            rests: None,
            began: self.now,
            deadline,
            way: Way::Back(Back { cause: cause.clone(), since: self.now, stage }),
            queued: None,
        }));
        self.service.numbers.rollout = rollout;
        self.placed = Some(Placed::Own(own));
        self.note(action);
        self.enter_back(cause);
        Ok(())
    }
}
