//! Rolling: batch by batch, surge first or in place.
//!
//! Surge first: (Start → Warmup → Test → Expose → Observe → Drain → Stop) per batch. In place: (Drain → Stop → Start →
//! Warmup → Test → Expose → Observe) per batch. Only the first batch is tested; the checks ask the release, not the instance.
//! After the last Observe the whole bakes; surge first keeps the last batch's old instances warm for that long, so that a
//! way back exists while it bakes.

use gapless_model::{Amount, Millis, Order, Release, ReleaseId};

use crate::rollout::course::{Next, Stand, candidate};
use crate::want::{Want, Wants};
use crate::{PhaseName, Refusal};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Rolling {
    pub from: ReleaseId,
    pub to: ReleaseId,
    /// Instances of the old release before the rollout.
    pub old: u16,
    /// Instances of the candidate after it.
    pub new: u16,
    /// Instances per batch; at least one.
    pub batch: u16,
    pub order: Order,
    pub observe: Millis,
    pub bake: Millis,
}

/// Compiles the strategy; in place takes the largest batch that keeps the floor.
pub(super) fn compile(
    from: &Release,
    to: &Release,
    batch: Amount,
    order: Order,
    observe: Millis,
    bake: Millis,
) -> Result<Rolling, Refusal> {
    let (old, new) = (from.spec.instances.max(1), to.spec.instances.max(1));
    let batch = batch.at_least_one_of(new).max(1);
    let mut rolling = Rolling { from: from.id, to: to.id, old, new, batch, order, observe, bake };
    if order == Order::SurgeFirst {
        return Ok(rolling);
    }
    let floor = from.spec.floor.share_up(old).min(to.spec.floor.share_up(new));
    while rolling.least_in_load() < floor {
        if rolling.batch == 1 {
            return Err(Refusal::FloorForbidsInPlace { left: rolling.least_in_load(), instances: old, floor });
        }
        rolling.batch -= 1;
    }
    Ok(rolling)
}

impl Rolling {
    pub(super) fn batches(&self) -> u16 {
        self.new.div_ceil(self.batch)
    }

    fn is_last(&self, batch: u16) -> bool {
        batch + 1 >= self.batches()
    }

    /// Candidates in load once `batches` batches are exposed.
    fn exposed(&self, batches: u16) -> u16 {
        batches.saturating_mul(self.batch).min(self.new)
    }

    /// Old instances left once `batches` batches are replaced: in proportion, rounded up, none after the last.
    fn left(&self, batches: u16) -> u16 {
        let replaced = u32::from(self.old) * u32::from(self.exposed(batches)) / u32::from(self.new);
        self.old - u16::try_from(replaced).unwrap_or(self.old)
    }

    /// The fewest instances in load at any moment of an in-place rollout.
    fn least_in_load(&self) -> u16 {
        (0..self.batches()).map(|batch| self.left(batch + 1) + self.exposed(batch)).min().unwrap_or(0)
    }

    pub(super) fn begin(&self) -> PhaseName {
        match self.order {
            Order::SurgeFirst => PhaseName::Start,
            Order::InPlace => PhaseName::Drain,
        }
    }

    pub(super) fn next(&self, phase: PhaseName, batch: u16) -> Next {
        match phase {
            PhaseName::Start => Next::Phase(PhaseName::Warmup),
            PhaseName::Warmup if batch == 0 => Next::Phase(PhaseName::Test),
            PhaseName::Warmup | PhaseName::Test => Next::Phase(PhaseName::Expose),
            PhaseName::Expose => Next::Phase(PhaseName::Observe),
            PhaseName::Observe if self.is_last(batch) => Next::Phase(PhaseName::Bake),
            PhaseName::Drain => Next::Phase(PhaseName::Stop),
            PhaseName::Observe => match self.order {
                Order::SurgeFirst => Next::Phase(PhaseName::Drain),
                Order::InPlace => Next::Batch(PhaseName::Drain),
            },
            PhaseName::Bake => match self.order {
                Order::SurgeFirst => Next::Phase(PhaseName::Drain),
                Order::InPlace => Next::Done,
            },
            PhaseName::Stop => match self.order {
                Order::SurgeFirst if self.is_last(batch) => Next::Done,
                Order::SurgeFirst => Next::Batch(PhaseName::Start),
                Order::InPlace => Next::Phase(PhaseName::Start),
            },
            PhaseName::Rollback => Next::Done,
        }
    }

    pub(super) fn stand(&self, phase: PhaseName, batch: u16) -> Stand {
        let exposed = if batch == 0 { Stand::Unexposed } else { Stand::Exposed };
        match (self.order, phase) {
            (_, PhaseName::Start | PhaseName::Warmup | PhaseName::Test) => exposed,
            (_, PhaseName::Expose | PhaseName::Observe | PhaseName::Bake) => Stand::Exposed,
            (Order::InPlace, PhaseName::Drain | PhaseName::Stop) => exposed,
            (Order::SurgeFirst, PhaseName::Drain | PhaseName::Stop) if self.is_last(batch) => Stand::Earned,
            (Order::SurgeFirst, PhaseName::Drain | PhaseName::Stop) => Stand::Exposed,
            (_, PhaseName::Rollback) => Stand::Earned,
        }
    }

    pub(super) fn wants(&self, phase: PhaseName, batch: u16) -> Wants {
        let (before, after) = (self.exposed(batch), self.exposed(batch + 1));
        let (old_before, old_after) = (self.left(batch), self.left(batch + 1));
        let (old, new) = match (self.order, phase) {
            (Order::SurgeFirst, PhaseName::Start | PhaseName::Warmup | PhaseName::Test) => {
                (Want::live(old_before), candidate(phase, after, before))
            }
            (Order::SurgeFirst, PhaseName::Expose | PhaseName::Observe) => (Want::live(old_before), Want::live(after)),
            (Order::SurgeFirst, PhaseName::Bake) => (Want::partly(old_before, 0), Want::live(after)),
            (Order::SurgeFirst, PhaseName::Drain | PhaseName::Stop | PhaseName::Rollback) => {
                (Want::live(old_after), Want::live(after))
            }
            (Order::InPlace, PhaseName::Drain | PhaseName::Stop) => (Want::live(old_after), Want::live(before)),
            (Order::InPlace, PhaseName::Start | PhaseName::Warmup | PhaseName::Test) => {
                (Want::live(old_after), candidate(phase, after, before))
            }
            (Order::InPlace, PhaseName::Expose | PhaseName::Observe | PhaseName::Bake | PhaseName::Rollback) => {
                (Want::live(old_after), Want::live(after))
            }
        };
        Wants::from([(self.from, old), (self.to, new)])
    }
}
