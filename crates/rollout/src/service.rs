//! A service as the machine knows it.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_model::{EffectNumber, Release, ReleaseId, RolloutId, ServiceName, Tick};

use crate::{Report, ServiceRoutes, SituationReport, TimeToRollBack};

/// A service as the machine knows it: a value that only [`step`](crate::step) moves on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Service {
    pub(crate) name: ServiceName,
    pub(crate) releases: BTreeMap<ReleaseId, Arc<Release>>,
}

impl Service {
    /// A service that no release was deployed to yet.
    #[must_use]
    pub fn new(name: ServiceName) -> Service {
        Service { name, releases: BTreeMap::new() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// The release that serves; while a rollout runs, the one it came from.
    #[must_use]
    pub fn current(&self) -> Option<&Arc<Release>> {
        None
    }

    /// The release that is being rolled out.
    #[must_use]
    pub fn candidate(&self) -> Option<&Arc<Release>> {
        None
    }

    /// The release that a rollback would go to.
    #[must_use]
    pub fn previous(&self) -> Option<&Arc<Release>> {
        None
    }

    /// A release that is kept.
    #[must_use]
    pub fn release(&self, id: ReleaseId) -> Option<&Arc<Release>> {
        self.releases.get(&id)
    }

    /// The rollout that runs.
    #[must_use]
    pub fn rollout(&self) -> Option<RolloutId> {
        None
    }

    /// The highest rollout number given out; the next order takes the one after it.
    #[must_use]
    pub fn last_rollout(&self) -> RolloutId {
        RolloutId(0)
    }

    /// The newest table ordered, with the number of its effect.
    #[must_use]
    pub fn published(&self) -> Option<(EffectNumber, &ServiceRoutes)> {
        None
    }

    /// Where it stands.
    pub fn report(&self, now: Tick) -> Report {
        Report {
            service: self.name.clone(),
            now,
            situation: SituationReport::Empty,
            releases: Vec::new(),
            waits: Vec::new(),
            next: None,
            rollback: TimeToRollBack::Impossible,
            queued: None,
        }
    }
}
