//! Blue-green: Start → Warmup → Test → Expose → Bake → Drain → Stop. The whole candidate comes up beside the current release,
//! is tested before anyone is switched, is switched to by one table, and the old release stays warm through Bake.

use gapless_model::{HookPoint, Millis};

use crate::PhaseName;
use crate::desired::Desired;
use crate::rollout::compiled::{CompiledPlan, Draft, Reversibility, Stage, Tunnels};

pub(super) fn compile(mut draft: Draft<'_>, bake: Millis) -> CompiledPlan {
    let (old, new) = draft.sizes();
    let beside =
        Stage { old: Desired::live(old), new: Desired::partly(new, 0), reversibility: Reversibility::Unexposed };
    let switched =
        Stage { old: Desired::partly(old, 0), new: Desired::live(new), reversibility: Reversibility::Exposed };
    let alone = Stage { old: Desired::NONE, new: Desired::live(new), reversibility: Reversibility::Earned };
    draft.prepare(beside.old);
    draft.bring_up(beside);
    draft.test(beside);
    draft.hooks(HookPoint::BeforeExpose, beside);
    draft.expose(switched);
    draft.hooks(HookPoint::AfterExpose, switched);
    draft.watch(PhaseName::Bake, switched, bake);
    draft.retire(alone, Tunnels::LeftBehind);
    draft.finish("blue-green")
}
