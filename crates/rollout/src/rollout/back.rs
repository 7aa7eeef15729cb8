//! The way back: the release before is proven ready, then the candidate leaves load, then it is stopped (I11).
//!
//! Where the old instances are warm the proof is there already and the way back is one table. There is no automatic way out of a
//! way back: what fails here calls an operator, and everything that serves is kept.

use gapless_model::Tick;

use crate::instance::Instance;
use crate::one_off::Running;
use crate::planted::PlantedBug;
use crate::rollout::{Back, BackStage, Rollout, Way};
use crate::service::{Service, Situation};
use crate::transition::Transition;
use crate::{Action, BatchReport, Cause, PhaseName};

/// Leave to take the candidate out of load; only [`Service::way_back_proven`] makes one.
struct WayBackProven;

impl Transition {
    /// Turns a rollout that goes forward.
    pub(crate) fn turn_back(&mut self, cause: Cause) {
        let Some(rollout) = self.service.running() else { return };
        match &rollout.way {
            Way::Forward(_) => {
                self.note(Action::TurnedBack { cause: cause.clone() });
                self.enter_back(cause);
            }
            Way::Back(_) => {}
        }
    }

    /// Begins the way back, at its second stage where the proof is there.
    pub(crate) fn enter_back(&mut self, cause: Cause) {
        let Some(rollout) = self.service.running() else { return };
        let stage = match self.service.way_back_proven(rollout) {
            Some(proof) => self.switch(rollout, &proof),
            None => BackStage::Restore { failures: 0, deadline: self.now.after(rollout.plan.back.restore) },
        };
        let since = self.now;
        if let Situation::Rollout(rollout) = &mut self.service.situation {
            rollout.way = Way::Back(Back { cause, since, stage });
        }
        self.note(Action::Entered { phase: PhaseName::Rollback, batch: BatchReport { number: 1, of: 1 } });
    }

    fn switch(&self, rollout: &Rollout, _proof: &WayBackProven) -> BackStage {
        BackStage::Switch { deadline: self.now.after(rollout.plan.back.switch) }
    }

    /// Moves the way back by at most one stage; says whether it did.
    pub(crate) fn advance_back(&mut self) -> bool {
        let Some(rollout) = self.service.running() else { return false };
        let Way::Back(back) = &rollout.way else { return false };
        let late = self.now >= back.stage.deadline();
        let after = self.now.since(back.since);
        match &back.stage {
            BackStage::Restore { .. } => match self.service.way_back_proven(rollout) {
                Some(proof) => {
                    let stage = self.switch(rollout, &proof);
                    self.set_stage(stage);
                }
                None if late => self.call_operator(Cause::Deadline { phase: PhaseName::Rollback, after }),
                None => return false,
            },
            BackStage::Switch { .. } => {
                if self.service.candidate_out(rollout) {
                    let deadline = self.now.after(rollout.plan.back.leave);
                    self.set_stage(BackStage::Leave { deadline });
                } else if late {
                    self.call_operator(Cause::Deadline { phase: PhaseName::Rollback, after });
                } else {
                    return false;
                }
            }
            BackStage::Leave { .. } => {
                if !late && !self.service.candidate_gone(rollout, self.now) {
                    return false;
                }
                let cause = back.cause.clone();
                self.finish_back(cause);
            }
        }
        true
    }

    fn set_stage(&mut self, next: BackStage) {
        let now = self.now;
        if let Situation::Rollout(rollout) = &mut self.service.situation
            && let Way::Back(back) = &mut rollout.way
        {
            back.stage = next;
            back.since = now;
        }
    }
}

impl Service {
    /// Proof that the candidate may leave load: nobody is served by it, or the release before is ready in full.
    fn way_back_proven(&self, rollout: &Rollout) -> Option<WayBackProven> {
        let exposed = self.live(rollout.to);
        let restored = rollout.from().is_none_or(|from| self.ready(from) >= self.size_of(from));
        (exposed == 0 || restored || self.has(PlantedBug::UnprovenRollback)).then_some(WayBackProven)
    }

    /// Every proxy uses a table without the candidate.
    fn candidate_out(&self, rollout: &Rollout) -> bool {
        {
            let pool = self.instances.of(rollout.to);
            pool.live + pool.preview == 0 && self.table_in_use()
        }
    }

    /// The candidate's instances are gone, but for those that hold tunnels: they drain on by themselves.
    fn candidate_gone(&self, rollout: &Rollout, now: Tick) -> bool {
        let pool = self.instances.of(rollout.to);
        let holds = |instance: &Instance| instance.release() != rollout.to || self.holds_tunnels(instance, now);
        let hooks_gone = !self.one_offs.values().any(Running::is_gate);
        hooks_gone && (pool.all == 0 || (pool.stopping == 0 && self.instances.values().all(holds)))
    }
}
