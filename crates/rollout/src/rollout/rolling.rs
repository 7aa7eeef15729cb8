//! Rolling: batch by batch, surge first or in place.
//!
//! Surge first: (Start → Warmup → Test → Expose → Observe → Drain → Stop) per batch. In place: (Drain → Stop → Start →
//! Warmup → Test → Expose → Observe) per batch. Only the first batch is tested; the checks ask the release, not the instance.
//! After the last Observe the whole bakes; surge first keeps the last batch's old instances warm for that long, so that a
//! way back exists while it bakes.

use gapless_model::{Amount, HookPoint, Millis, Order, ReleaseSpec};

use crate::desired::Desired;
use crate::rollout::compiled::{CompiledPlan, Draft, Reversibility, Stage, Tunnels};
use crate::{PhaseName, Refusal};

/// How many instances are replaced, and how many at a time.
pub(super) struct Sizes {
    /// Instances of the old release before the rollout.
    old: u16,
    /// Instances of the candidate after it.
    new: u16,
    /// Instances per batch; at least one.
    batch: u16,
}

impl Sizes {
    /// In place takes the largest batch that keeps the floor.
    ///
    /// # Errors
    /// [`Refusal::FloorForbidsInPlace`].
    pub(super) fn of(from: &ReleaseSpec, to: &ReleaseSpec, batch: Amount, order: Order) -> Result<Sizes, Refusal> {
        let (old, new) = (from.instances.max(1), to.instances.max(1));
        let mut sizes = Sizes { old, new, batch: batch.at_least_one_of(new).max(1) };
        if order == Order::SurgeFirst {
            return Ok(sizes);
        }
        let floor = from.floor.share_up(old).min(to.floor.share_up(new));
        while sizes.least_in_load() < floor {
            if sizes.batch == 1 {
                return Err(Refusal::FloorForbidsInPlace { left: sizes.least_in_load(), instances: old, floor });
            }
            sizes.batch -= 1;
        }
        Ok(sizes)
    }

    fn batches(&self) -> u16 {
        self.new.div_ceil(self.batch)
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
}

pub(super) fn compile(
    mut draft: Draft<'_>,
    sizes: &Sizes,
    order: Order,
    observe: Millis,
    bake: Millis,
) -> CompiledPlan {
    let times = (observe, bake);
    draft.prepare(Desired::live(sizes.left(0)));
    for batch in 0..sizes.batches() {
        draft.begin_batch(batch);
        match order {
            Order::SurgeFirst => surge(&mut draft, sizes, batch, times),
            Order::InPlace => in_place(&mut draft, sizes, batch, times),
        }
    }
    draft.finish(match order {
        Order::SurgeFirst => "rolling",
        Order::InPlace => "rolling in place",
    })
}

/// Whether anybody is served by the candidate before a batch of it is exposed.
fn before_exposure(batch: u16) -> Reversibility {
    if batch == 0 { Reversibility::Unexposed } else { Reversibility::Exposed }
}

fn surge(draft: &mut Draft<'_>, sizes: &Sizes, batch: u16, (observe, bake): (Millis, Millis)) {
    let (before, after) = (sizes.exposed(batch), sizes.exposed(batch + 1));
    let (old, left) = (sizes.left(batch), sizes.left(batch + 1));
    let is_last = batch + 1 == sizes.batches();
    let up =
        Stage { old: Desired::live(old), new: Desired::partly(after, before), reversibility: before_exposure(batch) };
    let exposed = Stage { new: Desired::live(after), reversibility: Reversibility::Exposed, ..up };
    draft.bring_up(up);
    if batch == 0 {
        draft.test(up);
        draft.hooks(HookPoint::BeforeExpose, up);
    }
    draft.expose(exposed);
    if is_last {
        draft.hooks(HookPoint::AfterExpose, exposed);
    }
    draft.watch(PhaseName::Observe, exposed, observe);
    if is_last {
        draft.watch(PhaseName::Bake, Stage { old: Desired::partly(old, 0), ..exposed }, bake);
    }
    let reversibility = if is_last { Reversibility::Earned } else { Reversibility::Exposed };
    draft.retire(Stage { old: Desired::live(left), reversibility, ..exposed }, Tunnels::LeftBehind);
}

fn in_place(draft: &mut Draft<'_>, sizes: &Sizes, batch: u16, (observe, bake): (Millis, Millis)) {
    let (before, after) = (sizes.exposed(batch), sizes.exposed(batch + 1));
    let old = Desired::live(sizes.left(batch + 1));
    let reversibility = before_exposure(batch);
    let is_last = batch + 1 == sizes.batches();
    let up = Stage { old, new: Desired::partly(after, before), reversibility };
    let exposed = Stage { new: Desired::live(after), reversibility: Reversibility::Exposed, ..up };
    draft.retire(Stage { new: Desired::live(before), ..up }, Tunnels::Awaited);
    draft.bring_up(up);
    if batch == 0 {
        draft.test(up);
        draft.hooks(HookPoint::BeforeExpose, up);
    }
    draft.expose(exposed);
    if is_last {
        draft.hooks(HookPoint::AfterExpose, exposed);
    }
    draft.watch(PhaseName::Observe, exposed, observe);
    if is_last {
        draft.watch(PhaseName::Bake, exposed, bake);
    }
}
