use gapless_model::{Balance, HashKey, HoldLimits, Millis, Probe, ProbeKind, StatusRange, TrafficPolicy};
use gapless_routing::{Audience, Registry, SeriesCounts, SeriesKey, Terminal};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_assert_eq, prop_oneof, proptest};
use serde_json::Value;

use super::*;
use crate::control::{FromProxy, ReportDoc, SealBroken, SealedTable, SeriesDoc, ToProxy};

fn policies() -> impl Strategy<Value = TrafficPolicy> {
    let balance = prop_oneof![
        Just(Balance::PeakEwma),
        Just(Balance::RoundRobin),
        Just(Balance::LeastRequests),
        Just(Balance::ConsistentHash(HashKey::Address)),
        Just(Balance::ConsistentHash("header:x-user".parse().unwrap())),
        Just(Balance::ConsistentHash("cookie:sid".parse().unwrap()))
    ];
    (balance, any::<[u64; 6]>(), any::<(u8, bool, u32, u32, u64, u16, u8, u32)>()).prop_map(|(balance, times, rest)| {
        TrafficPolicy {
            balance,
            connect_timeout: Millis(times[0]),
            response_timeout: Millis(times[1]),
            idle_timeout: Millis(times[2]),
            body_rate_min: rest.7,
            retries_max: rest.0,
            replay_with_idempotency_key: rest.1,
            replay_bytes_max: rest.2,
            hold: HoldLimits { requests_max: rest.3, wait_max: Millis(rest.4) },
            drain_timeout: Millis(times[3]),
            tunnel_drain_timeout: Millis(times[4]),
            slow_start: Millis(times[5]),
            eject_after_failures: rest.5,
            eject_above_peers: rest.6,
        }
    })
}

fn probes() -> impl Strategy<Value = Option<Probe>> {
    let http = ("/[a-z/]{0,9}", prop::option::of("[a-z]{1,9}"), 100_u16..300, 300_u16..600)
        .prop_map(|(path, host, first, last)| ProbeKind::Http { path, host, expect: StatusRange { first, last } });
    let probe = (prop_oneof![http, Just(ProbeKind::Tcp)], 10_u64.., 10_u64.., 1_u16.., 1_u16..).prop_map(
        |(kind, interval, timeout, rise, fall)| Probe {
            kind,
            interval: Millis(interval),
            timeout: Millis(timeout),
            rise,
            fall,
            healthy_min: Millis::ZERO,
        },
    );
    prop::option::of(probe)
}

/// Tables that [`gapless_routing::Table::build`] takes: `services` × two releases.
fn tables() -> impl Strategy<Value = TableSpec> {
    let service = (policies(), policies(), probes(), 0_u32..=10_000, 1_u16..4, any::<(bool, bool, bool)>());
    (any::<(u64, u64)>(), prop::collection::vec(service, 0..4)).prop_map(|((epoch, generation), parts)| TableSpec {
        version: TableVersion { epoch: Epoch(epoch), generation: Generation(generation) },
        services: parts.into_iter().enumerate().map(|(at, part)| service_of(at as u16, part)).collect(),
    })
}

type Part = (TrafficPolicy, TrafficPolicy, Option<Probe>, u32, u16, (bool, bool, bool));

fn service_of(at: u16, (first, second, probe, weight, count, (hold, fallback, pins)): Part) -> ServiceSpec {
    let name = ServiceName::new(&format!("shop-{at}")).unwrap();
    let pool = |release: u64, policy: TrafficPolicy, weight: u32| PoolSpec {
        release: ReleaseId(release),
        label: ReleaseLabel::new(&format!("1.{release}+x")).unwrap(),
        weight: Weight::from_bp(weight).unwrap(),
        policy,
        probe: probe.clone(),
        preview_hosts: vec![Host::new(&format!("r{release}.{name}.example")).unwrap()],
        instances: (0..count)
            .map(|ordinal| InstanceSpec {
                id: InstanceId { service: name.clone(), release: ReleaseId(release), ordinal: ordinal.into() },
                address: ([127, 0, 0, 1], 1_000 + at * 100 + release as u16 * 10 + ordinal).into(),
            })
            .collect(),
    };
    ServiceSpec {
        routes: vec![
            Route { host: Host::any(), path: PathPrefix::new(&format!("/{name}")).unwrap() },
            Route { host: Host::new(&format!("*.{name}.org")).unwrap(), path: PathPrefix::new("/").unwrap() },
        ],
        hold: first.hold,
        pools: vec![pool(1, first, 10_000 - weight), pool(2, second, weight)],
        intake: if hold { Intake::Hold } else { Intake::Serve },
        health_path: hold.then(|| "/healthz".to_owned()),
        fallback: fallback.then(|| Fallback {
            status: 503,
            content_type: "text/html; charset=utf-8".into(),
            body: "<p>zurück gleich ☕</p>".into(),
            retry_after_s: Some(5),
        }),
        pins: pins.then(|| PinSpec {
            cookie: "gapless-pin".into(),
            scope: PinScope::Instance,
            keys: Keyring(vec![[7; 32], [9; 32]]),
            revoked: vec![ReleaseId(1)],
            max_age_s: None,
        }),
        preview_token: (weight % 2 == 1).then(|| PreviewToken::new(&"0a".repeat(16)).unwrap()),
        name,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn a_table_reads_back_as_it_was_and_builds(spec in tables()) {
        let sealed = SealedTable::seal(&spec).unwrap();
        let read = SealedTable::from_bytes(&sealed.to_bytes()).unwrap();
        prop_assert_eq!(read.open().unwrap(), spec.clone());
        let message = serde_json::to_string(&ToProxy::Table { table: sealed }).unwrap();
        let ToProxy::Table { table } = serde_json::from_str(&message).unwrap() else { panic!("another message") };
        prop_assert_eq!(table.open().unwrap(), spec.clone());
        let built = gapless_routing::Table::build(&spec, &mut Registry::new(), gapless_model::Tick(0));
        prop_assert_eq!(built.map(|table| table.version()), Ok(spec.version));
    }

    #[test]
    fn no_flipped_bit_opens_as_another_table(spec in tables(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut bytes = SealedTable::seal(&spec).unwrap().to_bytes();
        let at = at.index(bytes.len());
        bytes[at] ^= 1 << bit;
        if let Ok(opened) = SealedTable::from_bytes(&bytes).and_then(|table| table.open()) {
            prop_assert_eq!(opened, spec); // white space, or a letter of a hexadecimal escape
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[\\[{\"a-z0-9:,}\\] ]{0,200}") {
        for bytes in [&bytes, text.as_bytes()] {
            if let Ok(table) = SealedTable::from_bytes(bytes) {
                let _ = table.open_unsealed();
            }
            let _ = serde_json::from_slice::<ToProxy>(bytes);
            let _ = serde_json::from_slice::<FromProxy>(bytes);
        }
    }

    #[test]
    fn counts_read_back_as_they_were(ended in any::<[u32; 8]>(), waits in prop::collection::vec(any::<u64>(), 0..9)) {
        let mut counts = SeriesCounts { retries: 3, replays: 2, held: 1, held_longest_us: 9, ..SeriesCounts::default() };
        for (terminal, count) in Terminal::all().step_by(4).zip(ended) {
            counts.terminals[terminal.index()] = count.into();
        }
        waits.iter().for_each(|wait| counts.latency_us.record_us(*wait));
        waits.iter().for_each(|wait| counts.held_us.record_us(wait / 3));
        let route = Route { host: Host::any(), path: PathPrefix::new("/").unwrap() };
        let key = SeriesKey { service: ServiceName::new("shop").unwrap(), release: Some(ReleaseId(4)), route, audience: Audience::Everybody };
        let doc = SeriesDoc::new(Some(&key), &counts);
        let preview = SeriesKey { release: None, audience: Audience::Preview, ..key.clone() };
        let previews = SeriesDoc::new(Some(&preview), &counts);
        prop_assert_eq!((&previews.service, &previews.route), (&None, &None), "an older reader takes it for nobody's");
        let report = FromProxy::Report(ReportDoc { series: vec![doc, SeriesDoc::new(None, &counts), previews], ..ReportDoc::default() });
        let text = serde_json::to_string(&report).unwrap();
        let FromProxy::Report(read) = serde_json::from_str(&text).unwrap() else { panic!("another message") };
        prop_assert_eq!(read.series[0].key(), Ok(Some(key)));
        prop_assert_eq!(read.series[1].key(), Ok(None));
        prop_assert_eq!(read.series[2].key(), Ok(Some(preview)));
        let told = read.series[0].counts();
        prop_assert_eq!(told.held_us.total(), counts.held_us.total(), "told in eighths");
        prop_assert_eq!(SeriesCounts { held_us: counts.held_us.clone(), ..told }, counts);
    }
}

/// One series as a proxy of the first edition of the report tells it.
const EIGHTHS: &str = r#"{"service":"shop","release":4,"ended":{"2xx":3},"retries":1,"replays":0,"held":2,"held_longest_us":5000,
    "held_us":[[90,2]],"latency_us":[[5,1],[90,2]]}"#;

#[test]
fn latencies_of_a_proxy_that_knows_eighths_alone_are_read_rounded_up_as_before() {
    let read: SeriesDoc = serde_json::from_str(EIGHTHS).unwrap();
    let counts = read.counts();
    assert_eq!((counts.latency_us.total(), counts.held_us.total()), (3, 2));
    assert_eq!(counts.latency_us.quantile_us(0.1), Some(5));
    assert_eq!(counts.latency_us.quantile_us(0.99), Some(11_263));
}

#[test]
fn a_report_whose_latencies_would_be_too_long_tells_them_in_eighths() {
    let mut counts = SeriesCounts::default();
    (0..gapless_histogram::BUCKETS).for_each(|bucket| counts.latency_us.record_bucket(bucket, u64::from(u32::MAX)));
    let few = SeriesDoc::of_all(&[(None, counts.clone())]);
    assert_eq!(few[0].counts().latency_us, counts.latency_us);
    let all = vec![(None, counts.clone()); 2 * gapless_routing::SERIES_MAX];
    let report = FromProxy::Report(ReportDoc { series: SeriesDoc::of_all(&all), ..ReportDoc::default() });
    assert!(serde_json::to_vec(&report).unwrap().len() < crate::control::frame::FRAME_BYTES_MAX);
    let FromProxy::Report(report) = report else { panic!("another message") };
    assert_eq!(report.series[7].counts().latency_us.total(), counts.latency_us.total());
}

fn golden() -> TableSpec {
    let policy = TrafficPolicy::from(&crate::control::PolicyDoc::default());
    let probe = Probe {
        kind: ProbeKind::Http { path: "/health".into(), host: None, expect: StatusRange::SUCCESS },
        interval: Millis(500),
        timeout: Millis(250),
        rise: 2,
        fall: 3,
        healthy_min: Millis::ZERO,
    };
    let version = TableVersion { epoch: Epoch(3), generation: Generation(14) };
    TableSpec {
        version,
        services: vec![service_of(0, (policy.clone(), policy, Some(probe), 100, 1, (true, true, true)))],
    }
}

/// The format on disk and on the wire: what an earlier program wrote must stay readable (I17). A change of this file is a change of
/// the protocol.
#[test]
fn the_format_of_a_table_is_kept() {
    let sealed = SealedTable::seal(&golden()).unwrap();
    let value: Value = serde_json::from_slice(&sealed.to_bytes()).unwrap();
    let pretty = serde_json::to_string_pretty(&value).unwrap() + "\n";
    expect_test::expect_file!["golden_table.json"].assert_eq(&pretty);
    let written = include_bytes!("golden_table.json");
    assert_eq!(SealedTable::from_bytes(written).unwrap().open().unwrap(), golden());
}

#[test]
fn a_checksum_covers_keys_that_the_reader_does_not_know() {
    let sealed = SealedTable::seal(&golden()).unwrap();
    let mut value: Value = serde_json::from_slice(&sealed.to_bytes()).unwrap();
    value["services"][0]["colour"] = "red".into();
    let changed = SealedTable::from_bytes(value.to_string().as_bytes()).unwrap();
    assert!(matches!(changed.open(), Err(SealBroken::Mismatch)));
    assert_eq!(changed.open_unsealed().unwrap(), golden(), "unknown keys are ignored");
    value.as_object_mut().unwrap().remove("checksum");
    let bare = SealedTable::from_bytes(value.to_string().as_bytes()).unwrap();
    assert!(matches!(bare.open(), Err(SealBroken::Missing)));
}

#[test]
fn a_table_may_be_written_by_hand() {
    let written = r#"{ "services": [ { "name": "shop", "routes": [ {} ], "pools": [ { "release": 1, "label": "1.0", "weight_bp": 10000,
        "instances": [ { "id": "shop.r1.i1", "address": "127.0.0.1:8001" } ] } ] } ] }"#;
    let spec = SealedTable::from_bytes(written.as_bytes()).unwrap().open_unsealed().unwrap();
    let table = gapless_routing::Table::build(&spec, &mut Registry::new(), gapless_model::Tick(0)).unwrap();
    assert!(table.find(b"any.example", b"/x").is_some());
}

#[test]
fn a_value_that_cannot_be_is_named() {
    let doc = TableDoc::from(&golden());
    let shown = |change: &dyn Fn(&mut TableDoc)| {
        let mut doc = doc.clone();
        change(&mut doc);
        TableSpec::try_from(&doc).unwrap_err().to_string()
    };
    let refused = [
        shown(&|doc| doc.services[0].name = "Shop".into()),
        shown(&|doc| doc.services[0].routes[0].host = "a b".into()),
        shown(&|doc| doc.services[0].routes[0].path = "x".into()),
        shown(&|doc| doc.services[0].pools[0].label = "..".into()),
        shown(&|doc| doc.services[0].pools[0].weight_bp = 10_001),
        shown(&|doc| doc.services[0].pools[0].instances[0].id = "x".into()),
        shown(&|doc| doc.services[0].pools[0].instances[0].address = "x:1".into()),
        shown(&|doc| doc.services[0].pools[0].probe.as_mut().unwrap().rise = 0),
        shown(&|doc| doc.services[0].pools[0].probe.as_mut().unwrap().http_path = Some("/ HTTP/1.1\r\n".into())),
        shown(&|doc| doc.services[0].pins.as_mut().unwrap().keys[0].truncate(10)),
    ];
    expect_test::expect![[r#"
        service name "Shop" is not valid
        host "a b" is not valid
        path "x" is not valid
        release label ".." is not valid
        weight 10001 is not valid
        instance "x" is not valid
        address "x:1" is not valid
        a probe is not valid
        a probe is not valid
        pins of service "shop-0" are not valid"#]]
    .assert_eq(&refused.join("\n"));
}
