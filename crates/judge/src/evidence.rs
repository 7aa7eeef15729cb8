//! What a verdict rests on, as data, and in plain words.
//!
//! The same data is shown by `explain`, the web page and the notice, and kept with the rollout.

use crate::arm::Arms;
use crate::engine::{Count, Interval, Table};
use crate::headline::{Change, changes, first_line};
use crate::latency::{BodyShift, LatencyWindow};
use crate::log_evidence::LogFinding;
use crate::logs::SignatureId;
use crate::plan::{MetricKind, Standing};
use crate::planner::Visible;
use crate::resources::{GaugeFinding, Guard};
use crate::verdict::Verdict;
use gapless_model::Millis;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Most log findings kept with a verdict: more are not read, and the logs themselves remain.
pub const LOG_FINDINGS_MAX: usize = 50;

/// What was given to the judge and not taken, so that nobody takes silence for health.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Refusals {
    /// Windows that ended no later than the one before.
    pub late_windows: u64,
    /// Counts of metrics the plan does not have.
    pub unknown_metrics: u64,
    /// Log counts beyond the bound of a window.
    pub log_counts: u64,
    /// Samples of gauges beyond the bound.
    pub gauges: u64,
}

/// One metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MetricEvidence {
    /// Its name.
    pub name: String,
    /// What it counts.
    pub kind: MetricKind,
    /// Whether a PASS must be proven on it.
    pub gates: bool,
    /// v_i.
    pub weight: f64,
    /// Counts of both arms in windows where both had exposure.
    pub counts: Table,
    /// ln E_i: the candidate is worse.
    pub log_evidence: f64,
    /// ln E′_i: the candidate is no worse than tolerated.
    pub pass_log_evidence: f64,
    /// The odds (or rate) ratio with its anytime-valid interval at 1 − α.
    pub interval: Interval,
    /// Whether it is judged by, or only shown.
    #[serde(default)]
    pub standing: Standing,
    /// The route that speaks most against the candidate, where one does so by itself.
    #[serde(default)]
    pub worst_route: Option<RouteEvidence>,
    /// The smallest effect the exposure so far would have shown.
    pub visible: Visible,
    /// The dispersion used.
    pub dispersion: f64,
    /// Windows refused as impossible.
    pub refused_windows: u64,
}

/// One route of a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RouteEvidence {
    /// Its number among the routes of the one who counts.
    pub route: u16,
    /// Its counts.
    pub counts: Table,
    /// ln E of it by itself.
    pub log_evidence: f64,
}

/// One gauge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GaugeEvidence {
    /// Its name.
    pub name: String,
    /// What is known.
    pub finding: GaugeFinding,
}

/// Everything a verdict rests on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The verdict.
    pub verdict: Verdict,
    /// When, on the controller's clock, in milliseconds.
    pub at_ms: u64,
    /// Time in which both arms had requests, in milliseconds.
    pub compared_ms: u64,
    /// When the evidence first sufficed to roll back.
    pub failed_ms: Option<u64>,
    /// Requests of each arm.
    pub requests: Arms<u64>,
    /// α.
    pub alpha: f64,
    /// β.
    pub beta: f64,
    /// ln Ē.
    pub log_evidence: f64,
    /// What changed most, in the units people measure in.
    #[serde(default)]
    pub headline: Vec<Change>,
    /// Requests of instances in their warm-up, which are not judged, and how many failed.
    #[serde(default)]
    pub warming: Arms<Count>,
    /// How much longer the same traffic would have to be compared for a release that is as good as before to be shown as such; `None` where no
    /// time would do.
    #[serde(default)]
    pub further_ms: Option<u64>,
    /// Candidate requests of this phase.
    #[serde(default)]
    pub phase_requests: u64,
    /// ERROR lines whose signature could not be told, since there were too many: only their total is tested.
    #[serde(default)]
    pub unnamed_errors: Arms<u64>,
    /// The known line that the candidate most likely writes no longer.
    #[serde(default)]
    pub lost_line: Option<SignatureId>,
    /// A new ERROR line that keeps coming from the candidate alone.
    #[serde(default)]
    pub recurring_line: Option<SignatureId>,
    /// Every metric; the one to blame most first (by v_i E_i).
    pub metrics: Vec<MetricEvidence>,
    /// Log signatures that are not known and the same, the worst first.
    pub logs: Vec<LogFinding>,
    /// ln E of the total of ERROR lines.
    pub log_total_evidence: f64,
    /// Gauges with enough blocks.
    pub gauges: Vec<GaugeEvidence>,
    /// The guard that acted.
    pub guard: Option<Guard>,
    /// Where the candidate's latencies are proven slower.
    pub body_shift: Option<BodyShift>,
    /// What was not taken.
    pub refusals: Refusals,
}

/// Orders the blame list and makes every number finite, so that it can be written as JSON.
pub(crate) fn gather(mut evidence: Evidence, latency: &Arms<LatencyWindow>) -> Evidence {
    let blame = |metric: &MetricEvidence| metric.weight.max(f64::MIN_POSITIVE).ln() + metric.log_evidence;
    evidence.metrics.sort_by(|a, b| blame(b).total_cmp(&blame(a)));
    let finite = |value: &mut f64| *value = if value.is_finite() { *value } else { 0.0 };
    evidence.headline = changes(&evidence.metrics, latency);
    finite(&mut evidence.log_evidence);
    finite(&mut evidence.log_total_evidence);
    evidence
}

/// The summary in plain words: the verdict, then what weighs most, then what could not be seen.
impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", first_line(self))?;
        writeln!(
            f,
            "  compared for {}: {} candidate requests, {} of the current release",
            Millis(self.compared_ms / 1_000 * 1_000),
            self.requests.candidate,
            self.requests.current
        )?;
        if self.warming.candidate.exposure > 0 {
            let Count { exposure, events } = self.warming.candidate;
            writeln!(f, "  warm-up, not judged: {events} of {exposure} requests failed")?;
        }
        for metric in &self.metrics {
            writeln!(f, "  {metric}")?;
        }
        if let Some(shift) = &self.body_shift {
            writeln!(
                f,
                "  latency: {:.1} % of the candidate's requests take at most {}, {:.1} % of the current release's",
                shift.candidate * 100.0,
                micros(shift.us),
                shift.current * 100.0
            )?;
        }
        for gauge in self.gauges.iter().filter(|gauge| gauge.finding.grows.is_some()) {
            let growth = (gauge.finding.grows.unwrap_or(1.0) - 1.0) * 100.0;
            writeln!(f, "  {}: grew by {growth:.0} % against its peers, steadily", gauge.name)?;
        }
        for gauge in self.gauges.iter().filter(|gauge| gauge.finding.proven) {
            let GaugeFinding { ratio, lower, upper, .. } = gauge.finding;
            writeln!(f, "  {}: {ratio:.2}× its peers ({lower:.2}–{upper:.2})", gauge.name)?;
        }
        for log in self.logs.iter().filter(|log| !log.declared).take(5) {
            let severity = log.severity.map_or("log", |severity| severity.as_str());
            writeln!(
                f,
                "  {severity} lines of signature {}: {} by the candidate, {} by the current release{}",
                log.signature,
                log.candidate,
                log.current,
                log.proof().map(|proof| format!(", {proof}")).unwrap_or_default()
            )?;
        }
        let Arms { candidate, current } = self.unnamed_errors;
        if candidate + current > 0 {
            writeln!(
                f,
                "  too many different ERROR lines to tell apart: {candidate} by the candidate and {current} by the current release, \
                 tested in total only"
            )?;
        }
        let Refusals { late_windows, unknown_metrics, log_counts, gauges } = self.refusals;
        let refused = late_windows + unknown_metrics + log_counts + gauges;
        if refused > 0 {
            writeln!(f, "  {refused} inputs were not taken (late windows: {late_windows})")?;
        }
        Ok(())
    }
}

impl fmt::Display for MetricEvidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Table { candidate, current } = self.counts;
        if candidate.exposure == 0 || current.exposure == 0 {
            return write!(f, "{}: no data from both releases at the same time", self.name);
        }
        if candidate.events + current.events == 0 {
            return write!(f, "{}: none on either release{}", self.name, self.could_see());
        }
        write!(
            f,
            "{}: {} of {} against {} of {}",
            self.name, candidate.events, candidate.exposure, current.events, current.exposure
        )?;
        let Interval { estimate, lower, upper } = self.interval;
        match upper {
            Some(upper) => write!(f, ", odds ×{estimate:.1} ({lower:.1}–{upper:.1})")?,
            None if lower > 0.0 => write!(f, ", odds ×{estimate:.1} (at least {lower:.1})")?,
            None => f.write_str(", no bound on the odds yet")?,
        }
        write!(f, "{}{}", self.odds_of_chance(), self.could_see())?;
        if let Some(RouteEvidence { route, counts, .. }) = &self.worst_route {
            let Table { candidate, current } = counts;
            write!(
                f,
                "; most on route {route}: {} of {} against {} of {}",
                candidate.events, candidate.exposure, current.events, current.exposure
            )?;
        }
        if self.standing == Standing::Shown { f.write_str(" (shown only: clients are judged)") } else { Ok(()) }
    }
}

impl MetricEvidence {
    fn odds_of_chance(&self) -> String {
        if self.log_evidence < 1.0 {
            return String::new();
        }
        if self.log_evidence > 20.0 {
            return ", by chance less than once in 10⁸".to_owned();
        }
        format!(", by chance at most once in {:.0}", self.log_evidence.exp())
    }

    fn could_see(&self) -> String {
        match self.visible.ratio {
            _ if self.log_evidence >= 1.0 => String::new(),
            Some(ratio) => format!("; could have shown ≥ {ratio:.1}×"),
            None => "; too little to show any difference".to_owned(),
        }
    }
}

/// Microseconds as people read them.
pub fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..100_000 => format!("{:.1} ms", us as f64 / 1e3),
        100_000..1_000_000 => format!("{:.0} ms", us as f64 / 1e3),
        _ => format!("{:.1} s", us as f64 / 1e6),
    }
}
