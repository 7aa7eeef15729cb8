//! `gapless.toml`: the whole configuration of a release. What each key means, once it is read.

use std::collections::BTreeSet;

use gapless_model::{
    Balance, Check, CheckKind, HashKey, HoldLimits, Host, Limits, LogLimits, Millis, Order, PathPrefix, Probe,
    ProbeKind, ReleaseSpec, Restart, Route, RunSpec, SecondOrder, ServiceName, Sources, Strategy, TrafficPolicy,
};

use super::error::{ConfigErrors, Fault, placed};
use super::hook::hooks_of;
use super::placeholder;
use super::read::{Group, Written, read};
use super::service_keys::SERVICE;

/// Reads the text of a `gapless.toml` that is to be deployed. `file_name` is how errors call it.
///
/// # Errors
/// Every fault that the first stage (what is written) or, when that has none, the second (what it means) found.
pub fn parse_service_config(text: &str, file_name: &str) -> Result<ReleaseSpec, ConfigErrors> {
    understood(text, file_name, placeholder::check)
}

/// The same for a release that was deployed already, perhaps by an earlier version: what is refused today without changing what a file means was taken
/// then, and holds.
///
/// # Errors
/// As [`parse_service_config`].
pub fn recorded_service_config(text: &str, file_name: &str) -> Result<ReleaseSpec, ConfigErrors> {
    understood(text, file_name, |_, _| ())
}

fn understood(
    text: &str,
    file_name: &str,
    also: impl Fn(&Written, &mut Vec<Fault>),
) -> Result<ReleaseSpec, ConfigErrors> {
    let written = read(SERVICE, text).map_err(|faults| placed(file_name, text, faults))?;
    let mut faults = Vec::new();
    let spec = meaning(&written, &mut faults);
    also(&written, &mut faults);
    match spec {
        Some(spec) if faults.is_empty() => Ok(spec),
        _ => Err(placed(file_name, text, faults)),
    }
}

/// What every key of `[traffic]` defaults to, read off the table of keys.
///
/// # Panics
/// `BUG:` when the keys that have no default are others than those written here.
#[must_use]
pub fn traffic_defaults() -> TrafficPolicy {
    let least = "service = \"any\"\n[run]\ncommand = [\"any\"]\n";
    let written = read(SERVICE, least).unwrap_or_else(|_| panic!("BUG: the least configuration is refused"));
    traffic_of(written.one("traffic"), &mut Vec::new())
}

fn meaning(written: &Written, faults: &mut Vec<Fault>) -> Option<ReleaseSpec> {
    let top = written.one("");
    let health = written.one("health");
    let strategy = written.one("strategy");
    let instances = u16_of(top, "instances");
    let floor = top.amount("floor")?;
    let rollout_strategy = strategy_of(strategy, faults);
    floor_fits(instances, floor, &rollout_strategy, top, strategy, faults);
    let probe = probe_of(health, faults);
    Some(ReleaseSpec {
        service: top.service_name("service")?,
        run: run_of(written, faults)?,
        instances,
        floor,
        routes: routes_of(written, &probe, faults),
        probe,
        start_timeout: millis(health, "start_timeout"),
        strategy: rollout_strategy,
        checks: written.many("check").iter().filter_map(|group| check_of(group, faults)).collect(),
        errors_above: u8_of(strategy, "errors_above"),
        hooks: hooks_of(written, faults),
        rollout_timeout: millis(strategy, "timeout"),
        second_order: match strategy.word("second_order") {
            Some("reject") => SecondOrder::Reject,
            Some("supersede") => SecondOrder::Supersede,
            _ => SecondOrder::Queue,
        },
        traffic: traffic_of(written.one("traffic"), faults),
        restart: restart_of(written.one("restart"), faults),
        releases_kept: u16_of(top, "releases_kept"),
    })
}

fn millis(group: &Group, key: &str) -> Millis {
    group.duration(key).unwrap_or_default()
}

/// A count whose bounds in the table fit.
fn u8_of(group: &Group, key: &str) -> u8 {
    u8::try_from(group.count(key).unwrap_or_default()).unwrap_or(u8::MAX)
}

fn u16_of(group: &Group, key: &str) -> u16 {
    u16::try_from(group.count(key).unwrap_or_default()).unwrap_or(u16::MAX)
}

fn u32_of(group: &Group, key: &str) -> u32 {
    u32::try_from(group.count(key).unwrap_or_default()).unwrap_or(u32::MAX)
}

fn run_of(written: &Written, faults: &mut Vec<Fault>) -> Option<RunSpec> {
    let (run, limits, logs) = (written.one("run"), written.one("run.limits"), written.one("logs"));
    let environment = run.text_map("environment").unwrap_or_default();
    let sources = Sources {
        files: run.environment_files("env_file").unwrap_or_default(),
        secrets: run.secrets("secrets").unwrap_or_default(),
    };
    for name in sources.secrets.keys().filter(|name| environment.contains_key(*name)) {
        let fault = Fault::new(format!("the variable `{name}` is in `environment` and in `secrets`"));
        faults.push(fault.at(run.at("secrets")).hint("keep one of them"));
    }
    Some(RunSpec {
        command: run.texts("command")?,
        environment,
        sources,
        folder: run.text("folder")?,
        user: run.text("user"),
        stop_grace: millis(run, "stop_grace"),
        limits: Limits {
            memory_bytes_max: limits.count("memory"),
            cpu_milli_max: limits.count("cpu").map(|_| u32_of(limits, "cpu")),
            tasks_max: limits.count("tasks").map(|_| u32_of(limits, "tasks")),
        },
        logs: LogLimits { file_bytes_max: logs.count("file_size")?, files_max: u16_of(logs, "files") },
    })
}

fn routes_of(written: &Written, probe: &Probe, faults: &mut Vec<Fault>) -> Vec<Route> {
    let mut routes = Vec::new();
    let mut seen = BTreeSet::new();
    for group in written.many("route") {
        let route = Route {
            host: group.host("host").unwrap_or_else(Host::any),
            path: group.path_prefix("path").unwrap_or_else(any_path),
        };
        if !seen.insert(route.clone()) {
            let what = format!("the route host {} path {} is there twice", route.host, route.path);
            faults.push(Fault::new(what).at(group.at("path")).hint("remove one of them"));
        }
        routes.push(route);
    }
    if probe.kind == ProbeKind::Process {
        if let Some(group) = written.many("route").first() {
            let fault = Fault::new("a service whose health is its process alone has a route").at(group.at("path"));
            faults.push(fault.hint("remove the route of a worker, or ask what listens by `http` or `tcp`"));
        }
        return routes;
    }
    if routes.is_empty() {
        routes.push(Route { host: Host::any(), path: any_path() });
    }
    routes
}

fn any_path() -> PathPrefix {
    PathPrefix::new("/").expect("BUG: `/` is a path prefix")
}

fn probe_of(group: &Group, faults: &mut Vec<Fault>) -> Probe {
    let (http, command) = (group.text("http"), group.texts("command"));
    let process = group.flag("process").unwrap_or_default();
    let tcp = group.flag("tcp").unwrap_or(http.is_none() && command.is_none() && !process);
    if [tcp, process, http.is_some(), command.is_some()].iter().filter(|given| **given).count() > 1 {
        let ways = [(command.is_some(), "command"), (process, "process")];
        let second = ways.into_iter().find(|(given, _)| *given).map_or("tcp", |(_, key)| key);
        let fault = Fault::new("[health] asks in more than one way").at(group.at(second));
        faults.push(fault.hint("keep one of `http`, `tcp`, `command` and `process`"));
    }
    if !tcp && !process && http.is_none() && command.is_none() {
        let fault = Fault::new("[health] asks in no way: an instance would never be ready").at(group.at("tcp"));
        faults.push(fault.hint("write one of `http = \"/health\"`, `tcp = true` and `command = [...]`"));
    }
    if http.is_none() {
        only_with(group, &["host", "expect"], "health", "http", faults);
    }
    let kind = match (http, command) {
        (Some(path), _) => ProbeKind::Http { path, host: group.text("host"), expect: expect_of(group) },
        (None, Some(argv)) => ProbeKind::Command { argv },
        (None, None) if process => ProbeKind::Process,
        (None, None) => ProbeKind::Tcp,
    };
    Probe {
        kind,
        interval: millis(group, "interval"),
        timeout: millis(group, "timeout"),
        rise: u16_of(group, "rise"),
        fall: u16_of(group, "fall"),
        healthy_min: millis(group, "healthy_min"),
    }
}

fn expect_of(group: &Group) -> gapless_model::StatusRange {
    group.statuses("expect").unwrap_or(gapless_model::StatusRange::SUCCESS)
}

/// Keys that say nothing where they stand are faults: whoever wrote them believes that they do something.
fn only_with(group: &Group, keys: &[&str], section: &str, with: &str, faults: &mut Vec<Fault>) {
    for key in keys.iter().filter(|key| group.is_written(key)) {
        let fault = Fault::new(format!("`{section}.{key}` means something only with {with}")).at(group.at(key));
        faults.push(fault.hint(format!("remove it, or use {with}")));
    }
}

fn strategy_of(group: &Group, faults: &mut Vec<Fault>) -> Strategy {
    let bake = millis(group, "bake");
    if group.word("kind") == Some("blue-green") {
        only_with(group, super::edit::ROLLING_ONLY, "strategy", "kind = \"rolling\"", faults);
        return Strategy::BlueGreen { bake };
    }
    Strategy::Rolling {
        batch: group.amount("batch").unwrap_or(gapless_model::Amount::Count(1)),
        order: if group.word("order") == Some("in-place") { Order::InPlace } else { Order::SurgeFirst },
        observe: millis(group, "observe"),
        bake,
    }
}

/// The floor can be kept: it is not above the number of instances, and a batch in place leaves it.
fn floor_fits(
    instances: u16,
    floor: gapless_model::Amount,
    strategy: &Strategy,
    top: &Group,
    group: &Group,
    faults: &mut Vec<Fault>,
) {
    if let gapless_model::Amount::Count(count) = floor
        && count > instances
    {
        let what = format!("`floor` is {count}, above the {instances} instances there are to be");
        faults.push(
            Fault::new(what).at(top.at("floor")).hint(format!("write at most floor = {instances}, or more instances")),
        );
        return;
    }
    let needed = floor.share_up(instances);
    if let Strategy::Rolling { batch, order: Order::InPlace, .. } = strategy {
        let left = instances - batch.at_least_one_of(instances);
        if left < needed {
            let what = format!(
                "an in-place batch of {batch} leaves {left} of {instances} instances, below the floor of {needed}"
            );
            let fault = Fault::new(what).at(group.at("batch"));
            faults.push(fault.hint("use order = \"surge-first\", a smaller batch, a lower floor or more instances"));
        }
    }
}

fn check_of(group: &Group, faults: &mut Vec<Fault>) -> Option<Check> {
    let name = group.text("name")?;
    let kind = match (group.text("http"), group.texts("command")) {
        (Some(path), None) => CheckKind::Http { path, expect: expect_of(group), contains: group.text("contains") },
        (None, Some(argv)) => {
            only_with(group, &["expect", "contains"], "check", "http", faults);
            CheckKind::Command { argv }
        }
        (http, _) => {
            let how = if http.is_some() { "both `http` and `command`" } else { "neither `http` nor `command`" };
            let fault = Fault::new(format!("the check {name:?} has {how}")).at(group.at("name"));
            faults.push(fault.hint("write one of them"));
            return None;
        }
    };
    Some(Check { name, kind, timeout: millis(group, "timeout") })
}

fn hash_key_of(group: &Group, faults: &mut Vec<Fault>) -> HashKey {
    let Some(text) = group.text("hash_key") else { return HashKey::default() };
    text.parse().unwrap_or_else(|invalid| {
        let fault = Fault::new(format!("`traffic.hash_key` is {invalid}: {text:?}")).at(group.at("hash_key"));
        faults.push(fault.hint("write \"address\", \"header:X-User-Id\" or \"cookie:session\""));
        HashKey::default()
    })
}

fn traffic_of(group: &Group, faults: &mut Vec<Fault>) -> TrafficPolicy {
    if group.word("balance") != Some("consistent-hash") {
        only_with(group, &["hash_key"], "traffic", "balance = \"consistent-hash\"", faults);
    }
    TrafficPolicy {
        balance: match group.word("balance") {
            Some("round-robin") => Balance::RoundRobin,
            Some("least-requests") => Balance::LeastRequests,
            Some("consistent-hash") => Balance::ConsistentHash(hash_key_of(group, faults)),
            _ => Balance::PeakEwma,
        },
        connect_timeout: millis(group, "connect_timeout"),
        response_timeout: millis(group, "response_timeout"),
        idle_timeout: millis(group, "idle_timeout"),
        body_rate_min: u32_of(group, "body_rate_min"),
        retries_max: u8::try_from(group.count("retries").unwrap_or_default()).unwrap_or(u8::MAX),
        replay_with_idempotency_key: group.flag("replay_with_idempotency_key").unwrap_or_default(),
        replay_bytes_max: u32_of(group, "replay_body"),
        hold: HoldLimits { requests_max: u32_of(group, "hold_requests"), wait_max: millis(group, "hold_wait") },
        drain_timeout: millis(group, "drain_timeout"),
        tunnel_drain_timeout: millis(group, "tunnel_drain_timeout"),
        slow_start: millis(group, "slow_start"),
        eject_after_failures: u16_of(group, "eject_after_failures"),
        eject_above_peers: u8_of(group, "eject_above_peers"),
    }
}

fn restart_of(group: &Group, faults: &mut Vec<Fault>) -> Restart {
    let restart = Restart { backoff_min: millis(group, "backoff_min"), backoff_max: millis(group, "backoff_max") };
    if restart.backoff_min > restart.backoff_max {
        let what =
            format!("`backoff_min` ({}) is longer than `backoff_max` ({})", restart.backoff_min, restart.backoff_max);
        faults.push(Fault::new(what).at(group.at("backoff_min")).hint("make backoff_max at least as long"));
    }
    restart
}

/// A route that another service has.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the route host {} path {} belongs to service `{by}`", route.host, route.path)]
pub struct RouteTaken {
    /// The route.
    pub route: Route,
    /// The service that has it.
    pub by: ServiceName,
}

/// The routes of `wanted` that another service has already.
#[must_use]
pub fn routes_taken<'a>(
    service: &ServiceName,
    wanted: &[Route],
    others: impl Iterator<Item = (&'a ServiceName, &'a [Route])>,
) -> Vec<RouteTaken> {
    others
        .filter(|(other, _)| *other != service)
        .flat_map(|(other, routes)| {
            let same = routes.iter().filter(|route| wanted.contains(route));
            same.map(|route| RouteTaken { route: route.clone(), by: other.clone() })
        })
        .collect()
}
