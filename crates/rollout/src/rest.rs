//! A service at rest: what has to be kept of it when the records that led there are let go.
//!
//! Only a service without a rollout, an operator's decision or an unwritten receipt is at rest; so what is kept is small and has no
//! phases in it. The newest table is not kept: it follows from the instances and where they stand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_model::{EffectNumber, Release, ReleaseId, RolloutId, ServiceName, Tick};

use crate::healing::Backoff;
use crate::instance::{Instance, Listing};
use crate::instances::Instances;
use crate::service::{Kept, Numbers, Service, Situation, resized};
use crate::table::{self, Front, Listed, Published, Table};

/// A service at rest, as plain values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AtRest {
    /// Whose.
    pub name: ServiceName,
    /// The last effect number given out.
    pub last_effect: EffectNumber,
    /// The last ordinal of an instance given out.
    pub last_ordinal: u64,
    /// The last rollout number given out.
    pub last_rollout: RolloutId,
    /// The release that serves.
    pub current: Option<ReleaseId>,
    /// Releases that were current before, the newest last.
    pub history: Vec<ReleaseId>,
    /// Releases that were current and that an operator went back from.
    pub left: Vec<ReleaseId>,
    /// Whether an operator stopped it.
    pub stopped: bool,
    /// How many instances an operator wants of a release instead of those of its configuration.
    pub scaled: BTreeMap<ReleaseId, u16>,
    /// The instances.
    pub instances: Vec<Instance>,
    /// Waits before missing instances are started.
    pub backoffs: Vec<RestingBackoff>,
    /// The effect that ordered the newest table, and when.
    pub published: Option<(EffectNumber, Tick)>,
    /// The newest table order that every proxy uses.
    pub applied: EffectNumber,
    /// The releases of all tables that some proxy may use.
    pub referred: BTreeSet<ReleaseId>,
    /// The effect that said which releases are kept, and which.
    pub kept: (EffectNumber, BTreeSet<ReleaseId>),
}

/// The wait before the place of a lost instance is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestingBackoff {
    /// Which release.
    pub release: ReleaseId,
    /// Failures in a row, those of the instances before it counted.
    pub failures: u32,
    /// When starts are allowed again.
    pub until: Tick,
}

/// Why a kept service cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RestInvalid {
    /// It names a release that is not there.
    #[error("release {0} is needed and not there")]
    ReleaseMissing(ReleaseId),
    /// An instance's number is above the last one given out, there twice, or of another service.
    #[error("instance {0} cannot be one of the service")]
    Instance(gapless_model::InstanceId),
    /// A table is ordered while no release serves.
    #[error("there is a table and no release whose routes it could take")]
    TableWithoutRelease,
}

impl Service {
    /// What to keep of the service, where it is at rest.
    #[must_use]
    pub fn at_rest(&self) -> Option<AtRest> {
        let current = match &self.situation {
            Situation::Empty if self.table.published.is_none() => None,
            Situation::Settled { current } | Situation::Stopped { current } => Some(*current),
            Situation::Empty | Situation::Rollout(_) | Situation::NeedsOperator(_) => return None,
        };
        if !self.open_receipts.is_empty() || !self.one_offs.is_empty() {
            return None;
        }
        let backoffs = self.backoff.iter().flat_map(|(release, waits)| {
            waits.iter().map(|wait| RestingBackoff { release: *release, failures: wait.failures, until: wait.until })
        });
        Some(AtRest {
            name: self.name.clone(),
            last_effect: self.numbers.effect,
            last_ordinal: self.numbers.ordinal,
            last_rollout: self.numbers.rollout,
            current,
            history: self.history.clone(),
            left: self.left.clone(),
            stopped: matches!(self.situation, Situation::Stopped { .. }),
            scaled: self.scaled.clone(),
            instances: self.instances.values().cloned().collect(),
            backoffs: backoffs.collect(),
            published: self.table.published.as_ref().map(|published| (published.number, published.since)),
            applied: self.table.applied,
            referred: self.table.referred.clone(),
            kept: (self.kept.effect, self.kept.releases.clone()),
        })
    }

    /// The service that was kept.
    ///
    /// # Errors
    /// [`RestInvalid`] where what was kept cannot have been a service at rest.
    pub fn from_rest(
        rest: AtRest,
        release: impl Fn(ReleaseId) -> Option<Arc<Release>>,
    ) -> Result<Service, RestInvalid> {
        let find = |id: ReleaseId| {
            let found = release(id).ok_or(RestInvalid::ReleaseMissing(id))?;
            let instances = rest.scaled.get(&id);
            Ok((id, instances.map_or_else(|| Arc::clone(&found), |instances| resized(&found, *instances))))
        };
        let (kept_effect, kept) = rest.kept;
        let used = rest.instances.iter().map(|instance| instance.id.release);
        let ids: BTreeSet<ReleaseId> = kept.iter().copied().chain(rest.current).chain(used).collect();
        let releases = ids.into_iter().map(find).collect::<Result<BTreeMap<_, _>, _>>()?;
        let mut instances = Instances::default();
        for instance in rest.instances {
            let id = &instance.id;
            if id.service != rest.name || id.ordinal > rest.last_ordinal || instances.contains_key(&id.ordinal) {
                return Err(RestInvalid::Instance(instance.id));
            }
            instances.insert(instance);
        }
        let situation = match (rest.current, rest.stopped) {
            (None, _) => Situation::Empty,
            (Some(current), true) => Situation::Stopped { current },
            (Some(current), false) => Situation::Settled { current },
        };
        let front = if rest.stopped { Front::Refuses } else { Front::Holds };
        let published = match (rest.published, rest.current) {
            (None, _) => None,
            (Some((number, since)), Some(current)) => {
                let routes = table::routes(&rest.name, &releases, (current, front), &instances, &listed(&instances));
                Some(Published::new(number, since, routes, current))
            }
            (Some(_), None) => return Err(RestInvalid::TableWithoutRelease),
        };
        let mut backoff: BTreeMap<ReleaseId, Vec<Backoff>> = BTreeMap::new();
        for kept in rest.backoffs {
            backoff.entry(kept.release).or_default().push(Backoff { failures: kept.failures, until: kept.until });
        }
        Ok(Service {
            numbers: Numbers { effect: rest.last_effect, ordinal: rest.last_ordinal, rollout: rest.last_rollout },
            releases,
            history: rest.history,
            left: rest.left,
            scaled: rest.scaled,
            situation,
            instances,
            backoff,
            table: Table { published, applied: rest.applied, referred: rest.referred },
            kept: Kept { effect: kept_effect, releases: kept },
            ..Service::new(rest.name)
        })
    }
}

fn listed(instances: &Instances) -> Listed {
    let of = |listing| {
        let standing = instances.values().filter(move |instance| instance.listing == listing);
        standing.map(|instance| instance.id.ordinal).collect()
    };
    Listed { live: of(Listing::Live), preview: of(Listing::Preview) }
}
