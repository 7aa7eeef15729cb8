//! Tables for the tests of this crate, and the tests of building them.

use std::sync::Arc;

use gapless_model::{
    Balance, Epoch, Generation, HoldLimits, Host, InstanceId, Millis, PathPrefix, ReleaseId, ReleaseLabel, Route,
    ServiceName, TableVersion, Tick, TrafficPolicy, Weight,
};

use crate::{Fallback, InstanceSpec, Intake, PoolSpec, Registry, ServiceSpec, Table, TableInvalid, TableSpec};

pub(crate) fn policy() -> TrafficPolicy {
    TrafficPolicy {
        balance: Balance::PeakEwma,
        connect_timeout: Millis(1_000),
        response_timeout: Millis(10_000),
        idle_timeout: Millis(10_000),
        body_rate_min: 0,
        retries_max: 2,
        replay_with_idempotency_key: true,
        replay_bytes_max: 65_536,
        hold: HoldLimits { requests_max: 100, wait_max: Millis(10_000) },
        drain_timeout: Millis(30_000),
        tunnel_drain_timeout: Millis(60_000),
        slow_start: Millis::ZERO,
        eject_after_failures: 5,
        eject_above_peers: 20,
    }
}

pub(crate) fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

pub(crate) fn instance(service: &str, release: u64, ordinal: u64) -> InstanceId {
    InstanceId { service: name(service), release: ReleaseId(release), ordinal }
}

/// A pool of instances `first..first + count`, listening on ports 10 000 and up by their ordinal.
pub(crate) fn pool(service: &str, release: u64, weight: u32, first: u64, count: u64) -> PoolSpec {
    let instances = (first..first + count)
        .map(|ordinal| InstanceSpec {
            id: instance(service, release, ordinal),
            address: ([127, 0, 0, 1], 10_000 + ordinal as u16).into(),
        })
        .collect();
    PoolSpec {
        release: ReleaseId(release),
        label: ReleaseLabel::new(&format!("1.{release}")).unwrap(),
        weight: Weight::from_bp(weight).unwrap(),
        policy: policy(),
        probe: None,
        preview_hosts: Vec::new(),
        instances,
    }
}

pub(crate) fn route(host: &str, path: &str) -> Route {
    Route { host: Host::new(host).unwrap(), path: PathPrefix::new(path).unwrap() }
}

pub(crate) fn service(text: &str, pools: Vec<PoolSpec>) -> ServiceSpec {
    ServiceSpec {
        name: name(text),
        routes: vec![route("*", &format!("/{text}"))],
        pools,
        intake: Intake::Serve,
        hold: policy().hold,
        health_path: None,
        fallback: None,
        pins: None,
        preview_token: None,
    }
}

pub(crate) fn spec(generation: u64, services: Vec<ServiceSpec>) -> TableSpec {
    TableSpec { version: version(generation), services }
}

pub(crate) fn version(generation: u64) -> TableVersion {
    TableVersion { epoch: Epoch(1), generation: Generation(generation) }
}

pub(crate) fn table(services: Vec<ServiceSpec>) -> Table {
    Table::build(&spec(1, services), &mut Registry::new(), Tick(0)).unwrap()
}

fn refusal(services: Vec<ServiceSpec>) -> String {
    Table::build(&spec(1, services), &mut Registry::new(), Tick(0)).unwrap_err().to_string()
}

#[test]
fn a_table_that_is_not_whole_is_refused_with_its_fault() {
    let shop = |pools| service("shop", pools);
    let full = || pool("shop", 1, 10_000, 1, 2);
    let mut shown = vec![
        refusal(vec![shop(vec![full()]), shop(vec![])]),
        refusal(vec![shop(vec![full(), full()])]),
        refusal(vec![shop(vec![pool("shop", 1, 5_000, 1, 1)])]),
        refusal(vec![shop(vec![pool("shop", 1, 10_000, 1, 1), pool("shop", 2, 1, 2, 1)])]),
        refusal(vec![shop(vec![pool("shop", 1, 10_000, 1, 0)])]),
        refusal(vec![shop(vec![pool("blog", 1, 10_000, 1, 1)])]),
        refusal(vec![shop(vec![full()]), service("blog", vec![pool("blog", 1, 10_000, 2, 1)])]),
        refusal(vec![ServiceSpec { routes: vec![], ..shop(vec![]) }]),
        refusal(vec![shop(vec![]), ServiceSpec { routes: vec![route("*", "/shop/")], ..service("blog", vec![]) }]),
    ];
    let mut previewed = full();
    previewed.preview_hosts = vec![Host::new("*.x").unwrap()];
    shown.push(refusal(vec![shop(vec![previewed])]));
    let fallback = Fallback { status: 99, content_type: "text/plain".into(), body: Arc::from(""), retry_after_s: None };
    shown.push(refusal(vec![ServiceSpec { fallback: Some(fallback), ..shop(vec![]) }]));
    expect_test::expect![[r#"
        service shop is in the table twice
        release 1 of service shop, or its label, is in the table twice
        the weights of service shop add up to 5000 of 10000
        the weights of service shop add up to 10001 of 10000
        release 1 of service shop has weight but no instance
        instance blog.r1.i1 is in the pool of another service or release
        instance shop.r1.i2, or its address, is in the table twice
        service shop has no route
        */shop of service shop is taken already
        preview host *.x of service shop must be one exact host
        the fallback answer of service shop needs a status of 200 to 599, a printable content type and at most 64 KiB"#]]
    .assert_eq(&shown.join("\n"));
}

#[test]
fn a_refused_table_takes_no_numbers() {
    let mut registry = Registry::new();
    let wrong = spec(1, vec![service("shop", vec![pool("shop", 1, 4, 1, 1)])]);
    assert!(matches!(Table::build(&wrong, &mut registry, Tick(0)), Err(TableInvalid::Weights { sum: 4, .. })));
    assert_eq!((registry.instances().count(), registry.series().count()), (0, 0));
}

#[test]
fn a_service_without_any_pool_may_hold_or_fall_back() {
    let table = table(vec![service("shop", vec![])]);
    let found = table.find(b"any", b"/shop/x").unwrap();
    assert!(found.service.split(7, Tick(0)).is_none());
}

#[test]
fn a_preview_reaches_a_release_without_weight_by_header_and_by_host() {
    let mut candidate = pool("shop", 2, 0, 5, 1);
    candidate.preview_hosts = vec![Host::new("next.shop.example").unwrap()];
    let table = table(vec![service("shop", vec![pool("shop", 1, 10_000, 1, 2), candidate])]);
    let by_host = table.find(b"next.shop.example", b"/shop/cart").unwrap();
    assert_eq!(by_host.preview.unwrap().release(), ReleaseId(2));
    let usual = table.find(b"shop.example", b"/shop/cart").unwrap();
    assert!(usual.preview.is_none());
    assert_eq!(usual.service.preview(b"1.2").unwrap().release(), ReleaseId(2));
    assert!(usual.service.preview(b"1.3").is_none());
    assert!((0..1_000).all(|i| usual.service.split(i << 54, Tick(0)).unwrap().release() == ReleaseId(1)));
    assert_eq!(by_host.service_route().route, route("*", "/shop"));
}

#[test]
fn weights_split_traffic_within_a_thousandth() {
    let table = table(vec![service("shop", vec![pool("shop", 1, 9_900, 1, 1), pool("shop", 2, 100, 2, 1)])]);
    let service = &table.services()[0];
    let rounds = 100_000_u64;
    let candidate = (0..rounds)
        .map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .filter(|chance| service.split(*chance, Tick(0)).unwrap().release() == ReleaseId(2))
        .count();
    assert!((950..=1_050).contains(&candidate), "{candidate}");
    let avoided = service.split_among(u64::MAX, Tick(0), |pool| pool.release() != ReleaseId(2)).unwrap();
    assert_eq!(avoided.release(), ReleaseId(1));
}

#[test]
fn a_release_in_slow_start_takes_less_while_another_can_take_the_rest() {
    let mut registry = Registry::new();
    let slow = |mut pool: PoolSpec| {
        pool.policy.slow_start = Millis(10_000);
        pool
    };
    let old = || slow(pool("shop", 1, 5_000, 1, 1));
    let first = spec(1, vec![service("shop", vec![slow(pool("shop", 1, 10_000, 1, 1))])]);
    Table::build(&first, &mut registry, Tick(0)).unwrap();
    let second = spec(2, vec![service("shop", vec![old(), slow(pool("shop", 2, 5_000, 2, 1))])]);
    let table = Table::build(&second, &mut registry, Tick(100_000)).unwrap();
    let share = |now| {
        let hits = |i: &u64| table.services()[0].split(i << 54, Tick(now)).unwrap().release() == ReleaseId(2);
        (0..1_000).filter(hits).count()
    };
    assert!((60..=130).contains(&share(100_000)), "{}", share(100_000));
    assert!(share(105_000) > 250);
    assert!((480..=520).contains(&share(110_000)));
}

#[test]
fn the_same_instance_keeps_its_slot_and_a_retired_slot_comes_back_with_a_new_serial() {
    let mut registry = Registry::new();
    let shop = |pools| vec![service("shop", pools)];
    let one = Table::build(&spec(1, shop(vec![pool("shop", 1, 10_000, 1, 2)])), &mut registry, Tick(5)).unwrap();
    let two = Table::build(
        &spec(2, shop(vec![pool("shop", 1, 5_000, 2, 1), pool("shop", 2, 5_000, 3, 1)])),
        &mut registry,
        Tick(9),
    )
    .unwrap();
    let (kept_before, kept_after) =
        (&one.services()[0].pools()[0].instances()[1], &two.services()[0].pools()[0].instances()[0]);
    assert_eq!(kept_before, kept_after);
    let gone = one.services()[0].pools()[0].instances()[0].clone();
    let new = &two.services()[0].pools()[1].instances()[0];
    assert_ne!(gone.slot, new.slot, "a draining instance keeps its slot");
    registry.retire_instance(&gone.id);
    let three = Table::build(&spec(3, shop(vec![pool("shop", 3, 10_000, 4, 1)])), &mut registry, Tick(12)).unwrap();
    let newest = three.instances().next().unwrap();
    assert_eq!(newest.slot, gone.slot);
    assert_ne!(newest.serial, gone.serial);
    assert_eq!(newest.since, Tick(12));
}

#[test]
fn series_are_bounded_and_come_back_when_retired() {
    let mut registry = Registry::new();
    let mut generation = 0;
    let refused = loop {
        generation += 1;
        let table = spec(generation, vec![service("shop", vec![pool("shop", generation, 10_000, 1, 1)])]);
        if let Err(refused) = Table::build(&table, &mut registry, Tick(0)) {
            break refused;
        }
        registry.retire_instance(&instance("shop", generation, 1));
    };
    assert_eq!(refused, TableInvalid::TooManySeries { needed: 1 });
    let key = registry.series().find(|(_, key)| key.release == Some(ReleaseId(1))).unwrap().1.clone();
    assert!(registry.retire_series(&key).is_some());
    let table = spec(generation, vec![service("shop", vec![pool("shop", generation, 10_000, 1, 1)])]);
    assert!(Table::build(&table, &mut registry, Tick(0)).is_ok());
}
