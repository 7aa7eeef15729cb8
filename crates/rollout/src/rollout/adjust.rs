//! Adjusting the release that serves: another number of instances, none, or its instances again. Nothing is replaced, so there is nothing to
//! go back to: what does not come up in time is for an operator, and what does not drain in time goes on behind the rollout.
//!
//! Restarting is no adjustment but a rolling replacement of the release by itself: what serves stays until the fresh instances have proven
//! themselves, and a restart that fails turns back.

use gapless_model::{Amount, Millis, Order, Release, Strategy};

use crate::Adjustment;
use crate::desired::Desired;
use crate::rollout::compiled::{CompiledPlan, Draft, Purpose, Reversibility, Stage, Tests, Tunnels};

/// The plan for a release that is to have `before` instances so far.
pub(crate) fn compile(release: &Release, before: u16, adjustment: Adjustment) -> CompiledPlan {
    let mut draft = Draft::new(None, release, Tests::Skip);
    let stage = |new| Stage { old: Desired::NONE, new, reversibility: Reversibility::Earned };
    match adjustment {
        Adjustment::Scale { instances } if instances < before => {
            draft.retire(stage(Desired::live(instances)), Tunnels::LeftBehind);
        }
        Adjustment::Scale { instances } => {
            if instances > before {
                draft.bring_up(stage(Desired::partly(instances, before)));
            }
            draft.expose(stage(Desired::live(instances)));
        }
        Adjustment::Stop | Adjustment::Remove => draft.retire(stage(Desired::NONE), Tunnels::Awaited),
        Adjustment::Start => {
            let (_, instances) = draft.sizes();
            draft.bring_up(stage(Desired::partly(instances, 0)));
            draft.expose(stage(Desired::live(instances)));
        }
    }
    draft.finish("").with_purpose(Purpose::Adjust(adjustment))
}

/// How a release takes its own place: as its own strategy replaces others, where that is batch by batch, else a quarter at a time. Nothing of
/// it is new, so nothing bakes.
pub(crate) fn restart_strategy(release: &Release) -> Strategy {
    match &release.spec.strategy {
        Strategy::Rolling { batch, order, observe, bake: _ } => {
            Strategy::Rolling { batch: *batch, order: *order, observe: *observe, bake: Millis::ZERO }
        }
        Strategy::BlueGreen { .. } => Strategy::Rolling {
            batch: Amount::Percent(25),
            order: Order::SurgeFirst,
            observe: Millis::ZERO,
            bake: Millis::ZERO,
        },
    }
}
