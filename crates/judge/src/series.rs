//! What instances did, second by second, put together for the judge.
//!
//! Proxies tell of each instance what its requests came to; a [`Gathering`] waits until all of them have told of a second, and
//! an [`Assembler`] makes the judge's window of it: routes become strata, an instance's first seconds in load are kept apart, and clients that fail
//! again and again count once.

use crate::arm::{Arm, Arms};
use crate::clients::FailingClients;
use crate::engine::{Count, STRATA_MAX, Table};
use crate::latency::LatencyWindow;
use crate::plan::{MetricId, MetricKind, Plan};
use crate::window::{LogCount, MetricWindow, Window};
use gapless_model::{Millis, Tick};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Seconds that wait for a proxy that has not told of them; then they are judged without it, and what it tells later is refused. Never
/// by what they hold.
pub const LATE_SECONDS_MAX: u64 = 5;

/// Routes told apart. Further ones are one.
pub const ROUTES_MAX: usize = STRATA_MAX - 2;

/// The stratum in which instances in their warm-up are compared with each other, and with nobody else.
const WARMING: u16 = (STRATA_MAX - 1) as u16;

/// A route, by its place in the list of the one who assembles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct RouteId(pub u16);

/// One metric's count on one route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteCount {
    /// Which metric, by its place among the names.
    pub metric: u16,
    /// Which route.
    pub route: RouteId,
    /// How many, of how many.
    pub count: Count,
}

/// What one instance did in one second, as one proxy or several saw it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct InstanceSecond {
    /// Which instance, by a number that stays its own.
    pub instance: u32,
    /// Counts by metric and route.
    pub counts: Vec<RouteCount>,
    /// Clients with a failed request (hashes of pin or address), and the route of each.
    pub failed_clients: Vec<(RouteId, u64)>,
    /// Latencies.
    pub latency: LatencyWindow,
    /// Whether anything was told of it, be it that nothing happened.
    pub reporting: bool,
}

impl InstanceSecond {
    /// Adds what another proxy saw of the same instance in the same second.
    pub fn add(&mut self, other: &InstanceSecond) {
        self.counts.extend_from_slice(&other.counts);
        self.failed_clients.extend_from_slice(&other.failed_clients);
        self.latency.add(&other.latency);
        self.reporting |= other.reporting;
    }

    /// The requests: the largest count of any metric, or the latencies.
    pub fn requests(&self, is_requests: impl Fn(u16) -> bool) -> u64 {
        let mut by_metric: BTreeMap<u16, u64> = BTreeMap::new();
        for count in self.counts.iter().filter(|count| is_requests(count.metric)) {
            let sum = by_metric.entry(count.metric).or_default();
            *sum = sum.saturating_add(count.count.exposure);
        }
        by_metric.into_values().max().unwrap_or(0).max(self.latency.requests())
    }
}

/// Waits until all proxies have told of a second.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Gathering {
    proxies: Vec<u32>,
    seconds: BTreeMap<u64, GatheredSecond>,
    /// The last second given out.
    last: Option<u64>,
    refused: u64,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct GatheredSecond {
    proxies: Vec<u32>,
    instances: Vec<InstanceSecond>,
}

impl Gathering {
    /// Of these proxies.
    pub fn new(proxies: Vec<u32>) -> Gathering {
        Gathering { proxies, ..Gathering::default() }
    }

    /// Takes what one proxy saw in one second. A second that was given out, or that this proxy has told of, is refused.
    pub fn handle(&mut self, proxy: u32, second: u64, instances: &[InstanceSecond]) {
        if self.last.is_some_and(|last| second <= last) {
            self.refused += 1;
            return;
        }
        let gathered = self.seconds.entry(second).or_default();
        if gathered.proxies.contains(&proxy) {
            self.refused += 1;
            return;
        }
        gathered.proxies.push(proxy);
        for instance in instances {
            match gathered.instances.iter_mut().find(|known| known.instance == instance.instance) {
                Some(known) => known.add(instance),
                None => gathered.instances.push(instance.clone()),
            }
        }
    }

    /// The seconds that are whole, or have waited long enough at `now`, in order.
    pub fn due(&mut self, now: u64) -> Vec<(u64, Vec<InstanceSecond>)> {
        let mut due = Vec::new();
        while let Some(entry) = self.seconds.first_entry() {
            let whole = self.proxies.iter().all(|proxy| entry.get().proxies.contains(proxy));
            if !whole && now < entry.key().saturating_add(LATE_SECONDS_MAX) {
                break;
            }
            let (second, gathered) = entry.remove_entry();
            self.last = Some(second);
            due.push((second, gathered.instances));
        }
        due
    }

    /// Tellings refused: late, or told before.
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

/// What is known of an instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Known {
    arm: Arm,
    /// When it had its first request as a part of this rollout; `None`: it was in load before.
    first_ms: Option<u64>,
}

/// Makes windows of what instances did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assembler {
    plan: Plan,
    /// For each metric told of: its place in the plan. The metric of failing clients is not told of, it is made here.
    metrics: Vec<Option<MetricId>>,
    errors: Option<u16>,
    of_clients: Option<MetricId>,
    instances: BTreeMap<u32, Known>,
    clients: FailingClients,
}

impl Assembler {
    /// For a plan, and the names of the metrics that are told of, in the order of their numbers.
    pub fn new(plan: &Plan, names: &[String], clients: FailingClients) -> Assembler {
        let errors = names.iter().position(|name| name == "errors").and_then(|place| u16::try_from(place).ok());
        let of_clients = plan.metrics.iter().position(|metric| metric.kind == MetricKind::Clients);
        Assembler {
            plan: plan.clone(),
            metrics: names.iter().map(|name| plan.metric(name)).collect(),
            errors,
            of_clients: of_clients.map(|place| MetricId(place as u16)),
            instances: BTreeMap::new(),
            clients,
        }
    }

    /// Names an instance that was in load before the rollout: it has no warm-up.
    pub fn know(&mut self, instance: u32, arm: Arm) {
        self.instances.entry(instance).or_insert(Known { arm, first_ms: None });
    }

    /// An instance of the current release is restarted with the candidate, as the concurrent control of its warm-up.
    pub fn restart(&mut self, instance: u32, arm: Arm) {
        self.instances.insert(instance, Known { arm, first_ms: Some(u64::MAX) });
    }

    /// The window of one second. Each instance comes with its arm.
    pub fn window(&mut self, end: Tick, seconds: &[(Arm, InstanceSecond)], logs: Vec<LogCount>) -> Window {
        let mut window = Window { end, length: Millis(1_000), logs, ..Window::default() };
        let mut tables: BTreeMap<(MetricId, u16), Table> = BTreeMap::new();
        let mut latency = Arms::<LatencyWindow>::default();
        for (arm, second) in seconds {
            let warming = self.is_warming(end, *arm, second);
            *window.reporting.of_mut(*arm) |= second.reporting;
            let instance_ms = window.instance_ms.of_mut(*arm);
            *instance_ms = instance_ms.saturating_add(1_000);
            let requests = self.requests(second);
            if warming {
                window.warming.of_mut(*arm).add(Count { exposure: requests, events: self.failed(second) });
            } else {
                let sum = window.requests.of_mut(*arm);
                *sum = sum.saturating_add(requests);
                latency.of_mut(*arm).add(&second.latency);
            }
            self.add_counts(&mut tables, *arm, second, warming);
            self.add_clients(&mut tables, end, *arm, second, warming);
        }
        window.latency = Some(latency);
        let counts = tables.into_iter();
        window.counts = counts.map(|((metric, stratum), table)| MetricWindow { metric, stratum, table }).collect();
        window
    }

    fn is_warming(&mut self, end: Tick, arm: Arm, second: &InstanceSecond) -> bool {
        let requests = self.requests(second);
        let known = self.instances.entry(second.instance).or_insert(Known { arm, first_ms: Some(u64::MAX) });
        let Some(first_ms) = &mut known.first_ms else { return false };
        if *first_ms == u64::MAX && requests > 0 {
            *first_ms = end.0;
        }
        *first_ms == u64::MAX || end.0.saturating_sub(*first_ms) < self.plan.settings.warm_up_ms
    }

    fn is_requests(&self, metric: u16) -> bool {
        let of_plan = self.metrics.get(usize::from(metric)).copied().flatten();
        of_plan.is_none_or(|id| self.plan.metrics[usize::from(id.0)].kind != MetricKind::Restarts)
    }

    fn requests(&self, second: &InstanceSecond) -> u64 {
        second.requests(|metric| self.is_requests(metric))
    }

    fn failed(&self, second: &InstanceSecond) -> u64 {
        let errors = second.counts.iter().filter(|count| Some(count.metric) == self.errors);
        errors.fold(0, |sum, count| sum.saturating_add(count.count.events))
    }

    fn add_counts(
        &self,
        tables: &mut BTreeMap<(MetricId, u16), Table>,
        arm: Arm,
        second: &InstanceSecond,
        warming: bool,
    ) {
        for count in &second.counts {
            let Some(metric) = self.metrics.get(usize::from(count.metric)).copied().flatten() else { continue };
            let table = tables.entry((metric, stratum(count.route, warming))).or_default();
            let restarts = self.plan.metrics[usize::from(metric.0)].kind == MetricKind::Restarts;
            // Restarts are told per second, and counted per millisecond.
            let exposure = count.count.exposure.saturating_mul(if restarts { 1_000 } else { 1 });
            side(table, arm).add(Count { exposure, events: count.count.events });
        }
    }

    /// Clients that begin to fail, out of the requests of their route.
    fn add_clients(
        &mut self,
        tables: &mut BTreeMap<(MetricId, u16), Table>,
        end: Tick,
        arm: Arm,
        second: &InstanceSecond,
        warming: bool,
    ) {
        let Some(metric) = self.of_clients else { return };
        for count in second.counts.iter().filter(|count| Some(count.metric) == self.errors) {
            let table = tables.entry((metric, stratum(count.route, warming))).or_default();
            side(table, arm).add(Count { exposure: count.count.exposure, events: 0 });
        }
        for (route, client) in &second.failed_clients {
            if !self.clients.begins(end, *client) {
                continue;
            }
            let table = tables.entry((metric, stratum(*route, warming))).or_default();
            let side = side(table, arm);
            // Never more than the requests of the route: a client told twice is no second one.
            if side.events < side.exposure {
                side.events += 1;
            }
        }
    }

    /// How the clients stand.
    pub fn clients(&self) -> &FailingClients {
        &self.clients
    }
}

fn stratum(route: RouteId, warming: bool) -> u16 {
    if warming { WARMING } else { route.0.min(ROUTES_MAX as u16) }
}

fn side(table: &mut Table, arm: Arm) -> &mut Count {
    match arm {
        Arm::Candidate => &mut table.candidate,
        Arm::Current => &mut table.current,
    }
}
