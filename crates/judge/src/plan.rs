//! What will be judged and by which rules, fixed before the candidate takes load.

use crate::combination::Weights;
use crate::dispersion::Dispersion;
use crate::engine::{Count, EngineSettings, Exposure};
use crate::host::HostEffect;
use crate::latency::{QUANTILES, Threshold};
use crate::log_history::LogHistory;
use crate::resources::GuardSettings;
use gapless_model::Millis;
use serde::{Deserialize, Serialize};

/// Most metrics of one plan: with more, each one's weight is too small to prove anything.
pub const METRICS_MAX: usize = 64;

/// A metric of the plan, by its place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MetricId(pub u16);

/// What a metric counts, which decides its weight.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum MetricKind {
    /// Requests that failed: 5xx by us or by the app, resets, timeouts.
    Errors,
    /// Clients that begin to fail ([`crate::clients`]): the errors' default measure where clients can be told apart.
    Clients,
    /// Requests slower than a threshold frozen from the current release.
    Latency {
        /// The threshold.
        threshold: Threshold,
    },
    /// Unasked-for ends of instances, per instance-millisecond.
    Restarts,
    /// A count of the business, such as orders not completed.
    Business,
}

/// One metric of the plan.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricPlan {
    /// Its name in evidence, such as `errors` or `errors /checkout`.
    pub name: String,
    /// What it counts.
    pub kind: MetricKind,
    /// Whether a PASS must be proven on it. One that does not gate can still fail a release.
    pub gates: bool,
    /// Whether it counts at all: errors beside clients with an error are only shown.
    #[serde(default)]
    pub standing: Standing,
    /// Routes (strata) that are also tested one by one: of many, a few may be bad. 1: none.
    #[serde(default)]
    pub routes: u16,
    /// How burstily events come on a route by itself; `None`: as on all of them together.
    #[serde(default)]
    pub route_dispersion: Option<Dispersion>,
    /// How its engine is set.
    pub engine: EngineSettings,
}

/// What a metric's evidence is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It is judged by.
    #[default]
    Judged,
    /// It is only shown.
    Shown,
}

/// The rules of a judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Probability of ever failing a release that is no worse than tolerated.
    pub alpha: f64,
    /// Probability of passing a release that is worse than tolerated.
    pub beta: f64,
    /// ψ0: odds ratios up to here are no reason to roll back.
    pub fail_null: f64,
    /// ψ1: the worst odds ratio a PASS tolerates.
    pub pass_null: f64,
    /// ψ0 for log signatures.
    pub log_null: f64,
    /// Time compared (both arms with requests) before a PASS, in milliseconds.
    pub time_min_ms: u64,
    /// Candidate requests before a PASS.
    pub requests_min: u64,
    /// A weak pass needs at least so small an odds ratio to have been visible, or the evidence of `weak_evidence_min` …
    pub visible_ratio_max: f64,
    /// … or so small a share of failing candidate requests.
    pub visible_share_max: f64,
    /// The candidate's telemetry is missing when it has been silent for so long while its peers report, in milliseconds.
    pub telemetry_missing_ms: u64,
    /// Phases of the rollout that ask for a verdict: `alpha` holds over all of them together.
    pub phases: u16,
    /// How the error probability is shared out.
    pub weights: Weights,
    /// An instance that comes into load is not judged for so long, in milliseconds: caches fill, code is compiled.
    pub warm_up_ms: u64,
    /// What ends the observation of a service with too little traffic to be judged.
    pub small_service: SmallService,
    /// A weak pass needs E′ at least so large on every gating metric: so many times likelier as good as before than twice as bad.
    pub weak_evidence_min: f64,
    /// When the guards act.
    pub guards: GuardSettings,
}

/// What is done at the deadline where nothing speaks against the candidate, and too little was to be seen for a verdict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SmallService {
    /// Guards, checks and the time that passed are enough: it is promoted, and said to be not judged.
    #[default]
    GuardsAlone,
    /// A person decides.
    Person,
}

impl Default for Settings {
    /// The defaults of JUDGE §1 and §5.
    fn default() -> Self {
        Settings {
            alpha: 0.01,
            beta: 0.05,
            fail_null: 1.25,
            pass_null: 2.0,
            log_null: 1.5,
            time_min_ms: 300_000,
            requests_min: 200,
            visible_ratio_max: 10.0,
            visible_share_max: 0.02,
            telemetry_missing_ms: 15_000,
            phases: 1,
            warm_up_ms: 30_000,
            small_service: SmallService::default(),
            weak_evidence_min: 1.5,
            weights: Weights::default(),
            guards: GuardSettings::default(),
        }
    }
}

/// A setting that cannot be judged by.
#[derive(Debug, Clone, PartialEq)]
pub struct SettingsInvalid {
    /// Its key.
    pub key: &'static str,
    /// What it must be.
    pub must: &'static str,
}

impl std::fmt::Display for SettingsInvalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "judge setting `{}` must be {}", self.key, self.must)
    }
}

impl std::error::Error for SettingsInvalid {}

impl Settings {
    /// The shortest time compared.
    pub fn time_min(&self) -> Millis {
        Millis(self.time_min_ms)
    }

    /// Checks what was written.
    ///
    /// # Errors
    /// The first setting that no verdict could rest on.
    pub fn check(&self) -> Result<(), SettingsInvalid> {
        let rules = [
            ("alpha", "above 0 and at most 0.5", self.alpha > 0.0 && self.alpha <= 0.5),
            ("beta", "above 0 and at most 0.5", self.beta > 0.0 && self.beta <= 0.5),
            ("fail_null", "from 1 to 20", (1.0..=20.0).contains(&self.fail_null)),
            ("pass_null", "above fail_null and at most 50", self.pass_null > self.fail_null && self.pass_null <= 50.0),
            ("log_null", "from 1 to 20", (1.0..=20.0).contains(&self.log_null)),
            ("visible_ratio_max", "above fail_null", self.visible_ratio_max > self.fail_null),
            ("visible_share_max", "from 0 to 1", (0.0..=1.0).contains(&self.visible_share_max)),
            ("phases", "from 1 to 64", (1..=64).contains(&self.phases)),
            ("weak_evidence_min", "from 1 on", self.weak_evidence_min >= 1.0),
            ("weights", "none negative, and at most 1 together", self.weights.are_valid()),
        ];
        match rules.into_iter().find(|(_, _, holds)| !holds) {
            Some((key, must, _)) => Err(SettingsInvalid { key, must }),
            None => Ok(()),
        }
    }
}

/// Everything fixed in advance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The rules.
    pub settings: Settings,
    /// The metrics, at most [`METRICS_MAX`].
    pub metrics: Vec<MetricPlan>,
    /// The log lines before the rollout.
    #[serde(default)]
    pub logs: LogHistory,
    /// Instances of the current release that ended by themselves before, out of instance-milliseconds.
    #[serde(default)]
    pub exits_before: Count,
}

impl Plan {
    /// A plan without metrics.
    pub fn new(settings: Settings) -> Plan {
        Plan { settings, metrics: Vec::new(), logs: LogHistory::default(), exits_before: Count::default() }
    }

    /// Adds the error metric, or one of several (per route).
    pub fn with_errors(self, name: &str, dispersion: Dispersion, host: HostEffect) -> Plan {
        self.with(name, MetricKind::Errors, Gates::Yes, Exposure::Trials, dispersion, host)
    }

    /// Adds the error metric over so many routes: compared within each, and each also tested by itself.
    pub fn with_routes(self, name: &str, dispersion: Dispersion, host: HostEffect, routes: u16) -> Plan {
        let mut plan = self.with_errors(name, dispersion, host);
        plan.set_last(|metric| metric.routes = routes);
        plan
    }

    /// What is known of how burstily the last metric's events come on a route by itself.
    #[must_use]
    pub fn with_route_dispersion(mut self, dispersion: Option<Dispersion>) -> Plan {
        self.set_last(|metric| metric.route_dispersion = dispersion);
        self
    }

    /// Adds clients that begin to fail, over so many routes.
    pub fn with_clients(self, name: &str, dispersion: Dispersion, host: HostEffect, routes: u16) -> Plan {
        let mut plan = self.with(name, MetricKind::Clients, Gates::Yes, Exposure::Trials, dispersion, host);
        plan.set_last(|metric| metric.routes = routes);
        plan
    }

    /// Adds errors that are shown, and judged by no more: clients with an error are.
    pub fn with_reported_errors(self, name: &str, dispersion: Dispersion, host: HostEffect) -> Plan {
        let mut plan = self.with(name, MetricKind::Errors, Gates::No, Exposure::Trials, dispersion, host);
        plan.set_last(|metric| metric.standing = Standing::Shown);
        plan
    }

    fn set_last(&mut self, set: impl FnOnce(&mut MetricPlan)) {
        if let Some(metric) = self.metrics.last_mut() {
            set(metric);
        }
    }

    /// Adds one metric per frozen threshold, with its dispersion and host effect (none where the slices are shorter); the p90
    /// and the p99 gate.
    pub fn with_latency(mut self, thresholds: &[Threshold], dispersions: &[Dispersion], hosts: &[HostEffect]) -> Plan {
        for (index, threshold) in thresholds.iter().enumerate() {
            let dispersion = dispersions.get(index).cloned().unwrap_or_else(Dispersion::none);
            let host = hosts.get(index).copied().unwrap_or_default();
            let gates = if [0.90, 0.99].contains(&threshold.quantile) { Gates::Yes } else { Gates::No };
            let name = format!("latency p{}", threshold.quantile * 100.0);
            let kind = MetricKind::Latency { threshold: *threshold };
            self = self.with(&name, kind, gates, Exposure::Trials, dispersion, host);
        }
        self
    }

    /// Adds restarts per instance-millisecond.
    pub fn with_restarts(self) -> Plan {
        let dispersion = Dispersion::none();
        self.with("restarts", MetricKind::Restarts, Gates::No, Exposure::Time, dispersion, HostEffect::default())
    }

    /// Adds a business counter (counted so that more is worse).
    pub fn with_business(self, name: &str, dispersion: Dispersion) -> Plan {
        self.with(name, MetricKind::Business, Gates::No, Exposure::Trials, dispersion, HostEffect::default())
    }

    /// Metrics beyond [`METRICS_MAX`] are left out.
    fn with(
        mut self,
        name: &str,
        kind: MetricKind,
        gates: Gates,
        exposure: Exposure,
        dispersion: Dispersion,
        host: HostEffect,
    ) -> Plan {
        if self.metrics.len() < METRICS_MAX {
            let engine = EngineSettings {
                exposure,
                fail_null: self.settings.fail_null,
                pass_null: self.settings.pass_null,
                dispersion,
                phases: self.settings.phases,
            };
            let engine = engine.with_host_effect(&host);
            let (standing, gates) = (Standing::Judged, gates == Gates::Yes);
            self.metrics.push(MetricPlan {
                name: name.to_owned(),
                kind,
                gates,
                standing,
                routes: 1,
                route_dispersion: None,
                engine,
            });
        }
        self
    }

    /// The metric of a name.
    pub fn metric(&self, name: &str) -> Option<MetricId> {
        self.metrics.iter().position(|metric| metric.name == name).map(|index| MetricId(index as u16))
    }

    /// Every metric's weight v_i: its kind's share, spread over the metrics of the kind (latency by [`QUANTILES`]), with the
    /// shares of kinds that the plan does not have spread over those it has. Fixed with the plan, so Σ v_i ≤ 1 for all data.
    pub fn weights(&self) -> Vec<f64> {
        let kind_share = |kind: &MetricKind| match kind {
            MetricKind::Errors | MetricKind::Clients => self.settings.weights.errors,
            MetricKind::Latency { .. } => self.settings.weights.latency,
            MetricKind::Restarts => self.settings.weights.restarts,
            MetricKind::Business => self.settings.weights.business,
        };
        let part = |kind: &MetricKind| match kind {
            MetricKind::Latency { threshold } => {
                QUANTILES.iter().find(|(quantile, _)| *quantile == threshold.quantile).map_or(0.1, |(_, part)| *part)
            }
            _ => 1.0,
        };
        let group = |kind: &MetricKind| match kind {
            MetricKind::Errors | MetricKind::Clients => 0,
            MetricKind::Latency { .. } => 1,
            MetricKind::Restarts => 2,
            MetricKind::Business => 3,
        };
        let spread = self.settings.weights.spread_of_absent(self);
        self.metrics
            .iter()
            .map(|metric| {
                if metric.standing == Standing::Shown {
                    return 0.0;
                }
                let judged = self.metrics.iter().filter(|m| m.standing == Standing::Judged);
                let of_kind: f64 =
                    judged.filter(|m| group(&m.kind) == group(&metric.kind)).map(|m| part(&m.kind)).sum();
                spread * kind_share(&metric.kind) * part(&metric.kind) / of_kind
            })
            .collect()
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Gates {
    Yes,
    No,
}
