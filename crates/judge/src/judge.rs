//! The whole judgement: windows in, verdict and evidence out, state bounded and serialisable.

use crate::arm::{Arm, Arms};
use crate::combination::combined_log_evidence;
use crate::engine::{Count, Engine, Table, Taken};
use crate::evidence::{Evidence, GaugeEvidence, MetricEvidence, Refusals, RouteEvidence, gather};
use crate::latency::LatencyWindow;
use crate::log_evidence::LogEvidence;
use crate::plan::{MetricKind, MetricPlan, Plan, Standing};
use crate::planner::{Gate, Traffic, Visible, information, smallest_visible};
use crate::resources::{BlockMeans, GaugeSettings, GuardAction, Guards, InstanceEvent, InstanceEventKind};
use crate::series::ROUTES_MAX;
use crate::verdict::{Facts, Suspicion, Verdict, WEAK_EVIDENCE_MAX, decide};
use crate::window::Window;
use gapless_model::{Millis, Tick};
use serde::{Deserialize, Serialize};

/// A window counts for at most so long: a longer one hides what happened when.
pub const WINDOW_MAX: Millis = Millis(60_000);

/// Longer than this nobody waits for a verdict.
pub const FURTHER_MAX: Millis = Millis(30 * 86_400_000);

/// Most gauges compared.
pub const GAUGES_MAX: usize = 16;

/// Most signatures in a window that are looked at; further ones are tallied as refused.
pub const WINDOW_LOGS_MAX: usize = 10_000;

/// One metric's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Metric {
    plan: MetricPlan,
    weight: f64,
    engine: Engine,
    /// Of each route by itself, where there are several.
    routes: Vec<Engine>,
    /// ln E, kept since most windows change it for few metrics.
    log_evidence: f64,
}

/// Of a metric with routes: the share of its evidence that is of all of them together.
const ALL_ROUTES_SHARE: f64 = 0.6;

impl Metric {
    fn new(plan: &MetricPlan, weight: f64) -> Metric {
        let routes = if plan.routes > 1 { usize::from(plan.routes).min(ROUTES_MAX) } else { 0 };
        let mut of_route = plan.engine.clone();
        if let Some(dispersion) = &plan.route_dispersion {
            of_route.dispersion = dispersion.clone();
        }
        Metric {
            plan: plan.clone(),
            weight,
            engine: Engine::new(plan.engine.clone()),
            routes: (0..routes).map(|_| Engine::new(of_route.clone())).collect(),
            log_evidence: 0.0,
        }
    }

    fn handle(&mut self, end_ms: u64, stratum: u16, table: &Table) {
        let mut changed = self.engine.handle_stratum(end_ms, stratum, table) == Taken::Counted;
        if let Some(route) = self.routes.get_mut(usize::from(stratum)) {
            changed |= route.handle_stratum(end_ms, 0, table) == Taken::Counted;
        }
        if changed {
            self.log_evidence = self.evidence();
        }
    }

    /// The mean over all routes together and each by itself: a sparse mixture, since of many routes a few may be bad. A mean of e-processes is
    /// one under any dependence.
    fn evidence(&self) -> f64 {
        let together = self.engine.fail_log_evidence();
        if self.routes.is_empty() {
            return together;
        }
        let share = (1.0 - ALL_ROUTES_SHARE) / self.routes.len() as f64;
        let alone = self.routes.iter().map(|route| (share, route.fail_log_evidence()));
        combined_log_evidence(std::iter::once((ALL_ROUTES_SHARE, together)).chain(alone))
    }

    fn begin_phase(&mut self) {
        self.engine.begin_phase();
        self.routes.iter_mut().for_each(Engine::begin_phase);
        self.log_evidence = self.evidence();
    }

    /// Whether it is judged by.
    fn is_judged(&self) -> bool {
        self.plan.standing == Standing::Judged
    }

    /// The route that speaks most against the candidate, where it does so by itself.
    fn worst_route(&self) -> Option<RouteEvidence> {
        let all = self.routes.iter().enumerate().map(|(route, engine)| (route, engine, engine.fail_log_evidence()));
        let (route, engine, log_evidence) = all.max_by(|a, b| a.2.total_cmp(&b.2))?;
        let worst = RouteEvidence { route: route as u16, counts: *engine.totals(), log_evidence };
        (log_evidence >= 1.0 && log_evidence > self.engine.fail_log_evidence()).then_some(worst)
    }
}

/// Judges one candidate. Hot: takes `&mut self`; everything it knows is in here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Judge {
    settings: crate::plan::Settings,
    logs_weight: f64,
    metrics: Vec<Metric>,
    logs: LogEvidence,
    guards: Guards,
    gauges: Vec<(String, BlockMeans)>,
    latency: Arms<LatencyWindow>,
    requests: Arms<u64>,
    /// What the warm-up came to, and what steady instances did meanwhile.
    warming: Arms<Count>,
    beside_warming: Arms<Count>,
    warmed_up: bool,
    /// Candidate requests when the phase began.
    phase_requests: u64,
    /// When each arm last reported, and the end of the last window.
    reported_ms: Arms<Option<u64>>,
    first_ms: Option<u64>,
    last_ms: Option<u64>,
    /// Time in which both arms had requests.
    compared_ms: u64,
    failed_ms: Option<u64>,
    refusals: Refusals,
}

impl Judge {
    /// A judge that has seen nothing. What a plan has fixed stays fixed.
    pub fn new(plan: &Plan) -> Judge {
        let weights = plan.weights();
        let metrics = plan.metrics.iter().zip(&weights).map(|(metric, weight)| Metric::new(metric, *weight));
        Judge {
            settings: plan.settings.clone(),
            logs_weight: plan.settings.weights.logs,
            metrics: metrics.collect(),
            logs: LogEvidence::new(plan.settings.log_null, plan.settings.phases, &plan.logs),
            guards: Guards::new(plan.settings.guards).with_past(plan.exits_before),
            gauges: Vec::new(),
            latency: Arms::default(),
            requests: Arms::default(),
            warming: Arms::default(),
            beside_warming: Arms::default(),
            warmed_up: false,
            phase_requests: 0,
            reported_ms: Arms::default(),
            first_ms: None,
            last_ms: None,
            compared_ms: 0,
            failed_ms: None,
            refusals: Refusals::default(),
        }
    }

    /// Takes one window. One that ends no later than the last is refused: it may have been counted already.
    pub fn handle_window(&mut self, window: &Window) {
        if self.last_ms.is_some_and(|last| window.end.0 <= last) {
            self.refusals.late_windows += 1;
            return;
        }
        self.first_ms.get_or_insert(window.end.0);
        self.last_ms = Some(window.end.0);
        for arm in [Arm::Candidate, Arm::Current] {
            if *window.reporting.of(arm) {
                *self.reported_ms.of_mut(arm) = Some(window.end.0);
            }
            let requests = self.requests.of_mut(arm);
            *requests = requests.saturating_add(*window.requests.of(arm));
        }
        if window.requests.candidate > 0 && window.requests.current > 0 {
            self.compared_ms = self.compared_ms.saturating_add(window.length.0.min(WINDOW_MAX.0));
        }
        self.guards.handle_time(window.instance_ms, window.length);
        self.handle_warming(window);
        for count in &window.counts {
            self.count(window.end.0, usize::from(count.metric.0), count.stratum, &count.table);
        }
        if let Some(latency) = &window.latency {
            self.count_latency(window.end.0, latency);
        }
        self.count_logs(window);
        if self.failed_ms.is_none() && self.combined_log_evidence() >= (1.0 / self.settings.alpha).ln() {
            self.failed_ms = Some(window.end.0);
        }
    }

    /// A new phase begins: a verdict that promotes wants time, requests and proof of its own. What speaks against the candidate goes on to
    /// count, since α is for the release over all its phases.
    pub fn begin_phase(&mut self) {
        self.metrics.iter_mut().for_each(Metric::begin_phase);
        self.logs.begin_phase();
        self.compared_ms = 0;
        self.phase_requests = self.requests.candidate;
    }

    /// Requests of instances in their warm-up are shown and guarded.
    fn handle_warming(&mut self, window: &Window) {
        let warming = window.warming.candidate.exposure > 0;
        if warming {
            self.warming.candidate.add(window.warming.candidate);
            self.warming.current.add(window.warming.current);
            let errors = |metric: &Metric| metric.plan.kind == MetricKind::Errors;
            let errors = self.metrics.iter().position(errors).map(|place| place as u16);
            for count in window.counts.iter().filter(|count| Some(count.metric.0) == errors) {
                self.beside_warming.current.add(count.table.current);
            }
        } else if self.warming.candidate.exposure > 0 && !self.warmed_up && window.requests.candidate > 0 {
            self.warmed_up = true;
            self.guards.handle_warmup(self.warming.candidate, self.beside_warming.current);
        }
    }

    fn count(&mut self, end_ms: u64, metric: usize, stratum: u16, table: &Table) {
        match self.metrics.get_mut(metric) {
            Some(metric) => metric.handle(end_ms, stratum, table),
            None => self.refusals.unknown_metrics += 1,
        }
    }

    fn count_latency(&mut self, end_ms: u64, latency: &Arms<LatencyWindow>) {
        for index in 0..self.metrics.len() {
            if let MetricKind::Latency { threshold } = self.metrics[index].plan.kind {
                let table = Table {
                    candidate: threshold.count(&latency.candidate),
                    current: threshold.count(&latency.current),
                };
                self.count(end_ms, index, 0, &table);
            }
        }
        self.latency.candidate.add(&latency.candidate);
        self.latency.current.add(&latency.current);
    }

    fn count_logs(&mut self, window: &Window) {
        let logs = &window.logs[..window.logs.len().min(WINDOW_LOGS_MAX)];
        self.refusals.log_counts += (window.logs.len() - logs.len()) as u64;
        let unnamed = window.unnamed_errors.candidate + window.unnamed_errors.current > 0;
        if logs.is_empty() && !unnamed && self.logs.is_silent() {
            return;
        }
        let fatal = logs.iter().filter(|log| log.fatal && !log.declared && !log.known && log.lines.current == 0);
        self.guards.handle_fatal_lines(fatal.map(|log| log.lines.candidate).sum());
        self.logs.handle_window(window, logs);
    }

    /// Takes something that happened to an instance. Guards act on the candidate's, and look at the current release's; samples of gauges are
    /// also compared.
    pub fn handle_instance(&mut self, now: Tick, arm: Arm, event: &InstanceEvent) {
        self.guards.handle_of(now, arm, event);
        if let InstanceEventKind::Sample { resource, value, .. } = &event.kind {
            self.handle_gauge(now, arm, &event.instance, resource, *value as f64);
        }
    }

    /// Takes something that happened to an instance, for the guards alone.
    pub fn handle_guarded(&mut self, now: Tick, arm: Arm, event: &InstanceEvent) {
        self.guards.handle_of(now, arm, event);
    }

    /// Takes a sample of a gauge without a limit.
    pub fn handle_gauge(&mut self, now: Tick, arm: Arm, instance: &str, gauge: &str, value: f64) {
        let index = match self.gauges.iter().position(|(name, _)| name == gauge) {
            Some(index) => index,
            None if self.gauges.len() < GAUGES_MAX => {
                self.gauges.push((gauge.to_owned(), BlockMeans::new(GaugeSettings::default())));
                self.gauges.len() - 1
            }
            None => {
                self.refusals.gauges += 1;
                return;
            }
        };
        self.gauges[index].1.handle_sample(now, arm, instance, value);
    }

    /// ln Ē = ln Σ v_i E_i over the metrics, and the log signatures that may roll back.
    pub fn combined_log_evidence(&self) -> f64 {
        let metrics = self.metrics.iter().map(|metric| (metric.weight, metric.log_evidence));
        let logs = self.logs.parts().filter(|part| part.gated);
        combined_log_evidence(metrics.chain(logs.map(|part| (self.logs_weight * part.share, part.log_evidence))))
    }

    /// The verdict now. `deadline` is the end of the phase's time; before it an open question stays open.
    pub fn verdict(&self, now: Tick, deadline: Tick) -> Verdict {
        let guard = self.guards.acted();
        let gating = || self.metrics.iter().filter(|metric| metric.plan.gates);
        let proof = (1.0 / self.settings.beta).ln();
        let all_proven = gating().next().is_some() && gating().all(|metric| metric.engine.pass_log_evidence() >= proof);
        let deadline_reached = now >= deadline;
        decide(Facts {
            rollback_guard: guard
                .clone()
                .filter(|(_, action)| *action == GuardAction::RollBack)
                .map(|(guard, _)| guard),
            failed: self.failed_ms.is_some(),
            suspicion: self.suspicion(now),
            has_data: self.requests.candidate > 0 && self.requests.current > 0 && self.compared_ms > 0,
            time_reached: self.compared_ms >= self.settings.time_min_ms,
            watched_long_enough: self
                .first_ms
                .is_some_and(|first| now.0 >= first.saturating_add(self.settings.time_min_ms)),
            requests_reached: self.requests.candidate - self.phase_requests >= self.settings.requests_min,
            all_proven,
            praisable: self.logs.new_error_recurs().is_none(),
            all_leaning: gating().next().is_some()
                && gating().all(|m| m.engine.pass_log_evidence() >= self.settings.weak_evidence_min.ln()),
            nothing_against: self.judged().all(|metric| metric.log_evidence < WEAK_EVIDENCE_MAX.ln()),
            small_service: self.settings.small_service,
            // Costly, and only asked at the deadline.
            all_visible: deadline_reached && gating().next().is_some() && gating().all(|m| self.shows_what_matters(m)),
            deadline_reached,
        })
    }

    fn suspicion(&self, now: Tick) -> Option<Suspicion> {
        if let Some((guard, GuardAction::Hold)) = self.guards.acted() {
            return Some(Suspicion::Guard { guard });
        }
        let threshold = -0.5 * self.settings.alpha.ln();
        if let Some(metric) = self.judged().find(|metric| metric.log_evidence >= threshold) {
            return Some(Suspicion::Metric { name: metric.plan.name.clone() });
        }
        if self.combined_log_evidence() >= threshold {
            return Some(Suspicion::Together);
        }
        // Many signatures are tried, so each counts by its share.
        let parts = self.logs.parts().map(|part| (part.share, part.log_evidence.max(part.holding_log_evidence)));
        if combined_log_evidence(parts.chain(std::iter::once(self.logs.total_part()))) >= threshold {
            return Some(Suspicion::Logs);
        }
        if let Some((signature, share, log_evidence)) = self.logs.lost()
            && share.ln() + log_evidence >= threshold
        {
            return Some(Suspicion::LostLine { signature });
        }
        if self.telemetry_is_missing(now) {
            return Some(Suspicion::TelemetryMissing);
        }
        let found = |(name, gauge): &(String, BlockMeans)| {
            let finding = gauge.finding()?;
            let leaks = finding.grows.is_some() && name.as_str() != "cpu";
            if leaks {
                return Some(Suspicion::Grows { name: name.clone() });
            }
            finding.proven.then(|| Suspicion::Gauge { name: name.clone() })
        };
        self.gauges.iter().find_map(found)
    }

    fn judged(&self) -> impl Iterator<Item = &Metric> {
        self.metrics.iter().filter(|metric| metric.is_judged())
    }

    /// The current release has reported within the time allowed, the candidate has not.
    fn telemetry_is_missing(&self, now: Tick) -> bool {
        let allowed = Millis(self.settings.telemetry_missing_ms);
        let Some(first) = self.first_ms else { return false };
        let silent_for = |arm: Arm| now.since(Tick(self.reported_ms.of(arm).unwrap_or(first)));
        let peers_report = self.reported_ms.current.is_some() && silent_for(Arm::Current) < allowed;
        peers_report && silent_for(Arm::Candidate) >= allowed
    }

    fn shows_what_matters(&self, metric: &Metric) -> bool {
        let visible = self.visible(metric);
        visible.ratio.is_some_and(|ratio| ratio <= self.settings.visible_ratio_max)
            || visible.share.is_some_and(|share| share <= self.settings.visible_share_max)
    }

    /// The smallest effect the exposure so far would have shown. A base rate of zero is taken as half an event.
    fn visible(&self, metric: &Metric) -> Visible {
        let totals = metric.engine.totals();
        let current = totals.current.exposure as f64;
        let rate = (totals.current.events as f64).max(0.5) / current.max(1.0);
        let settings = metric.engine.settings();
        let gate = Gate {
            exposure: settings.exposure,
            null: settings.fail_null,
            alpha: self.settings.alpha,
            weight: metric.weight,
            dispersion: &settings.dispersion,
        };
        smallest_visible(&Traffic { candidate: totals.candidate.exposure as f64, current, rate }, &gate)
    }

    /// How much longer the same traffic would have to be compared until a release as good as before has passed, about.
    fn further_ms(&self) -> Option<u64> {
        let gating = self.metrics.iter().filter(|metric| metric.plan.gates);
        let of_metric = |metric: &Metric| {
            let (totals, settings) = (metric.engine.totals(), metric.engine.settings());
            let so_far = Traffic {
                candidate: totals.candidate.exposure as f64,
                current: totals.current.exposure as f64,
                rate: totals.current.rate().unwrap_or(0.0),
            };
            let missing = (1.0 / self.settings.beta).ln() - metric.engine.pass_log_evidence();
            let nats = information(&so_far, settings.exposure, 1.0, settings.pass_null) / settings.dispersion.index();
            let ms = missing.max(0.0) / nats * self.compared_ms as f64;
            (ms.is_finite() && ms < FURTHER_MAX.0 as f64).then_some(ms as u64)
        };
        gating.map(of_metric).try_fold(0, |most, ms| Some(most.max(ms?)))
    }

    /// Everything known, as data: the verdict's reasons, ordered by what weighs most.
    pub fn evidence(&self, now: Tick, deadline: Tick) -> Evidence {
        let metrics = self.metrics.iter().map(|metric| MetricEvidence {
            name: metric.plan.name.clone(),
            kind: metric.plan.kind,
            gates: metric.plan.gates,
            weight: metric.weight,
            counts: *metric.engine.totals(),
            log_evidence: metric.log_evidence,
            pass_log_evidence: metric.engine.pass_log_evidence(),
            interval: metric.engine.interval(self.settings.alpha),
            standing: metric.plan.standing,
            worst_route: metric.worst_route(),
            visible: self.visible(metric),
            dispersion: metric.plan.engine.dispersion.index(),
            refused_windows: metric.engine.refused(),
        });
        let gauges = self
            .gauges
            .iter()
            .filter_map(|(name, gauge)| gauge.finding().map(|finding| GaugeEvidence { name: name.clone(), finding }));
        let evidence = Evidence {
            verdict: self.verdict(now, deadline),
            at_ms: now.0,
            compared_ms: self.compared_ms,
            failed_ms: self.failed_ms,
            requests: self.requests,
            alpha: self.settings.alpha,
            beta: self.settings.beta,
            log_evidence: self.combined_log_evidence(),
            metrics: metrics.collect(),
            headline: Vec::new(),
            warming: self.warming,
            further_ms: self.further_ms(),
            phase_requests: self.requests.candidate - self.phase_requests,
            unnamed_errors: self.logs.unnamed(),
            lost_line: self.logs.lost().map(|(signature, _, _)| signature),
            recurring_line: self.logs.new_error_recurs(),
            logs: self.logs.findings(
                (self.requests.candidate as f64, self.requests.current as f64),
                crate::evidence::LOG_FINDINGS_MAX,
            ),
            log_total_evidence: self.logs.total_log_evidence(),
            gauges: gauges.collect(),
            guard: self.guards.acted().map(|(guard, _)| guard),
            body_shift: crate::latency::body_shift(&self.latency.candidate, &self.latency.current, self.settings.alpha),
            refusals: self.refusals.clone(),
        };
        gather(evidence, &self.latency)
    }

    /// The odds ratio of one metric with its anytime-valid interval.
    pub fn interval_of(&self, metric: crate::plan::MetricId) -> Option<crate::engine::Interval> {
        self.metrics.get(usize::from(metric.0)).map(|metric| metric.engine.interval(self.settings.alpha))
    }

    /// All latencies so far, for charts.
    pub fn latencies(&self) -> &Arms<LatencyWindow> {
        &self.latency
    }

    /// When the evidence first reached 1/α, on the controller's clock.
    pub fn failed_at(&self) -> Option<Tick> {
        self.failed_ms.map(Tick)
    }
}
