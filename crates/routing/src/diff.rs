//! What changes from one table to the next, for logs and `explain`.

use std::collections::BTreeMap;
use std::fmt;

use gapless_model::{InstanceId, ReleaseId, ServiceName, Weight};

use crate::spec::{Intake, PoolSpec, ServiceSpec, TableSpec};

/// One difference between two tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// A service is new.
    ServiceAdded(ServiceName),
    /// A service is gone.
    ServiceRemoved(ServiceName),
    /// Its routes, pins, fallback answer or bounds are others.
    ServiceChanged(ServiceName),
    /// It begins or ends to hold its requests.
    IntakeChanged(ServiceName, Intake),
    /// A release's share is another.
    WeightChanged {
        /// The service.
        service: ServiceName,
        /// The release.
        release: ReleaseId,
        /// Its share before.
        before: Weight,
        /// Its share after.
        after: Weight,
    },
    /// What a release asks of the proxy is other, or its label, probe or preview hosts.
    ReleaseChanged(ServiceName, ReleaseId),
    /// An instance came into the table.
    InstanceJoined(InstanceId),
    /// An instance left the table and begins to drain.
    InstanceLeft(InstanceId),
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Change::ServiceAdded(service) => write!(f, "+ service {service}"),
            Change::ServiceRemoved(service) => write!(f, "- service {service}"),
            Change::ServiceChanged(service) => write!(f, "~ service {service}"),
            Change::IntakeChanged(service, Intake::Hold) => write!(f, "~ service {service} holds its requests"),
            Change::IntakeChanged(service, Intake::Serve) => write!(f, "~ service {service} serves its requests"),
            Change::WeightChanged { service, release, before, after } => {
                write!(f, "~ {service}.r{release} {before} -> {after}")
            }
            Change::ReleaseChanged(service, release) => write!(f, "~ {service}.r{release}"),
            Change::InstanceJoined(instance) => write!(f, "+ {instance}"),
            Change::InstanceLeft(instance) => write!(f, "- {instance}"),
        }
    }
}

/// Every difference, by service, releases and instances in order.
#[must_use]
pub fn changes(before: &TableSpec, after: &TableSpec) -> Vec<Change> {
    let by_name = |table: &TableSpec| -> BTreeMap<ServiceName, ServiceSpec> {
        table.services.iter().map(|service| (service.name.clone(), service.clone())).collect()
    };
    let (old, new) = (by_name(before), by_name(after));
    let mut found = Vec::new();
    for name in union(&old, &new) {
        match (old.get(name), new.get(name)) {
            (None, _) => found.push(Change::ServiceAdded(name.clone())),
            (_, None) => found.push(Change::ServiceRemoved(name.clone())),
            (Some(old), Some(new)) => service(old, new, &mut found),
        }
        pools(name, old.get(name), new.get(name), &mut found);
    }
    found
}

fn union<'a, K: Ord, V>(a: &'a BTreeMap<K, V>, b: &'a BTreeMap<K, V>) -> std::collections::BTreeSet<&'a K> {
    a.keys().chain(b.keys()).collect()
}

fn service(old: &ServiceSpec, new: &ServiceSpec, found: &mut Vec<Change>) {
    let rest = |service: &ServiceSpec| ServiceSpec { pools: Vec::new(), intake: Intake::Serve, ..service.clone() };
    if rest(old) != rest(new) {
        found.push(Change::ServiceChanged(new.name.clone()));
    }
    if old.intake != new.intake {
        found.push(Change::IntakeChanged(new.name.clone(), new.intake));
    }
}

fn pools(name: &ServiceName, old: Option<&ServiceSpec>, new: Option<&ServiceSpec>, found: &mut Vec<Change>) {
    let by_release = |service: Option<&ServiceSpec>| -> BTreeMap<ReleaseId, PoolSpec> {
        let pools = service.map(|service| service.pools.clone()).unwrap_or_default();
        pools.into_iter().map(|pool| (pool.release, pool)).collect()
    };
    let (old, new) = (by_release(old), by_release(new));
    for release in union(&old, &new) {
        let (before, after) = (old.get(release), new.get(release));
        let weight = |pool: Option<&PoolSpec>| pool.map_or(Weight::NONE, |pool| pool.weight);
        if weight(before) != weight(after) {
            found.push(Change::WeightChanged {
                service: name.clone(),
                release: *release,
                before: weight(before),
                after: weight(after),
            });
        }
        if let (Some(before), Some(after)) = (before, after) {
            let rest = |pool: &PoolSpec| PoolSpec { weight: Weight::NONE, instances: Vec::new(), ..pool.clone() };
            if rest(before) != rest(after) {
                found.push(Change::ReleaseChanged(name.clone(), *release));
            }
        }
        let members = |pool: Option<&PoolSpec>| -> BTreeMap<InstanceId, ()> {
            pool.into_iter().flat_map(|pool| &pool.instances).map(|instance| (instance.id.clone(), ())).collect()
        };
        let (before, after) = (members(before), members(after));
        for instance in union(&before, &after) {
            match (before.contains_key(instance), after.contains_key(instance)) {
                (false, _) => found.push(Change::InstanceJoined(instance.clone())),
                (_, false) => found.push(Change::InstanceLeft(instance.clone())),
                (true, true) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tests::{pool, service, spec};

    #[test]
    fn a_switch_reads_as_what_it_does() {
        let before = spec(
            1,
            vec![
                service("blog", vec![]),
                service("shop", vec![pool("shop", 1, 10_000, 1, 2), pool("shop", 2, 0, 3, 1)]),
            ],
        );
        let mut shop = service("shop", vec![pool("shop", 1, 0, 1, 1), pool("shop", 2, 10_000, 3, 2)]);
        shop.intake = Intake::Hold;
        shop.pools[0].policy.retries_max = 9;
        let after = spec(2, vec![shop, service("wiki", vec![])]);
        let shown: Vec<String> = changes(&before, &after).iter().map(Change::to_string).collect();
        expect_test::expect![[r#"
            - service blog
            ~ service shop holds its requests
            ~ shop.r1 100% -> 0%
            ~ shop.r1
            - shop.r1.i2
            ~ shop.r2 0% -> 100%
            + shop.r2.i4
            + service wiki"#]]
        .assert_eq(&shown.join("\n"));
        assert!(changes(&before, &before).is_empty());
    }
}
