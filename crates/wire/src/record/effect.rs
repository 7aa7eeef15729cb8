//! The stored form of effects: what was intended, for people who read the record and for the comparison at a replay.

use std::collections::BTreeSet;

use gapless_model::{EffectNumber, InstanceId, Millis, ReleaseId, RolloutId};
use gapless_rollout::{
    Admission, Effect, Intent, NoticeLevel, OneOff, OneOffKind, Outcome, Pool, PoolKind, Recorded, RecordedEnd,
    RecordedIntent,
};
use serde::{Deserialize, Serialize};

use super::RecordError;
use super::input::parsed;

/// One effect with its number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct IntentRecord {
    /// Its number within the service.
    pub number: u64,
    /// The rollout it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollout: Option<u64>,
    /// What was to be done.
    #[serde(flatten)]
    pub effect: EffectRecord,
}

/// What was to be done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant and field mirrors the one of gapless_rollout::Effect")]
pub enum EffectRecord {
    StartInstance {
        instance: String,
    },
    PublishRoutes {
        pools: Vec<PoolRecord>,
        #[serde(default)]
        held: bool,
    },
    StopInstance {
        instance: String,
        grace_ms: u64,
    },
    /// A check; or, with the field more, a one-off. A program that knows no one-offs reads a check that nobody waits for (I17).
    RunCheck {
        check: String,
        release: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        one_off: Option<OneOffRecord>,
    },
    Notify {
        level: String,
        message: String,
    },
    CloseReceipt {
        of: u64,
        outcome: OutcomeRecord,
    },
    KeepReleases {
        releases: Vec<u64>,
    },
}

/// A command that runs once in a release's environment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OneOffRecord {
    /// Its id.
    pub id: String,
    /// The point of a rollout, as [`gapless_model::HookPoint::as_str`] has it.
    pub point: String,
}

/// A pool of a table that was ordered; what its releases ask of the proxy stands in their configurations.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolRecord {
    /// The release.
    pub release: u64,
    /// Its weight in 1/10 000; none for a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub weight_bp: Option<u16>,
    /// Its instances.
    pub members: Vec<MemberRecord>,
}

/// An instance of a table that was ordered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberRecord {
    /// Which.
    pub instance: String,
    /// Where.
    pub address: String,
}

/// How a rollout ended, and why.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OutcomeRecord {
    /// `done`, `rolled-back`, `needs-operator`, `superseded` or `refused`.
    pub kind: String,
    /// For people.
    pub text: String,
}

impl OutcomeRecord {
    /// The stored form of an outcome.
    #[must_use]
    pub fn of(outcome: &Outcome) -> OutcomeRecord {
        let kind = match outcome {
            Outcome::Done => "done",
            Outcome::RolledBack { .. } => "rolled-back",
            Outcome::NeedsOperator { .. } => "needs-operator",
            Outcome::Superseded { .. } => "superseded",
            Outcome::Refused { .. } => "refused",
        };
        OutcomeRecord { kind: kind.to_owned(), text: outcome.to_string() }
    }
}

impl IntentRecord {
    /// The stored form of an effect.
    #[must_use]
    pub fn of(intent: &Intent) -> IntentRecord {
        IntentRecord {
            number: intent.number.0,
            rollout: intent.rollout.map(|rollout| rollout.0),
            effect: EffectRecord::of(&intent.effect),
        }
    }
}

impl IntentRecord {
    /// The effect, as far as the state of a service rests on it.
    ///
    /// # Errors
    /// [`RecordError::Impossible`] where the name of an instance is none.
    pub fn to_recorded(&self) -> Result<Recorded, RecordError> {
        let instance = |text: &String| parsed::<InstanceId>("instance id", text);
        let members = |pools: &mut dyn Iterator<Item = &PoolRecord>| -> Result<BTreeSet<InstanceId>, RecordError> {
            pools.flat_map(|pool| &pool.members).map(|member| instance(&member.instance)).collect()
        };
        let intent = match &self.effect {
            EffectRecord::StartInstance { instance: id } => RecordedIntent::Start(instance(id)?),
            EffectRecord::PublishRoutes { pools, .. } => RecordedIntent::Publish {
                live: members(&mut pools.iter().filter(|pool| pool.weight_bp.is_some()))?,
                preview: members(&mut pools.iter().filter(|pool| pool.weight_bp.is_none()))?,
            },
            EffectRecord::StopInstance { instance: id, grace_ms } => {
                RecordedIntent::Stop { instance: instance(id)?, grace: Millis(*grace_ms) }
            }
            EffectRecord::RunCheck { one_off: None, .. } => RecordedIntent::Check,
            EffectRecord::RunCheck { check, one_off: Some(one_off), .. } => RecordedIntent::Hook {
                id: instance(&one_off.id)?,
                name: check.clone(),
                point: parsed("hook point", &one_off.point)?,
            },
            EffectRecord::Notify { .. } => RecordedIntent::Notify,
            EffectRecord::CloseReceipt { of, outcome } => RecordedIntent::Close {
                rollout: RolloutId(*of),
                end: match outcome.kind.as_str() {
                    "done" => RecordedEnd::Done,
                    "rolled-back" => RecordedEnd::RolledBack,
                    "needs-operator" => RecordedEnd::NeedsOperator,
                    _ => RecordedEnd::NeverBegan,
                },
                words: outcome.text.clone(),
            },
            EffectRecord::KeepReleases { releases } => {
                RecordedIntent::Keep(releases.iter().copied().map(ReleaseId).collect())
            }
        };
        Ok(Recorded { number: EffectNumber(self.number), intent })
    }
}

impl EffectRecord {
    fn of(effect: &Effect) -> EffectRecord {
        match effect {
            Effect::StartInstance { instance } => EffectRecord::StartInstance { instance: instance.to_string() },
            Effect::PublishRoutes(routes) => EffectRecord::PublishRoutes {
                pools: routes.pools.iter().map(PoolRecord::of).collect(),
                held: routes.admission == Admission::Held,
            },
            Effect::StopInstance { instance, grace } => {
                EffectRecord::StopInstance { instance: instance.to_string(), grace_ms: grace.0 }
            }
            Effect::RunCheck { check, release } => {
                EffectRecord::RunCheck { check: check.name.clone(), release: release.0, one_off: None }
            }
            Effect::RunOneOff(OneOff { id, name, kind: OneOffKind::Hook(point), .. }) => EffectRecord::RunCheck {
                check: name.clone(),
                release: id.release.0,
                one_off: Some(OneOffRecord { id: id.to_string(), point: point.to_string() }),
            },
            Effect::Notify { level, message } => EffectRecord::Notify {
                level: match level {
                    NoticeLevel::Info => "info",
                    NoticeLevel::Warning => "warning",
                    NoticeLevel::Error => "error",
                }
                .to_owned(),
                message: message.clone(),
            },
            Effect::CloseReceipt { rollout, outcome } => {
                EffectRecord::CloseReceipt { of: rollout.0, outcome: OutcomeRecord::of(outcome) }
            }
            Effect::KeepReleases { releases } => {
                EffectRecord::KeepReleases { releases: releases.iter().map(|release| release.0).collect() }
            }
        }
    }
}

impl PoolRecord {
    fn of(pool: &Pool) -> PoolRecord {
        PoolRecord {
            release: pool.release.0,
            weight_bp: match pool.kind {
                PoolKind::Live => Some(pool.weight.bp()),
                PoolKind::Preview => None,
            },
            members: pool
                .members
                .iter()
                .map(|member| MemberRecord {
                    instance: member.instance.to_string(),
                    address: member.address.to_string(),
                })
                .collect(),
        }
    }
}
