//! Releases for the fake fleet.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_model::{
    Amount, Balance, Check, CheckKind, Digest, HoldLimits, Hook, HookPoint, Host, Limits, LogLimits, Millis,
    PathPrefix, Probe, ProbeKind, Release, ReleaseId, ReleaseLabel, ReleaseSpec, Restart, Route, RunSpec, SecondOrder,
    ServiceName, StatusRange, Strategy, TrafficPolicy,
};

/// What of a release differs between scripts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReleaseShape {
    /// Instances wanted.
    pub instances: u16,
    /// The floor.
    pub floor: Amount,
    /// How it replaces the one before.
    pub strategy: Strategy,
    /// How many checks it has.
    pub checks: usize,
    /// Which hooks it has.
    pub hooks: Hooks,
    /// What becomes of an order that comes while a rollout runs.
    pub second_order: SecondOrder,
    /// How long drains may take.
    pub drain_timeout: Millis,
}

/// Which hooks a release has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hooks {
    /// None.
    None,
    /// A release command, and one at each point.
    EveryPoint,
}

/// The service of every script.
pub(crate) fn service() -> ServiceName {
    ServiceName::new("shop").expect("BUG: a constant name")
}

/// The release with this number and shape, labelled `1.<number>`.
///
/// # Panics
/// Never: the label is one by construction.
#[must_use]
pub fn release(number: u64, shape: &ReleaseShape) -> Arc<Release> {
    Arc::new(Release {
        id: ReleaseId(number),
        label: ReleaseLabel::new(&format!("1.{number}")).expect("BUG: a constant form"),
        digest: Digest([number as u8; 32]),
        spec: spec(shape),
    })
}

fn spec(shape: &ReleaseShape) -> ReleaseSpec {
    let check = |number: usize| Check {
        name: format!("smoke-{number}"),
        kind: CheckKind::Http { path: "/".into(), expect: StatusRange::SUCCESS, contains: None },
        timeout: Millis::from_secs(5),
    };
    let hook = |point: HookPoint| Hook {
        name: point.to_string(),
        point,
        command: vec!["true".into()],
        timeout: Millis::from_secs(10),
    };
    let points = HookPoint::NAMED.into_iter().chain([HookPoint::Release]);
    ReleaseSpec {
        service: service(),
        run: RunSpec {
            command: vec!["serve".into()],
            environment: BTreeMap::new(),
            sources: gapless_model::Sources::default(),
            folder: ".".into(),
            user: None,
            stop_grace: Millis::from_secs(2),
            limits: Limits::default(),
            logs: LogLimits { file_bytes_max: 1 << 20, files_max: 2 },
        },
        instances: shape.instances,
        floor: shape.floor,
        routes: vec![Route { host: Host::any(), path: PathPrefix::new("/").expect("BUG: a constant path") }],
        probe: Probe {
            kind: ProbeKind::Tcp,
            interval: Millis(100),
            timeout: Millis(100),
            rise: 2,
            fall: 2,
            healthy_min: Millis(50),
        },
        start_timeout: Millis::from_secs(10),
        strategy: shape.strategy.clone(),
        checks: (1..=shape.checks).map(check).collect(),
        hooks: points.filter(|_| shape.hooks == Hooks::EveryPoint).map(hook).collect(),
        rollout_timeout: Millis::from_secs(600),
        second_order: shape.second_order,
        traffic: TrafficPolicy {
            balance: Balance::LeastRequests,
            connect_timeout: Millis(500),
            response_timeout: Millis::from_secs(10),
            idle_timeout: Millis::from_secs(10),
            body_rate_min: 0,
            retries_max: 3,
            replay_with_idempotency_key: false,
            replay_bytes_max: 65_536,
            hold: HoldLimits { requests_max: 10_000, wait_max: Millis::from_secs(30) },
            drain_timeout: shape.drain_timeout,
            tunnel_drain_timeout: Millis(shape.drain_timeout.0 * 2),
            slow_start: Millis::ZERO,
            eject_after_failures: 0,
            eject_above_peers: 0,
        },
        restart: Restart { backoff_min: Millis(100), backoff_max: Millis::from_secs(5) },
        releases_kept: 2,
        errors_above: 10,
    }
}
