//! One scripted rollout, judged second by second.

use super::chance::Chance;
use super::script::{LogKind, Script};
use gapless_judge::dispersion::DispersionEstimate;
use gapless_judge::engine::{Exposure, Table};
use gapless_judge::host::HostEstimate;
use gapless_judge::latency::{LatencyWindow, Threshold, freeze};
use gapless_judge::logs::{Severity, SignatureId};
use gapless_judge::planner::rate_at;
use gapless_judge::resources::{InstanceEvent, InstanceEventKind};
use gapless_judge::{Arm, Arms, Judge, LogCount, MetricId, MetricWindow, Plan, Settings, Verdict, Window};
use gapless_model::{Millis, Tick};

/// Instances of the current release.
const INSTANCES: usize = 4;

/// Seconds of the time before the rollout.
const BEFORE_S: u64 = 3_600;

/// Slots in which errors of an incident are still to come.
const SLOTS: usize = 32;

/// What came of a rollout.
pub struct Outcome {
    pub verdict: Verdict,
    pub second: u64,
    /// Failed requests that the candidate served beyond what the current release would have, by the verdict.
    pub cost: f64,
    pub evidence: String,
}

struct World<'a> {
    script: &'a Script,
    chance: Chance,
    pending: Vec<[u32; SLOTS]>,
}

impl World<'_> {
    /// Requests and errors of one source in one second.
    fn count(&mut self, source: usize, second: u64, mean: f64, rate: f64) -> (u64, u64) {
        let requests = self.chance.poisson(mean);
        if self.script.bursts <= 1.0 {
            return (requests, self.chance.binomial(requests, rate));
        }
        let incidents = self.chance.binomial(requests, rate / self.script.bursts);
        for _ in 0..incidents {
            for _ in 0..self.chance.geometric(self.script.bursts) {
                let later = (self.chance.exponential() * 4.0) as u64;
                self.pending[source][((second + later) % SLOTS as u64) as usize] += 1;
            }
        }
        let errors = u64::from(std::mem::take(&mut self.pending[source][(second % SLOTS as u64) as usize]));
        (requests - incidents + errors, errors)
    }

    fn latencies(&mut self, requests: u64, arm: Arm, before: bool) -> LatencyWindow {
        let mut window = LatencyWindow::default();
        let Some(median_ms) = self.script.latency else { return window };
        for _ in 0..requests {
            // Twelve uniform numbers less six are normal enough for a latency.
            let normal: f64 = (0..12).map(|_| self.chance.unit()).sum::<f64>() - 6.0;
            let mut ms = median_ms * (0.5 * normal).exp();
            if arm == Arm::Candidate {
                ms *= self.script.host;
                if !before {
                    ms *= self.script.body;
                    if let Some((factor, share)) = self.script.tail
                        && self.chance.unit() < share
                    {
                        ms *= factor;
                    }
                }
            }
            window.answered.record_us((ms * 1e3) as u64);
        }
        window
    }

    /// The time before: dispersion, thresholds, the candidate's host.
    fn plan(&mut self) -> Plan {
        let mut dispersion = DispersionEstimate::default();
        let mut latency = LatencyWindow::default();
        let mut windows = Vec::new();
        let each = self.script.traffic / INSTANCES as f64;
        for second in 0..BEFORE_S {
            let row: Vec<(u64, u64)> =
                (0..INSTANCES).map(|i| self.count(i, second, each, self.script.errors)).collect();
            dispersion.handle_window(&row);
            if self.script.latency.is_some() {
                // The last instance stands on the host that the candidate will get.
                let requests: Vec<u64> = row.iter().map(|(requests, _)| *requests).collect();
                let host = self.latencies(requests[INSTANCES - 1], Arm::Candidate, true);
                let peers = self.latencies(requests[..INSTANCES - 1].iter().sum(), Arm::Current, true);
                latency.add(&host);
                latency.add(&peers);
                windows.push((host, peers));
            }
        }
        self.pending.fill([0; SLOTS]);
        let thresholds = freeze(&latency);
        let hosts: Vec<_> = thresholds.iter().map(|threshold| host_effect(threshold, &windows)).collect();
        let mut plan =
            Plan::new(Settings::default()).with_errors("errors", dispersion.dispersion(), Default::default());
        if self.script.route.is_some() {
            plan = plan.with_errors("errors /checkout", dispersion.dispersion(), Default::default());
        }
        plan.with_latency(&thresholds, &[], &hosts).with_restarts()
    }

    /// Traffic of both arms per second, and the current release's error rate.
    fn conditions(&self, second: u64) -> (f64, f64) {
        let script = self.script;
        let grown = 1.0 + (script.ramp - 1.0) * second as f64 / (script.minutes * 60) as f64;
        let lull = script.lull.is_some_and(|(from, to)| (from..to).contains(&second));
        let outage = script.outage.filter(|(from, to, _)| (*from..*to).contains(&second));
        let errors = outage.map_or(script.errors, |(_, _, rate)| rate) * if lull { 3.0 } else { 1.0 };
        (script.traffic * grown * if lull { 0.05 } else { 1.0 }, errors.min(1.0))
    }
}

fn host_effect(threshold: &Threshold, windows: &[(LatencyWindow, LatencyWindow)]) -> gapless_judge::host::HostEffect {
    let mut estimate = HostEstimate::new(Exposure::Trials);
    for (host, peers) in windows {
        estimate.handle_window(&Table { candidate: threshold.count(host), current: threshold.count(peers) });
    }
    estimate.effect(0.01)
}

/// Plays a scenario to its verdict.
pub fn play(script: &Script) -> Outcome {
    let chance = Chance::new(script.seed);
    let mut world = World { script, chance, pending: vec![[0; SLOTS]; INSTANCES + 4] };
    let plan = world.plan();
    let mut judge = Judge::new(&plan);
    let end = script.minutes * 60;
    let deadline = Tick(end * 1_000);
    let mut cost = 0.0;
    for second in 0..end {
        let now = Tick((second + 1) * 1_000);
        let (window, extra) = world.window(second, now);
        cost += extra;
        if script.silent_from.is_none_or(|from| second < from) {
            world.happenings(second, now, &mut judge);
        }
        judge.handle_window(&window);
        let verdict = judge.verdict(now, deadline);
        if verdict.rolls_back() || verdict.promotes() || now >= deadline {
            return Outcome { verdict, second: second + 1, cost, evidence: judge.evidence(now, deadline).to_string() };
        }
    }
    unreachable!("the deadline ends every scenario")
}

impl World<'_> {
    fn window(&mut self, second: u64, end: Tick) -> (Window, f64) {
        let script = self.script;
        let (traffic, rate) = self.conditions(second);
        let (factor, from) = script.candidate_errors;
        let psi = if second >= from { factor } else { 1.0 };
        let bad = if rate >= 1.0 { 1.0 } else { rate_at(rate, psi, Exposure::Trials) };
        let candidate = self.count(INSTANCES, second, traffic * script.share, bad);
        let current = self.count(INSTANCES + 1, second, traffic * (1.0 - script.share), rate);
        let mut extra = candidate.1 as f64 - candidate.0 as f64 * rate;
        let mut total = Table::new(candidate, current);
        let mut counts = Vec::new();
        if let Some((share, psi)) = script.route {
            let bad = rate_at(rate, psi, Exposure::Trials);
            let route_candidate = self.count(INSTANCES + 2, second, traffic * script.share * share, bad);
            let route_current = self.count(INSTANCES + 3, second, traffic * (1.0 - script.share) * share, rate);
            let table = Table::new(route_candidate, route_current);
            extra += route_candidate.1 as f64 - route_candidate.0 as f64 * rate;
            total.add(&table);
            counts.push(MetricWindow { metric: MetricId(1), stratum: 0, table });
        }
        counts.push(MetricWindow { metric: MetricId(0), stratum: 0, table: total });
        let silent = script.silent_from.is_some_and(|from| second >= from);
        if silent {
            total.candidate = Default::default();
            counts.iter_mut().for_each(|count| count.table.candidate = Default::default());
        }
        let requests = Arms { candidate: total.candidate.exposure, current: total.current.exposure };
        let latency = Arms {
            candidate: self.latencies(requests.candidate, Arm::Candidate, false),
            current: self.latencies(requests.current, Arm::Current, false),
        };
        let logs = if silent { Vec::new() } else { self.logs(second) };
        let reporting = Arms { candidate: !silent, current: true };
        let window = Window {
            end,
            length: Millis(1_000),
            requests,
            reporting,
            counts,
            latency: Some(latency),
            logs,
            ..Window::default()
        };
        (window, extra.max(0.0))
    }

    fn logs(&mut self, second: u64) -> Vec<LogCount> {
        let script = self.script;
        let count = |id: u64, severity, known, candidate, current, corroborated, fatal| LogCount {
            signature: SignatureId(id),
            severity: Some(severity),
            known,
            declared: false,
            fatal,
            lines: Arms { candidate, current },
            corroborated,
        };
        let mut logs = Vec::new();
        if script.panics > 0 && (second + 1).is_multiple_of(300) && second / 300 < script.panics {
            logs.push(count(9, Severity::Fatal, false, 1, 0, 0, true));
        }
        let Some(log) = script.log else { return logs };
        let per_s = log.per_hour / 3_600.0;
        // Rates are of the whole service, so each arm writes its share; what only the candidate writes is meant as it stands.
        let (alone, of_candidate, of_current) = (
            self.chance.poisson(per_s),
            self.chance.poisson(per_s * script.share),
            self.chance.poisson(per_s * (1.0 - script.share)),
        );
        match log.kind {
            LogKind::NewError => logs.push(count(1, Severity::Error, false, alone, 0, 0, false)),
            LogKind::NewErrorWithFailures => logs.push(count(1, Severity::Error, false, alone, 0, alone, false)),
            LogKind::KnownError => logs.push(count(2, Severity::Error, true, of_candidate, of_current, 0, false)),
            LogKind::RenamedInfo => {
                logs.push(count(3, Severity::Info, true, 0, of_current, 0, false));
                logs.push(count(4, Severity::Info, false, of_candidate, 0, 0, false));
            }
            LogKind::LostInfo => logs.push(count(5, Severity::Info, true, 0, of_current, 0, false)),
        }
        logs.retain(|log| log.lines.candidate + log.lines.current > 0);
        logs
    }

    fn happenings(&mut self, second: u64, now: Tick, judge: &mut Judge) {
        let script = self.script;
        let exits = script.exits_every.is_some_and(|every| (second + 1).is_multiple_of(every))
            || script.exit_once == Some(second);
        if exits {
            let event = InstanceEvent { instance: "c1".to_owned(), kind: InstanceEventKind::Exited };
            judge.handle_instance(now, Arm::Candidate, &event);
        }
        let Some((percent, step)) = script.memory.filter(|_| second.is_multiple_of(10)) else { return };
        for (arm, instance, grown) in
            [(Arm::Candidate, "c1", step * second as f64 / 60.0), (Arm::Current, "b1", 0.0), (Arm::Current, "b2", 0.0)]
        {
            let value = ((percent + grown).min(100.0) * 10.0 + 20.0 * self.chance.unit()) as u64;
            let kind = InstanceEventKind::Sample { resource: "memory".to_owned(), value, limit: 1_000 };
            judge.handle_instance(now, arm, &InstanceEvent { instance: instance.to_owned(), kind });
        }
    }
}
