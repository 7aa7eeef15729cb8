//! From what a table is asked to be to a table: everything is checked before any number is given.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use gapless_model::{Balance, Host, InstanceId, ReleaseId, Route, ServiceName, Tick, Weight};

use crate::client_key::RingPlace;
use crate::matching::{Matcher, Target};
use crate::pin::Pins;
use crate::registry::{Audience, INSTANCE_SLOTS_MAX, Registry, SERIES_MAX, Series, SeriesKey};
use crate::spec::{InstanceSpec, PoolSpec, ServiceSpec, TableSpec};
use crate::table::{Instance, Pool, Service, ServiceRoute, Table};

/// The longest body of a fallback answer: it is kept in memory and written in one go.
const FALLBACK_BYTES_MAX: usize = 65_536;

/// Points on the ring per instance for a consistent hash: the share of an instance is then within about a tenth of even.
const RING_POINTS: u64 = 100;

/// Why a table cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TableInvalid {
    /// A service is in it twice.
    #[error("service {0} is in the table twice")]
    ServiceTwice(ServiceName),
    /// A service has no route.
    #[error("service {0} has no route")]
    NoRoute(ServiceName),
    /// Two routes, or a route and a preview host, have the same host and path.
    #[error("{host}{path} of service {service} is taken already", host = .route.host, path = .route.path)]
    RouteTwice {
        /// The second to claim it.
        service: ServiceName,
        /// What is claimed.
        route: Route,
    },
    /// A preview host is a pattern.
    #[error("preview host {host} of service {service} must be one exact host")]
    PreviewHostPattern {
        /// The service.
        service: ServiceName,
        /// The pattern.
        host: Host,
    },
    /// A release, or a release's label, is in a service twice.
    #[error("release {release} of service {service}, or its label, is in the table twice")]
    ReleaseTwice {
        /// The service.
        service: ServiceName,
        /// The second of the two.
        release: ReleaseId,
    },
    /// The weights of a service are neither all nothing nor add up to everything.
    #[error("the weights of service {service} add up to {sum} of 10000")]
    Weights {
        /// The service.
        service: ServiceName,
        /// What they add up to, in basis points.
        sum: u32,
    },
    /// A release has weight and no instances (I8).
    #[error("release {release} of service {service} has weight but no instance")]
    PoolEmpty {
        /// The service.
        service: ServiceName,
        /// The release.
        release: ReleaseId,
    },
    /// An instance is in a pool that is not its own.
    #[error("instance {0} is in the pool of another service or release")]
    InstanceElsewhere(InstanceId),
    /// An instance or its address is in the table twice.
    #[error("instance {0}, or its address, is in the table twice")]
    InstanceTwice(InstanceId),
    /// The fallback answer has no possible status, header or size.
    #[error(
        "the fallback answer of service {0} needs a status of 200 to 599, a printable content type and at most 64 KiB"
    )]
    Fallback(ServiceName),
    /// More instances than can be counted, draining ones included.
    #[error("the table needs {needed} more instances than can be counted at once (at most {INSTANCE_SLOTS_MAX})")]
    TooManyInstances {
        /// How many too many.
        needed: usize,
    },
    /// More (service, release, route) series than can be counted.
    #[error("the table needs {needed} more series of counts than can be kept at once (at most {SERIES_MAX})")]
    TooManySeries {
        /// How many too many.
        needed: usize,
    },
}

impl Table {
    /// Checks a table and gives its instances and series their numbers. `now` is the proxy's own clock; slow start counts from it.
    ///
    /// # Errors
    /// [`TableInvalid`] names the first fault found; the registry is then as it was.
    pub fn build(spec: &TableSpec, registry: &mut Registry, now: Tick) -> Result<Table, TableInvalid> {
        let mut services: Vec<&ServiceSpec> = spec.services.iter().collect();
        services.sort_by(|a, b| a.name.cmp(&b.name));
        for pair in services.windows(2) {
            if pair[0].name == pair[1].name {
                return Err(TableInvalid::ServiceTwice(pair[0].name.clone()));
            }
        }
        services.iter().try_for_each(|service| check_service(service))?;
        check_instances(&services)?;
        let matcher = matcher(&services)?;
        check_room(&services, registry)?;
        registry.forget_holds(|name| services.iter().any(|service| service.name == *name));
        let services = services.into_iter().map(|service| made(service, registry, now)).collect();
        Ok(Table { version: spec.version, services, matcher })
    }
}

fn check_service(service: &ServiceSpec) -> Result<(), TableInvalid> {
    let name = || service.name.clone();
    if service.routes.is_empty() {
        return Err(TableInvalid::NoRoute(name()));
    }
    let mut releases = BTreeSet::new();
    let mut labels = BTreeSet::new();
    for pool in &service.pools {
        if !releases.insert(pool.release) || !labels.insert(&pool.label) {
            return Err(TableInvalid::ReleaseTwice { service: name(), release: pool.release });
        }
        if pool.weight > Weight::NONE && pool.instances.is_empty() {
            return Err(TableInvalid::PoolEmpty { service: name(), release: pool.release });
        }
        for instance in &pool.instances {
            if instance.id.service != service.name || instance.id.release != pool.release {
                return Err(TableInvalid::InstanceElsewhere(instance.id.clone()));
            }
        }
    }
    let sum: u32 = service.pools.iter().map(|pool| u32::from(pool.weight.bp())).sum();
    if sum != 0 && sum != u32::from(Weight::ALL.bp()) {
        return Err(TableInvalid::Weights { service: name(), sum });
    }
    let printable = |text: &str| text.bytes().all(|byte| (0x20..0x7f).contains(&byte));
    let fine = service.fallback.as_ref().is_none_or(|fallback| {
        (200..=599).contains(&fallback.status)
            && printable(&fallback.content_type)
            && fallback.body.len() <= FALLBACK_BYTES_MAX
    });
    if fine { Ok(()) } else { Err(TableInvalid::Fallback(name())) }
}

fn check_instances(services: &[&ServiceSpec]) -> Result<(), TableInvalid> {
    let (mut ids, mut addresses) = (HashSet::new(), HashSet::new());
    for instance in instances(services) {
        if !ids.insert(&instance.id) || !addresses.insert(instance.address) {
            return Err(TableInvalid::InstanceTwice(instance.id.clone()));
        }
    }
    Ok(())
}

fn instances<'s>(services: &'s [&'s ServiceSpec]) -> impl Iterator<Item = &'s InstanceSpec> {
    services.iter().flat_map(|service| &service.pools).flat_map(|pool| &pool.instances)
}

fn matcher(services: &[&ServiceSpec]) -> Result<Matcher, TableInvalid> {
    let mut matcher = Matcher::default();
    for (index, service) in services.iter().enumerate() {
        let target = |route: usize, preview: Option<usize>| Target {
            service: index as u32,
            route: route as u32,
            preview: preview.map(|pool| pool as u32),
        };
        let mut insert = |route: &Route, target: Target| {
            let free = matcher.insert(&route.host, &route.path, target);
            let taken = || TableInvalid::RouteTwice { service: service.name.clone(), route: route.clone() };
            free.then_some(()).ok_or_else(taken)
        };
        for (at, route) in service.routes.iter().enumerate() {
            insert(route, target(at, None))?;
        }
        let paths: BTreeMap<_, _> = service.routes.iter().enumerate().map(|(at, route)| (&route.path, at)).collect();
        for (pool_at, pool) in sorted_pools(service).into_iter().enumerate() {
            for host in &pool.preview_hosts {
                if host.as_str().starts_with('*') {
                    return Err(TableInvalid::PreviewHostPattern { service: service.name.clone(), host: host.clone() });
                }
                for (path, at) in &paths {
                    let route = Route { host: host.clone(), path: (*path).clone() };
                    insert(&route, target(*at, Some(pool_at)))?;
                }
            }
        }
    }
    Ok(matcher)
}

fn sorted_pools(service: &ServiceSpec) -> Vec<&PoolSpec> {
    let mut pools: Vec<_> = service.pools.iter().collect();
    pools.sort_by_key(|pool| pool.release);
    pools
}

fn check_room(services: &[&ServiceSpec], registry: &Registry) -> Result<(), TableInvalid> {
    let (seats, series) = registry.room();
    let new = instances(services).filter(|instance| !registry.has_seat(&instance.id, instance.address)).count();
    if new > seats {
        return Err(TableInvalid::TooManyInstances { needed: new - seats });
    }
    let counted = |service: &ServiceSpec| {
        let releases = service.pools.iter().map(|pool| (Some(pool.release), Audience::Everybody));
        releases.chain([(None, Audience::Everybody), (None, Audience::Preview)]).collect::<Vec<_>>()
    };
    let mut new = 0;
    for service in services {
        for (release, audience) in counted(service) {
            let key = |route: &Route| key(service, release, route, audience);
            new += service.routes.iter().filter(|route| !registry.has_series(&key(route))).count();
        }
    }
    if new > series {
        return Err(TableInvalid::TooManySeries { needed: new - series });
    }
    Ok(())
}

fn key(service: &ServiceSpec, release: Option<ReleaseId>, route: &Route, audience: Audience) -> SeriesKey {
    SeriesKey { service: service.name.clone(), release, route: route.clone(), audience }
}

fn made(spec: &ServiceSpec, registry: &mut Registry, now: Tick) -> Service {
    let mut series =
        |release, route: &Route, audience| -> Series { registry.series_of(key(spec, release, route, audience)) };
    let routes = spec
        .routes
        .iter()
        .map(|route| ServiceRoute {
            route: route.clone(),
            series: series(None, route, Audience::Everybody),
            previews: series(None, route, Audience::Preview),
        })
        .collect();
    let pools: Vec<(&PoolSpec, Box<[Series]>)> = sorted_pools(spec)
        .into_iter()
        .map(|pool| {
            let of_route = |route| series(Some(pool.release), route, Audience::Everybody);
            (pool, spec.routes.iter().map(of_route).collect())
        })
        .collect();
    let pools = pools.into_iter().map(|(pool, series)| made_pool(spec, pool, series, registry, now)).collect();
    Service {
        name: spec.name.clone(),
        routes,
        pools,
        intake: spec.intake,
        hold: spec.hold,
        health_path: spec.health_path.as_deref().map(Box::from),
        held_since: registry.held(&spec.name, spec.intake, now),
        fallback: spec.fallback.clone(),
        pins: spec.pins.as_ref().map(|pins| Pins::new(&spec.name, pins)),
        preview_token: spec.preview_token.clone(),
    }
}

fn made_pool(
    service: &ServiceSpec,
    spec: &PoolSpec,
    series: Box<[Series]>,
    registry: &mut Registry,
    now: Tick,
) -> Pool {
    let instances: Box<[Instance]> = spec
        .instances
        .iter()
        .map(|instance| {
            let seat = registry.seat(&instance.id, instance.address, now);
            Instance {
                id: instance.id.clone(),
                address: instance.address,
                slot: seat.slot,
                serial: seat.serial,
                since: seat.since,
            }
        })
        .collect();
    let ring = match &spec.policy.balance {
        Balance::ConsistentHash(_) => ring(&instances),
        Balance::PeakEwma | Balance::RoundRobin | Balance::LeastRequests => Box::new([]),
    };
    Pool {
        release: spec.release,
        label: spec.label.clone(),
        weight: spec.weight,
        policy: spec.policy.clone(),
        probe: spec.probe.clone(),
        instances,
        series,
        weighted_since: registry.weighted(&service.name, spec.release, spec.weight.bp(), now),
        ring,
    }
}

/// The points of a consistent hash, by address: every proxy has the same ring, and one instance more or less moves only its own share.
fn ring(instances: &[Instance]) -> Box<[(RingPlace, u32)]> {
    let mut points = Vec::with_capacity(instances.len() * RING_POINTS as usize);
    for (index, instance) in instances.iter().enumerate() {
        for point in 0..RING_POINTS {
            points.push((RingPlace::of_instance(instance.address, point), index as u32));
        }
    }
    points.sort_unstable();
    points.into()
}

#[cfg(test)]
#[path = "build_tests.rs"]
pub(crate) mod tests;
