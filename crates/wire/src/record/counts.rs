//! The stored form of what the proxies counted of a candidate and of the release before, where it decided something.

use gapless_model::{Millis, ReleaseId};
use gapless_rollout::{ErrorCounts, Input, Tally};
use serde::{Deserialize, Serialize};

/// What the proxies counted of a candidate that turned its rollout back.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RequestsCountedRecord {
    /// The candidate.
    pub candidate: u64,
    /// Its requests.
    pub counted: TallyRecord,
    /// How long its failures had gone on, in milliseconds.
    #[serde(default)]
    pub failing_for: u64,
    /// The requests of the release before in the same time.
    #[serde(default)]
    pub meanwhile: TallyRecord,
    /// Its requests shortly before.
    #[serde(default)]
    pub before: TallyRecord,
}

/// Requests of one release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TallyRecord {
    /// Those that ended.
    #[serde(default)]
    pub requests: u64,
    /// Those of them that failed.
    #[serde(default)]
    pub failed: u64,
    /// Those whose answer is overdue.
    #[serde(default)]
    pub overdue: u64,
}

impl TallyRecord {
    fn of(tally: Tally) -> TallyRecord {
        let Tally { requests, failed, overdue } = tally;
        TallyRecord { requests, failed, overdue }
    }

    fn to_tally(self) -> Tally {
        let TallyRecord { requests, failed, overdue } = self;
        Tally { requests, failed, overdue }
    }
}

impl RequestsCountedRecord {
    pub(super) fn of(candidate: ReleaseId, counts: &ErrorCounts) -> RequestsCountedRecord {
        RequestsCountedRecord {
            candidate: candidate.0,
            counted: TallyRecord::of(counts.candidate),
            failing_for: counts.failing_for.0,
            meanwhile: TallyRecord::of(counts.meanwhile),
            before: TallyRecord::of(counts.before),
        }
    }

    pub(super) fn to_input(&self) -> Input {
        let counts = ErrorCounts {
            candidate: self.counted.to_tally(),
            failing_for: Millis(self.failing_for),
            meanwhile: self.meanwhile.to_tally(),
            before: self.before.to_tally(),
        };
        Input::RequestsCounted { candidate: ReleaseId(self.candidate), counts }
    }
}
