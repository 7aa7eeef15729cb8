//! The stored form of a service at rest: it takes the place of the records that led there.

use gapless_model::{EffectNumber, InstanceId, Millis, ReleaseId, RolloutId, ServiceName, Tick};
use gapless_rollout::{AtRest, Drain, Instance, Life, Listing, RestingBackoff};
use serde::{Deserialize, Serialize};

use super::RecordError;
use super::input::parsed;

/// The kind under which a journal keeps a [`RestRecord`].
pub const REST_KIND: &str = "rest/1";

/// A service at rest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RestRecord {
    /// When, in milliseconds of the controller's own clock.
    pub tick: u64,
    /// The service.
    pub service: String,
    /// The last effect number.
    pub last_effect: u64,
    /// The last ordinal of an instance.
    pub last_ordinal: u64,
    /// The last rollout.
    pub last_rollout: u64,
    /// The release that serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<u64>,
    /// Releases that were current before, the newest last.
    #[serde(default)]
    pub history: Vec<u64>,
    /// Releases that were current and that an operator went back from.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<u64>,
    /// Whether an operator stopped it. A program that does not know the word starts it again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// How many instances an operator wants of a release instead of those of its configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaled: Vec<ScaledRecord>,
    /// The instances.
    #[serde(default)]
    pub instances: Vec<InstanceRecord>,
    /// Waits before missing instances are started.
    #[serde(default)]
    pub backoffs: Vec<BackoffRecord>,
    /// The order of the newest table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<PublishedRecord>,
    /// The newest table order that every proxy uses.
    #[serde(default)]
    pub applied: u64,
    /// The releases of all tables that some proxy may use.
    #[serde(default)]
    pub referred: Vec<u64>,
    /// The effect that said which releases are kept.
    #[serde(default)]
    pub kept_effect: u64,
    /// The releases that are kept.
    #[serde(default)]
    pub kept: Vec<u64>,
}

/// How many instances an operator wants of a release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ScaledRecord {
    /// Of which release.
    pub release: u64,
    /// How many.
    pub instances: u16,
}

/// An order of a table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PublishedRecord {
    /// The effect's number.
    pub number: u64,
    /// When, in ticks.
    pub since: u64,
}

/// A wait before missing instances are started.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackoffRecord {
    /// Of which release.
    pub release: u64,
    /// Losses in a row.
    pub failures: u32,
    /// Until when, in ticks.
    pub until: u64,
}

/// An instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InstanceRecord {
    /// Which.
    pub instance: String,
    /// How its process is.
    pub life: LifeRecord,
    /// Where it stands in the newest table.
    pub listing: ListingRecord,
    /// How often in a row those whose place it took failed by themselves.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

/// How a process is; ticks and milliseconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant and field mirrors the one of gapless_rollout::Life")]
pub enum LifeRecord {
    Starting {
        effect: u64,
        since: u64,
        deadline: u64,
    },
    Warming {
        address: String,
        since: u64,
        deadline: u64,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failing: Option<String>,
    },
    Ready {
        address: String,
        since: u64,
    },
    Unhealthy {
        address: String,
        since: u64,
        reason: String,
    },
    Stopping {
        effect: u64,
        since: u64,
        grace_ms: u64,
    },
}

/// Where an instance stands in the newest table.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
#[expect(missing_docs, reason = "each variant and field mirrors the one of gapless_rollout::Listing and its Drain")]
pub enum ListingRecord {
    Never,
    Preview,
    Live,
    AwaitingTable {
        by: u64,
    },
    /// `lasting`: its requests have ended, and what is left has no end in sight. A program that does not know the word waits longer.
    Draining {
        by: u64,
        since: u64,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        lasting: bool,
    },
    Drained {
        by: u64,
    },
}

impl RestRecord {
    /// The stored form.
    #[must_use]
    pub fn of(rest: &AtRest, now: Tick) -> RestRecord {
        let numbers = |releases: &mut dyn Iterator<Item = &ReleaseId>| releases.map(|release| release.0).collect();
        RestRecord {
            tick: now.0,
            service: rest.name.to_string(),
            last_effect: rest.last_effect.0,
            last_ordinal: rest.last_ordinal,
            last_rollout: rest.last_rollout.0,
            current: rest.current.map(|release| release.0),
            history: numbers(&mut rest.history.iter()),
            left: numbers(&mut rest.left.iter()),
            stopped: rest.stopped,
            scaled: rest
                .scaled
                .iter()
                .map(|(release, instances)| ScaledRecord { release: release.0, instances: *instances })
                .collect(),
            instances: rest.instances.iter().map(InstanceRecord::of).collect(),
            backoffs: rest
                .backoffs
                .iter()
                .map(|kept| BackoffRecord { release: kept.release.0, failures: kept.failures, until: kept.until.0 })
                .collect(),
            published: rest.published.map(|(number, since)| PublishedRecord { number: number.0, since: since.0 }),
            applied: rest.applied.0,
            referred: numbers(&mut rest.referred.iter()),
            kept_effect: rest.kept.0.0,
            kept: numbers(&mut rest.kept.1.iter()),
        }
    }

    /// The service that was kept, and when it was.
    ///
    /// # Errors
    /// [`RecordError::Impossible`] where a name or address is none.
    pub fn to_rest(&self) -> Result<(AtRest, Tick), RecordError> {
        let name = ServiceName::new(&self.service).map_err(|_| RecordError::Impossible {
            what: "service name",
            value: self.service.chars().take(100).collect(),
        })?;
        let rest = AtRest {
            name,
            last_effect: EffectNumber(self.last_effect),
            last_ordinal: self.last_ordinal,
            last_rollout: RolloutId(self.last_rollout),
            current: self.current.map(ReleaseId),
            history: self.history.iter().copied().map(ReleaseId).collect(),
            left: self.left.iter().copied().map(ReleaseId).collect(),
            stopped: self.stopped,
            scaled: self.scaled.iter().map(|scaled| (ReleaseId(scaled.release), scaled.instances)).collect(),
            instances: self.instances.iter().map(InstanceRecord::to_instance).collect::<Result<_, _>>()?,
            backoffs: self
                .backoffs
                .iter()
                .map(|kept| RestingBackoff {
                    release: ReleaseId(kept.release),
                    failures: kept.failures,
                    until: Tick(kept.until),
                })
                .collect(),
            published: self.published.map(|order| (EffectNumber(order.number), Tick(order.since))),
            applied: EffectNumber(self.applied),
            referred: self.referred.iter().copied().map(ReleaseId).collect(),
            kept: (EffectNumber(self.kept_effect), self.kept.iter().copied().map(ReleaseId).collect()),
        };
        Ok((rest, Tick(self.tick)))
    }

    /// The bytes to keep.
    ///
    /// # Panics
    /// `BUG:` never; a record has string keys and finite numbers only.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("BUG: a record is always JSON")
    }

    /// Reads what was kept.
    ///
    /// # Errors
    /// [`RecordError::UnknownKind`] and [`RecordError::Malformed`].
    pub fn from_bytes(kind: &str, bytes: &[u8]) -> Result<RestRecord, RecordError> {
        if kind != REST_KIND {
            return Err(RecordError::UnknownKind { kind: kind.chars().take(40).collect() });
        }
        serde_json::from_slice(bytes).map_err(RecordError::Malformed)
    }
}

impl InstanceRecord {
    fn of(instance: &Instance) -> InstanceRecord {
        InstanceRecord {
            instance: instance.id.to_string(),
            life: LifeRecord::of(&instance.life),
            listing: ListingRecord::of(instance.listing),
            failures: instance.failures,
        }
    }

    fn to_instance(&self) -> Result<Instance, RecordError> {
        Ok(Instance {
            id: parsed::<InstanceId>("instance id", &self.instance)?,
            life: self.life.to_life()?,
            listing: self.listing.to_listing(),
            failures: self.failures,
        })
    }
}

impl LifeRecord {
    fn of(life: &Life) -> LifeRecord {
        match life {
            Life::Starting { effect, since, deadline } => {
                LifeRecord::Starting { effect: effect.0, since: since.0, deadline: deadline.0 }
            }
            Life::Warming { address, since, deadline, failing } => LifeRecord::Warming {
                address: address.to_string(),
                since: since.0,
                deadline: deadline.0,
                failing: failing.clone(),
            },
            Life::Ready { address, since } => LifeRecord::Ready { address: address.to_string(), since: since.0 },
            Life::Unhealthy { address, since, reason } => {
                LifeRecord::Unhealthy { address: address.to_string(), since: since.0, reason: reason.clone() }
            }
            Life::Stopping { effect, since, grace } => {
                LifeRecord::Stopping { effect: effect.0, since: since.0, grace_ms: grace.0 }
            }
        }
    }

    fn to_life(&self) -> Result<Life, RecordError> {
        Ok(match self {
            LifeRecord::Starting { effect, since, deadline } => {
                Life::Starting { effect: EffectNumber(*effect), since: Tick(*since), deadline: Tick(*deadline) }
            }
            LifeRecord::Warming { address, since, deadline, failing } => Life::Warming {
                address: parsed("address", address)?,
                since: Tick(*since),
                deadline: Tick(*deadline),
                failing: failing.clone(),
            },
            LifeRecord::Ready { address, since } => {
                Life::Ready { address: parsed("address", address)?, since: Tick(*since) }
            }
            LifeRecord::Unhealthy { address, since, reason } => {
                Life::Unhealthy { address: parsed("address", address)?, since: Tick(*since), reason: reason.clone() }
            }
            LifeRecord::Stopping { effect, since, grace_ms } => {
                Life::Stopping { effect: EffectNumber(*effect), since: Tick(*since), grace: Millis(*grace_ms) }
            }
        })
    }
}

impl ListingRecord {
    fn of(listing: Listing) -> ListingRecord {
        match listing {
            Listing::Never => ListingRecord::Never,
            Listing::Preview => ListingRecord::Preview,
            Listing::Live => ListingRecord::Live,
            Listing::Left { by, drain: Drain::AwaitingTable } => ListingRecord::AwaitingTable { by: by.0 },
            Listing::Left { by, drain: Drain::Running { since } } => {
                ListingRecord::Draining { by: by.0, since: since.0, lasting: false }
            }
            Listing::Left { by, drain: Drain::Lasting { since } } => {
                ListingRecord::Draining { by: by.0, since: since.0, lasting: true }
            }
            Listing::Left { by, drain: Drain::Done } => ListingRecord::Drained { by: by.0 },
        }
    }

    fn to_listing(self) -> Listing {
        let left = |by, drain| Listing::Left { by: EffectNumber(by), drain };
        match self {
            ListingRecord::Never => Listing::Never,
            ListingRecord::Preview => Listing::Preview,
            ListingRecord::Live => Listing::Live,
            ListingRecord::AwaitingTable { by } => left(by, Drain::AwaitingTable),
            ListingRecord::Draining { by, since, lasting: false } => left(by, Drain::Running { since: Tick(since) }),
            ListingRecord::Draining { by, since, lasting: true } => left(by, Drain::Lasting { since: Tick(since) }),
            ListingRecord::Drained { by } => left(by, Drain::Done),
        }
    }
}

#[cfg(test)]
#[path = "rest_tests.rs"]
mod tests;
