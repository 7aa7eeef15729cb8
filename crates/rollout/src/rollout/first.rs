//! First deploy: Start → Warmup → Test → Expose. There is nothing to compare with and nothing to go back to, so nothing is
//! baked; before Expose a failure stops the candidate, after it losses are healed.

use gapless_model::ReleaseId;

use crate::PhaseName;
use crate::rollout::course::{Next, Stand, candidate};
use crate::want::{Want, Wants};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct First {
    pub to: ReleaseId,
    pub instances: u16,
}

pub(super) fn next(phase: PhaseName) -> Next {
    match phase {
        PhaseName::Start => Next::Phase(PhaseName::Warmup),
        PhaseName::Warmup => Next::Phase(PhaseName::Test),
        PhaseName::Test => Next::Phase(PhaseName::Expose),
        PhaseName::Expose
        | PhaseName::Observe
        | PhaseName::Bake
        | PhaseName::Drain
        | PhaseName::Stop
        | PhaseName::Rollback => Next::Done,
    }
}

pub(super) fn stand(phase: PhaseName) -> Stand {
    match phase {
        PhaseName::Start | PhaseName::Warmup | PhaseName::Test => Stand::Unexposed,
        PhaseName::Expose
        | PhaseName::Observe
        | PhaseName::Bake
        | PhaseName::Drain
        | PhaseName::Stop
        | PhaseName::Rollback => Stand::Earned,
    }
}

impl First {
    pub(super) fn wants(&self, phase: PhaseName) -> Wants {
        let want = match stand(phase) {
            Stand::Unexposed => candidate(phase, self.instances, 0),
            Stand::Exposed | Stand::Earned => Want::live(self.instances),
        };
        Wants::from([(self.to, want)])
    }
}
