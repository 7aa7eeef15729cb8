//! The time before the rollout: what is frozen from it.
//!
//! From instances of the current release alone come the dispersion of each metric, the latency thresholds, what each host does by itself,
//! how often instances end by themselves, and how burstily known log lines come.

mod routes;

use crate::clients::{CLIENTS_MIN, FailingClients};
use crate::dispersion::{Dispersion, DispersionEstimate};
use crate::engine::{Count, Exposure, Table};
use crate::host::{HostEffect, HostEstimate, spread_of_hosts};
use crate::latency::{LatencyWindow, Threshold, freeze};
use crate::log_history::{LinesOfInstance, LogHistory};
use crate::plan::{Plan, Settings};
use crate::series::{InstanceSecond, ROUTES_MAX};
use gapless_model::Tick;
use routes::{Routes, RowsByRoute};
use std::collections::{BTreeMap, BTreeSet};

/// Windows whose latencies are kept for the dispersion of the thresholds, which are known only at the end.
const LATENCY_WINDOWS_MAX: usize = 20_000;

/// Hosts told apart.
const HOSTS_MAX: usize = 32;

/// Error level of what is allowed for a host.
const HOST_ALPHA: f64 = 0.01;

/// One metric of the past.
#[derive(Debug, Clone, Default)]
struct MetricPast {
    dispersion: DispersionEstimate,
    routes: BTreeSet<u16>,
    by_route: Routes,
    hosts: BTreeMap<u32, HostEstimate>,
    totals: BTreeMap<u32, Count>,
}

/// What is learnt before the rollout.
#[derive(Debug, Clone, Default)]
pub struct Past {
    names: Vec<String>,
    metrics: BTreeMap<u16, MetricPast>,
    clients: FailingClients,
    beginning: DispersionEstimate,
    beginning_by_route: Routes,
    clients_told: bool,
    distinct_clients: Option<u64>,
    /// Instances as they turn up, with their hosts; dispersion wants them always in one order.
    instances: Vec<(u32, Option<u32>)>,
    latency: LatencyWindow,
    latency_windows: Vec<Vec<(u32, LatencyWindow)>>,
    logs: LogHistory,
    exits: Count,
    windows: u64,
}

impl Past {
    /// Of metrics with these names, by their numbers.
    pub fn new(names: &[String]) -> Past {
        Past { names: names.to_vec(), ..Past::default() }
    }

    /// How many clients the service has; without it they are taken to be many where they are told at all.
    pub fn set_distinct_clients(&mut self, clients: u64) {
        self.distinct_clients = Some(clients);
    }

    /// Names the host of an instance. One without is like no other.
    pub fn set_host(&mut self, instance: u32, host: u32) {
        let place = self.place_of(instance);
        self.instances[place].1 = Some(host);
    }

    fn place_of(&mut self, instance: u32) -> usize {
        if let Some(place) = self.instances.iter().position(|(known, _)| *known == instance) {
            return place;
        }
        self.instances.push((instance, None));
        self.instances.len() - 1
    }

    /// Takes one second of the current release, and the lines of each instance in it.
    pub fn handle_second(&mut self, end: Tick, seconds: &[InstanceSecond], lines: &[LinesOfInstance]) {
        self.windows += 1;
        for second in seconds {
            self.place_of(second.instance);
        }
        let mut metrics: BTreeMap<u16, RowsByRoute> = BTreeMap::new();
        for second in seconds {
            let place = self.place_of(second.instance);
            for count in &second.counts {
                let route = count.route.0.min(ROUTES_MAX as u16);
                let rows = metrics.entry(count.metric).or_default();
                let row = rows.entry(route).or_insert_with(|| vec![(0, 0); self.instances.len()]);
                row[place].0 = row[place].0.saturating_add(count.count.exposure);
                row[place].1 = row[place].1.saturating_add(count.count.events);
                let routes = &mut self.metrics.entry(count.metric).or_default().routes;
                if routes.len() < ROUTES_MAX {
                    routes.insert(route);
                }
            }
        }
        for (metric, rows) in &metrics {
            self.handle_row(*metric, &sum_of(rows));
            self.metrics.entry(*metric).or_default().by_route.handle_second(rows);
        }
        self.handle_clients(end, seconds, &metrics);
        self.handle_latency(seconds);
        self.exits.exposure = self.exits.exposure.saturating_add(1_000 * seconds.len() as u64);
        let instances: Vec<u32> = self.instances.iter().map(|(instance, _)| *instance).collect();
        self.logs.handle_second(&instances, lines);
    }

    fn handle_row(&mut self, metric: u16, row: &[(u64, u64)]) {
        let past = self.metrics.entry(metric).or_default();
        past.dispersion.handle_window(row);
        let mut by_host: BTreeMap<u32, Count> = BTreeMap::new();
        for ((_, host), (exposure, events)) in self.instances.iter().zip(row) {
            let Some(host) = host else { continue };
            by_host.entry(*host).or_default().add(Count { exposure: *exposure, events: *events });
        }
        if by_host.len() < 2 || by_host.len() > HOSTS_MAX {
            return;
        }
        let mut all = Count::default();
        by_host.values().for_each(|count| all.add(*count));
        for (host, count) in by_host {
            past.totals.entry(host).or_default().add(count);
            let peers = Count { exposure: all.exposure - count.exposure, events: all.events - count.events };
            let estimate = past.hosts.entry(host).or_insert_with(|| HostEstimate::new(Exposure::Trials));
            estimate.handle_window(&Table { candidate: count, current: peers });
        }
    }

    fn handle_clients(&mut self, end: Tick, seconds: &[InstanceSecond], metrics: &BTreeMap<u16, RowsByRoute>) {
        let Some(errors) = self.names.iter().position(|name| name == "errors") else { return };
        let Some(requests) = metrics.get(&(errors as u16)) else { return };
        let mut rows = requests.clone();
        rows.values_mut().flatten().for_each(|cell| cell.1 = 0);
        for second in seconds {
            let place = self.place_of(second.instance);
            for (route, client) in &second.failed_clients {
                self.clients_told = true;
                let row = rows.get_mut(&route.0.min(ROUTES_MAX as u16));
                if self.clients.begins(end, *client)
                    && let Some(row) = row
                {
                    row[place].1 += 1;
                }
            }
        }
        self.beginning.handle_window(&sum_of(&rows));
        self.beginning_by_route.handle_second(&rows);
    }

    fn handle_latency(&mut self, seconds: &[InstanceSecond]) {
        let told: Vec<&InstanceSecond> = seconds.iter().filter(|second| second.latency.requests() > 0).collect();
        told.iter().for_each(|second| self.latency.add(&second.latency));
        if !told.is_empty() && self.latency_windows.len() < LATENCY_WINDOWS_MAX {
            self.latency_windows.push(told.iter().map(|second| (second.instance, second.latency.clone())).collect());
        }
    }

    /// An instance of the current release ended by itself.
    pub fn handle_exit(&mut self) {
        self.exits.events += 1;
    }

    /// The thresholds of the current release's latency.
    pub fn thresholds(&self) -> Vec<Threshold> {
        freeze(&self.latency)
    }

    /// Seconds seen.
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// Who has failed lately: the judge goes on from here.
    pub fn clients(&self) -> &FailingClients {
        &self.clients
    }

    /// The lines that are known.
    pub fn logs(&self) -> &LogHistory {
        &self.logs
    }

    /// The plan for what was seen before and a candidate on these hosts. With no time before the rollout nothing is known of bursts, and
    /// the prior is used. `also` are the metrics that are told of only later.
    pub fn plan(&self, settings: Settings, candidate_hosts: &[u32], also: &[u16], with_restarts: bool) -> Plan {
        let mut plan = Plan::new(settings);
        let of_clients = self.counts_clients();
        let wanted: BTreeSet<u16> = self.metrics.keys().copied().chain(also.iter().copied()).collect();
        for metric in wanted {
            let Some(name) = self.names.get(usize::from(metric)).filter(|name| *name != "restarts") else { continue };
            let past = self.metrics.get(&metric).cloned().unwrap_or_default();
            let (dispersion, routes) = (past.dispersion.dispersion(), past.routes.len().max(1) as u16);
            let host = host_effect(&past.hosts, &past.totals, candidate_hosts).proven();
            plan = match name.as_str() {
                "errors" if of_clients => plan
                    .with_clients("clients with an error", self.beginning.dispersion(), host, routes)
                    .with_route_dispersion(self.beginning_by_route.dispersion())
                    .with_reported_errors(name, dispersion, host),
                "errors" => {
                    plan.with_routes(name, dispersion, host, routes).with_route_dispersion(past.by_route.dispersion())
                }
                name if name.starts_with("errors ") => plan.with_errors(name, dispersion, host),
                name => plan.with_business(name, dispersion),
            };
        }
        let thresholds = self.thresholds();
        let learnt: Vec<(Dispersion, HostEffect)> =
            thresholds.iter().map(|threshold| self.latency_past(threshold, candidate_hosts)).collect();
        let (dispersions, hosts): (Vec<Dispersion>, Vec<HostEffect>) = learnt.into_iter().unzip();
        plan = plan.with_latency(&thresholds, &dispersions, &hosts);
        plan = if with_restarts { plan.with_restarts() } else { plan };
        plan.logs = self.logs.clone();
        plan.exits_before = self.exits;
        plan
    }

    /// Whether clients can be told apart, are many, and do not all fail all the time.
    fn counts_clients(&self) -> bool {
        let many = self.distinct_clients.is_none_or(|clients| clients >= CLIENTS_MIN);
        self.clients_told && many && self.clients.tell_apart()
    }

    fn latency_past(&self, threshold: &Threshold, candidate_hosts: &[u32]) -> (Dispersion, HostEffect) {
        let mut past = MetricPast::default();
        let hosts: BTreeMap<u32, u32> =
            self.instances.iter().filter_map(|(instance, host)| Some((*instance, (*host)?))).collect();
        let mut order: Vec<u32> = Vec::new();
        for window in &self.latency_windows {
            let mut by_host: BTreeMap<u32, Count> = BTreeMap::new();
            for (instance, latency) in window {
                if !order.contains(instance) {
                    order.push(*instance);
                }
                if let Some(host) = hosts.get(instance) {
                    by_host.entry(*host).or_default().add(threshold.count(latency));
                }
            }
            let row = order.iter().map(|instance| {
                let latency = window.iter().find(|(known, _)| known == instance);
                latency.map_or((0, 0), |(_, latency)| {
                    let Count { exposure, events } = threshold.count(latency);
                    (exposure, events)
                })
            });
            past.dispersion.handle_window(&row.collect::<Vec<_>>());
            if by_host.len() < 2 || by_host.len() > HOSTS_MAX {
                continue;
            }
            let mut all = Count::default();
            by_host.values().for_each(|count| all.add(*count));
            for (host, count) in &by_host {
                past.totals.entry(*host).or_default().add(*count);
                if candidate_hosts.contains(host) {
                    let peers = Count { exposure: all.exposure - count.exposure, events: all.events - count.events };
                    let estimate = past.hosts.entry(*host).or_insert_with(|| HostEstimate::new(Exposure::Trials));
                    estimate.handle_window(&Table { candidate: *count, current: peers });
                }
            }
        }
        (past.dispersion.dispersion(), host_effect(&past.hosts, &past.totals, candidate_hosts))
    }
}

/// The rows of all routes, added up.
fn sum_of(rows: &RowsByRoute) -> Vec<(u64, u64)> {
    let mut sum = vec![(0_u64, 0_u64); rows.values().map(Vec::len).max().unwrap_or(0)];
    for row in rows.values() {
        for (cell, (exposure, events)) in sum.iter_mut().zip(row) {
            *cell = (cell.0.saturating_add(*exposure), cell.1.saturating_add(*events));
        }
    }
    sum
}

/// What the candidate's hosts do by themselves: the widest of what was measured of them, and of a host that was not, what hosts differ by.
fn host_effect(
    measured: &BTreeMap<u32, HostEstimate>,
    totals: &BTreeMap<u32, Count>,
    candidate_hosts: &[u32],
) -> HostEffect {
    let unmeasured = || spread_of_hosts(totals.values());
    let effects = candidate_hosts.iter().map(|host| match measured.get(host) {
        Some(estimate) => estimate.effect(HOST_ALPHA),
        None => unmeasured(),
    });
    let widest = effects.reduce(|a, b| HostEffect { lower: a.lower.min(b.lower), upper: a.upper.max(b.upper) });
    widest.unwrap_or_default()
}
