//! The table itself: what a worker thread reads on every request. Immutable; shared behind an `Arc`.

use core::net::SocketAddr;
use std::fmt;

use gapless_model::{
    HoldLimits, InstanceId, Probe, ReleaseId, ReleaseLabel, Route, ServiceName, TableVersion, Tick, TrafficPolicy,
    Weight,
};

use crate::choice::ramp_permille;
use crate::client_key::RingPlace;
use crate::matching::Matcher;
use crate::pin::Pins;
use crate::preview::PreviewToken;
use crate::registry::{Series, Slot};
use crate::spec::{Fallback, Intake};

/// Everything a proxy needs to route, numbered. Made by [`Table::build`](Table::build).
pub struct Table {
    pub(crate) version: TableVersion,
    pub(crate) services: Box<[Service]>,
    pub(crate) matcher: Matcher,
}

/// One service.
pub struct Service {
    pub(crate) name: ServiceName,
    pub(crate) routes: Box<[ServiceRoute]>,
    pub(crate) pools: Box<[Pool]>,
    pub(crate) intake: Intake,
    pub(crate) hold: HoldLimits,
    pub(crate) health_path: Option<Box<str>>,
    /// Since when its requests are held, where they are.
    pub(crate) held_since: Option<Tick>,
    pub(crate) fallback: Option<Fallback>,
    pub(crate) pins: Option<Pins>,
    pub(crate) preview_token: Option<PreviewToken>,
}

/// One route of a service.
#[derive(Clone, Debug)]
pub struct ServiceRoute {
    /// The hosts and paths.
    pub route: Route,
    /// What counts requests of this route that ended before they reached a release.
    pub series: Series,
    /// What counts the previews of this route, whichever release they reached: they are no cost of a rollout's to its clients.
    pub previews: Series,
}

/// The instances of one release.
pub struct Pool {
    pub(crate) release: ReleaseId,
    pub(crate) label: ReleaseLabel,
    pub(crate) weight: Weight,
    pub(crate) policy: TrafficPolicy,
    pub(crate) probe: Option<Probe>,
    pub(crate) instances: Box<[Instance]>,
    /// By the index of the route in the service.
    pub(crate) series: Box<[Series]>,
    pub(crate) weighted_since: Tick,
    /// Hash points of the instances, sorted; empty unless the policy balances by consistent hash.
    pub(crate) ring: Box<[(RingPlace, u32)]>,
}

/// One instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// Which instance.
    pub id: InstanceId,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its dense index, the same in every table that holds it.
    pub slot: Slot,
    /// Differs from every other instance and address that had this slot before; whoever keeps state by slot drops it when this changes.
    pub serial: u64,
    /// When it was first in a table of this proxy, on the proxy's clock.
    pub since: Tick,
}

impl Table {
    /// The table of a proxy that was never given one: version 0.0, no services.
    #[must_use]
    pub fn empty() -> Table {
        Table { version: TableVersion::default(), services: Box::new([]), matcher: Matcher::default() }
    }

    /// Its number.
    #[must_use]
    pub fn version(&self) -> TableVersion {
        self.version
    }

    /// Its services, by name.
    #[must_use]
    pub fn services(&self) -> &[Service] {
        &self.services
    }

    /// The service of that name.
    #[must_use]
    pub fn service(&self, name: &ServiceName) -> Option<&Service> {
        let at = self.services.binary_search_by(|service| service.name.cmp(name)).ok()?;
        self.services.get(at)
    }

    /// Every instance of every pool.
    pub fn instances(&self) -> impl Iterator<Item = &Instance> {
        self.services.iter().flat_map(|service| service.pools.iter()).flat_map(|pool| pool.instances.iter())
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Table").field("version", &self.version).field("services", &self.services).finish()
    }
}

impl Service {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ServiceName {
        &self.name
    }

    /// Its routes; [`Match::route`](crate::Match) indexes them.
    #[must_use]
    pub fn routes(&self) -> &[ServiceRoute] {
        &self.routes
    }

    /// Its pools, by release; indices into it are stable within a table only.
    #[must_use]
    pub fn pools(&self) -> &[Pool] {
        &self.pools
    }

    /// Whether new requests are served or wait.
    #[must_use]
    pub fn intake(&self) -> Intake {
        self.intake
    }

    /// The bounds of waiting.
    #[must_use]
    pub fn hold(&self) -> HoldLimits {
        self.hold
    }

    /// Whether the proxy answers a request for this target by itself, since it would have to wait.
    ///
    /// Whoever asks from outside whether the service is well, such as another load balancer, would take a request that waits for one that
    /// fails, and send nobody any more. So its health path is answered while requests wait, but only for as long as none can have
    /// waited in vain: an outage that outlasts the bound of waiting is one.
    #[must_use]
    pub fn answers_health(&self, target: &[u8], now: Tick) -> bool {
        let waits =
            self.hold.requests_max > 0 && self.held_since.is_some_and(|since| now.since(since) < self.hold.wait_max);
        let path = target.split(|byte| *byte == b'?').next();
        waits && self.health_path.as_ref().is_some_and(|health| path == Some(health.as_bytes()))
    }

    /// What is answered when no release has weight and nothing is held.
    #[must_use]
    pub fn fallback(&self) -> Option<&Fallback> {
        self.fallback.as_ref()
    }

    /// Its pins, where it uses them.
    #[must_use]
    pub fn pins(&self) -> Option<&Pins> {
        self.pins.as_ref()
    }

    /// The pool of a release, whatever its weight.
    #[must_use]
    pub fn pool(&self, release: ReleaseId) -> Option<&Pool> {
        let at = self.pools.binary_search_by(|pool| pool.release.cmp(&release)).ok()?;
        self.pools.get(at)
    }

    /// The pool that a preview header names by its label, whatever its weight. None also where it has no instances.
    #[must_use]
    pub fn preview(&self, label: &[u8]) -> Option<&Pool> {
        self.pools.iter().find(|pool| pool.label.as_str().as_bytes() == label && !pool.instances.is_empty())
    }

    /// The pool for a new request, by the weights. `chance` is uniform over 64 bits. None where no pool has weight.
    ///
    /// A release in slow start gets its weight times the ramp, the rest goes to the releases that have weight and are further on;
    /// so the ramp moves nothing when only one release has weight.
    #[must_use]
    pub fn split(&self, chance: u64, now: Tick) -> Option<&Pool> {
        if let [only] = &*self.pools {
            return (only.weight > Weight::NONE).then_some(only);
        }
        self.split_among(chance, now, |_| true)
    }

    /// As [`Service::split`], among the pools that `usable` accepts: for the next attempt when every instance of one release was tried.
    #[must_use]
    pub fn split_among(&self, chance: u64, now: Tick, usable: impl Fn(&Pool) -> bool) -> Option<&Pool> {
        let share = |pool: &Pool| {
            if pool.weight == Weight::NONE || !usable(pool) {
                return 0;
            }
            let ramp = ramp_permille(now.since(pool.weighted_since), pool.policy.slow_start);
            u64::from(pool.weight.bp()) * u64::from(ramp)
        };
        let whole: u64 = self.pools.iter().map(share).sum();
        if whole == 0 {
            return None;
        }
        // The upper half of the product maps 64 uniform bits onto 0..whole without a division (Lemire 2019).
        let mut left = ((u128::from(chance) * u128::from(whole)) >> 64) as u64;
        self.pools.iter().find(|pool| {
            let share = share(pool);
            let found = left < share;
            left = left.saturating_sub(share);
            found
        })
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("name", &self.name).field("pools", &self.pools).finish_non_exhaustive()
    }
}

impl Pool {
    /// The release.
    #[must_use]
    pub fn release(&self) -> ReleaseId {
        self.release
    }

    /// The release's label.
    #[must_use]
    pub fn label(&self) -> &ReleaseLabel {
        &self.label
    }

    /// Its share of the service's traffic.
    #[must_use]
    pub fn weight(&self) -> Weight {
        self.weight
    }

    /// What the release asks of the proxy.
    #[must_use]
    pub fn policy(&self) -> &TrafficPolicy {
        &self.policy
    }

    /// How its instances' health is asked for.
    #[must_use]
    pub fn probe(&self) -> Option<&Probe> {
        self.probe.as_ref()
    }

    /// Its instances.
    #[must_use]
    pub fn instances(&self) -> &[Instance] {
        &self.instances
    }

    /// What counts the requests of a route (by its index in [`Service::routes`]) that this release answered or failed.
    /// [`Series::UNMATCHED`] for an index that is no route's.
    #[must_use]
    pub fn series(&self, route: usize) -> Series {
        self.series.get(route).copied().unwrap_or(Series::UNMATCHED)
    }

    /// Since when it has had weight, on the proxy's clock.
    #[must_use]
    pub fn weighted_since(&self) -> Tick {
        self.weighted_since
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("release", &self.release)
            .field("weight", &self.weight)
            .field("instances", &self.instances)
            .finish_non_exhaustive()
    }
}
