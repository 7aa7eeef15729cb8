//! Blue-green: Start → Warmup → Test → Expose → Bake → Drain → Stop. The whole candidate comes up beside the current release,
//! is tested before anyone is switched, is switched to by one table, and the old release stays warm through Bake.

use gapless_model::{Millis, ReleaseId};

use crate::PhaseName;
use crate::rollout::course::{Next, Stand, candidate};
use crate::want::{Want, Wants};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct BlueGreen {
    pub from: ReleaseId,
    pub to: ReleaseId,
    pub old: u16,
    pub new: u16,
    pub bake: Millis,
}

pub(super) fn next(phase: PhaseName) -> Next {
    match phase {
        PhaseName::Start => Next::Phase(PhaseName::Warmup),
        PhaseName::Warmup => Next::Phase(PhaseName::Test),
        PhaseName::Test => Next::Phase(PhaseName::Expose),
        PhaseName::Expose | PhaseName::Observe => Next::Phase(PhaseName::Bake),
        PhaseName::Bake => Next::Phase(PhaseName::Drain),
        PhaseName::Drain => Next::Phase(PhaseName::Stop),
        PhaseName::Stop | PhaseName::Rollback => Next::Done,
    }
}

pub(super) fn stand(phase: PhaseName) -> Stand {
    match phase {
        PhaseName::Start | PhaseName::Warmup | PhaseName::Test => Stand::Unexposed,
        PhaseName::Expose | PhaseName::Observe | PhaseName::Bake => Stand::Exposed,
        PhaseName::Drain | PhaseName::Stop | PhaseName::Rollback => Stand::Earned,
    }
}

impl BlueGreen {
    pub(super) fn wants(&self, phase: PhaseName) -> Wants {
        match stand(phase) {
            Stand::Unexposed => {
                Wants::from([(self.from, Want::live(self.old)), (self.to, candidate(phase, self.new, 0))])
            }
            Stand::Exposed => Wants::from([(self.from, Want::partly(self.old, 0)), (self.to, Want::live(self.new))]),
            Stand::Earned => Wants::from([(self.to, Want::live(self.new))]),
        }
    }
}
