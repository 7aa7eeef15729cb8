//! First deploy: Start → Warmup → Test → Expose. There is nothing to compare with and nothing to go back to, so nothing is
//! baked; before Expose a failure stops the candidate, after it losses are healed.

use gapless_model::HookPoint;

use crate::desired::Desired;
use crate::rollout::compiled::{CompiledPlan, Draft, Reversibility, Stage};

pub(super) fn compile(mut draft: Draft<'_>) -> CompiledPlan {
    let (_, instances) = draft.sizes();
    let old = Desired::NONE;
    let up = Stage { old, new: Desired::partly(instances, 0), reversibility: Reversibility::Unexposed };
    let serving = Stage { old, new: Desired::live(instances), reversibility: Reversibility::Earned };
    draft.prepare(old);
    draft.bring_up(up);
    draft.test(up);
    draft.hooks(HookPoint::BeforeExpose, up);
    draft.expose(serving);
    draft.hooks(HookPoint::AfterExpose, serving);
    draft.finish("first deploy")
}
