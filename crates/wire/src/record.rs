//! What the journal keeps of each step of a service: the input, its time, and what was intended.
//!
//! The stored form is JSON with a version in the record's kind ([`STEP_KIND`]). Readers ignore fields they do not know and refuse kinds
//! they do not know, so that the records of one release are read by the one before and the one after (I17).
//!
//! **Invariant W-R1**: reading what was written gives the input again (property test here).
//! **Invariant W-R2**: a release stands in a record by its number; its artefact's digest and the text of its configuration are kept once, in
//! a [`ReleaseRecord`] written in the same transaction as the order that names it.
//! **Invariant W-R4**: what was written once is read for ever: a golden journal holds every form (`rest_tests`).
//! **Invariant W-R3**: effects are kept to be read by people and compared at a replay. They are computed, not read; only where another edition
//! of the machine decided differently, they are what was performed, and the replay follows them ([`StepRecord::recorded`]).

mod counts;
mod effect;
mod input;
mod manifest;
mod proxy;
mod release;
mod rest;

use gapless_model::{Release, ReleaseId, Tick};
use gapless_rollout::{EDITION, Input, Intent, Recorded};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

pub use counts::{RequestsCountedRecord, TallyRecord};
pub use effect::{EffectRecord, IntentRecord, MemberRecord, OneOffRecord, OutcomeRecord, PoolRecord};
pub use input::{
    AdjustOrderedRecord, InputRecord, OneOffEndedRecord, OriginRecord, ProbeFailedRecord, RequestsEndedRecord,
    RoutesRefusedRecord, StrategyRecord,
};
pub use manifest::{ManifestBroken, ManifestRecord, RunningRecord};
pub use proxy::{PROXIES, ProxyRecord};
pub use release::{ReleaseRecord, ReleaseUnreadable};
pub use rest::{
    BackoffRecord, InstanceRecord, LifeRecord, ListingRecord, PublishedRecord, REST_KIND, RestRecord, ScaledRecord,
};

/// The kind under which a journal keeps a [`StepRecord`].
pub const STEP_KIND: &str = "step/1";

/// One step of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StepRecord {
    /// When, in milliseconds of the controller's own clock.
    pub tick: u64,
    /// When by the wall clock, in milliseconds since 1970, for people; nothing rests on it.
    #[serde(default)]
    pub wall_ms: u64,
    /// The edition of the machine that decided; 1 in records from before it was told.
    #[serde(default = "first_edition", skip_serializing_if = "is_first_edition")]
    pub edition: u32,
    /// What happened.
    pub input: InputRecord,
    /// What was to be done about it.
    #[serde(default)]
    pub intents: Vec<IntentRecord>,
}

fn first_edition() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_first_edition(edition: &u32) -> bool {
    *edition == first_edition()
}

/// Why a record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// It is of a kind that this program does not know.
    #[error("a record of the unknown kind {kind:?}; this program reads {STEP_KIND} and {REST_KIND}")]
    UnknownKind {
        /// The kind.
        kind: String,
    },
    /// It is not what its kind says.
    #[error("a record that is not the JSON of its kind")]
    Malformed(#[source] serde_json::Error),
    /// A name, number or address in it is none.
    #[error("a record with an impossible {what}: {value:?}")]
    Impossible {
        /// What it should be.
        what: &'static str,
        /// What it is.
        value: String,
    },
    /// It names a release that is not kept.
    #[error("a record of release {0}, which is not kept")]
    UnknownRelease(ReleaseId),
}

impl StepRecord {
    /// The record of a step.
    #[must_use]
    pub fn of(tick: Tick, wall_ms: u64, input: &Input, intents: &[Intent]) -> StepRecord {
        StepRecord {
            tick: tick.0,
            wall_ms,
            edition: EDITION,
            input: InputRecord::of(input),
            intents: intents.iter().map(IntentRecord::of).collect(),
        }
    }

    /// The stored form.
    ///
    /// # Panics
    /// `BUG:` never; a record has string keys and finite numbers only.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("BUG: a record is always JSON")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`RecordError::UnknownKind`] and [`RecordError::Malformed`].
    pub fn from_bytes(kind: &str, bytes: &[u8]) -> Result<StepRecord, RecordError> {
        if kind != STEP_KIND {
            return Err(RecordError::UnknownKind { kind: kind.chars().take(40).collect() });
        }
        serde_json::from_slice(bytes).map_err(RecordError::Malformed)
    }

    /// What was intended, as far as the state of a service rests on it.
    ///
    /// # Errors
    /// [`RecordError::Impossible`] where a name is none.
    pub fn recorded(&self) -> Result<Vec<Recorded>, RecordError> {
        self.intents.iter().map(IntentRecord::to_recorded).collect()
    }

    /// The input, with the releases that it names.
    ///
    /// # Errors
    /// [`RecordError::Impossible`] and [`RecordError::UnknownRelease`].
    pub fn to_input(&self, release: &dyn Fn(ReleaseId) -> Option<Arc<Release>>) -> Result<Input, RecordError> {
        self.input.to_input(release)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_of_a_later_kind_is_refused_and_a_later_field_is_ignored() {
        let refused = StepRecord::from_bytes("step/2", b"{}").unwrap_err();
        assert_eq!(
            refused.to_string(),
            r#"a record of the unknown kind "step/2"; this program reads step/1 and rest/1"#
        );
        let later = br#"{"tick":5,"input":{"type":"timer_fired","later":1},"intents":[],"later":{}}"#;
        let record = StepRecord::from_bytes(STEP_KIND, later).unwrap();
        assert_eq!(record.to_input(&|_| None).unwrap(), Input::TimerFired);
    }
}
