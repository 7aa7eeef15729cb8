//! Releases as a scenario writes them: `1.1 rolling batch=2 observe=1s`.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_model::{
    Amount, Balance, Check, CheckKind, Digest, HoldLimits, Hook, Host, Limits, LogLimits, Millis, Order, PathPrefix,
    Probe, ProbeKind, Release, ReleaseId, ReleaseLabel, ReleaseSpec, Restart, Route, RunSpec, SecondOrder, ServiceName,
    StatusRange, Strategy, TrafficPolicy,
};

pub fn millis(text: &str) -> Millis {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().unwrap();
    match unit {
        "ms" => Millis(number),
        "s" => Millis(number * 1_000),
        "m" => Millis(number * 60_000),
        "h" => Millis(number * 3_600_000),
        _ => panic!("a duration has a unit: {text}"),
    }
}

fn amount(text: &str) -> Amount {
    match text.strip_suffix('%') {
        Some(percent) => Amount::Percent(percent.parse().unwrap()),
        None => Amount::Count(text.parse().unwrap()),
    }
}

/// `release,before-expose`: one hook at each of these points, with ten seconds each.
fn hooks(points: &str) -> Vec<Hook> {
    let points = points.split(',').filter(|point| !point.is_empty());
    let hook = |point: &str| Hook {
        name: "mine".into(),
        point: point.parse().unwrap(),
        command: vec!["./run".into()],
        timeout: Millis::from_secs(10),
    };
    points.map(hook).collect()
}

/// Reads `LABEL [rolling|in-place|blue-green] [key=value …]`; what is not said is as in `defaults`.
pub fn release(service: &str, id: u64, text: &str, defaults: &str) -> Arc<Release> {
    let mut words = text.split_whitespace();
    let label = words.next().unwrap();
    let mut strategy = "rolling";
    let mut keys: BTreeMap<&str, &str> = defaults.split_whitespace().filter_map(|word| word.split_once('=')).collect();
    for word in words {
        match word.split_once('=') {
            Some((key, value)) => {
                keys.insert(key, value);
            }
            None => strategy = word,
        }
    }
    let get = |key: &str, otherwise: &'static str| keys.get(key).copied().unwrap_or(otherwise).to_owned();
    let bake = millis(&get("bake", "0s"));
    let rolling = |order| Strategy::Rolling {
        batch: amount(&get("batch", "1")),
        order,
        observe: millis(&get("observe", "0s")),
        bake,
    };
    let strategy = match strategy {
        "rolling" => rolling(Order::SurgeFirst),
        "in-place" => rolling(Order::InPlace),
        "blue-green" => Strategy::BlueGreen { bake },
        other => panic!("no strategy is called {other}"),
    };
    let checks: u16 = get("checks", "0").parse().unwrap();
    let check = |number| Check {
        name: format!("smoke-{number}"),
        kind: CheckKind::Http { path: "/".into(), expect: StatusRange::SUCCESS, contains: None },
        timeout: Millis::from_secs(5),
    };
    Arc::new(Release {
        id: ReleaseId(id),
        label: ReleaseLabel::new(label).unwrap(),
        digest: Digest([id as u8; 32]),
        spec: ReleaseSpec {
            service: ServiceName::new(service).unwrap(),
            run: RunSpec {
                command: vec!["serve".into()],
                environment: BTreeMap::new(),
                sources: gapless_model::Sources::default(),
                folder: ".".into(),
                user: None,
                stop_grace: Millis::from_secs(5),
                limits: Limits::default(),
                logs: LogLimits { file_bytes_max: 1 << 20, files_max: 2 },
            },
            instances: get("instances", "3").parse().unwrap(),
            floor: amount(&get("floor", "2")),
            routes: vec![Route { host: Host::any(), path: PathPrefix::new("/").unwrap() }],
            probe: Probe {
                kind: ProbeKind::Tcp,
                interval: Millis(100),
                timeout: Millis(100),
                rise: 2,
                fall: 2,
                healthy_min: Millis(50),
            },
            start_timeout: millis(&get("start_timeout", "10s")),
            strategy,
            errors_above: get("errors_above", "10").parse().unwrap(),
            checks: (1..=checks).map(check).collect(),
            hooks: hooks(&get("hooks", "")),
            rollout_timeout: millis(&get("rollout_timeout", "10m")),
            second_order: match get("second", "queue").as_str() {
                "queue" => SecondOrder::Queue,
                "reject" => SecondOrder::Reject,
                "supersede" => SecondOrder::Supersede,
                other => panic!("no policy is called {other}"),
            },
            traffic: TrafficPolicy {
                balance: Balance::RoundRobin,
                connect_timeout: Millis(500),
                response_timeout: Millis::from_secs(10),
                idle_timeout: Millis::from_secs(10),
                body_rate_min: 0,
                retries_max: 2,
                replay_with_idempotency_key: false,
                replay_bytes_max: 65_536,
                hold: HoldLimits { requests_max: 1_000, wait_max: Millis::from_secs(10) },
                drain_timeout: millis(&get("drain", "5s")),
                tunnel_drain_timeout: millis(&get("tunnels", "20s")),
                slow_start: Millis::ZERO,
                eject_after_failures: 0,
                eject_above_peers: 0,
            },
            restart: Restart { backoff_min: Millis(100), backoff_max: Millis::from_secs(5) },
            releases_kept: get("kept", "2").parse().unwrap(),
        },
    })
}
