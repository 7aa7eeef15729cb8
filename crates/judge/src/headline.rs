//! The verdict's first sentence: what is worse and by how much, in the units people measure in; of a pass, what it could not have seen.

use crate::arm::Arms;
use crate::engine::{Interval, Table};
use crate::evidence::{Evidence, MetricEvidence};
use crate::latency::{LatencyWindow, bucket_high_us, bucket_low_us};
use crate::plan::{MetricKind, Standing};
use crate::verdict::{Inconclusive, Verdict};
use serde::{Deserialize, Serialize};
use std::fmt;

/// Changes named in the first sentence.
const CHANGES_MAX: usize = 2;

/// One measure of both releases, the current release's first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "unit", rename_all = "kebab-case")]
pub enum Measured {
    /// A latency at a quantile, in microseconds.
    Micros {
        /// The current release's.
        current: u64,
        /// The candidate's.
        candidate: u64,
    },
    /// A share of requests.
    Share {
        /// The current release's.
        current: f64,
        /// The candidate's.
        candidate: f64,
    },
    /// Events per instance and hour.
    PerHour {
        /// The current release's.
        current: f64,
        /// The candidate's.
        candidate: f64,
    },
}

/// What changed, by one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// What is measured, such as `p50` or `errors`.
    pub what: String,
    /// Before and after.
    pub measured: Measured,
    /// The odds ratio with its interval.
    pub interval: Interval,
    /// ln E.
    pub log_evidence: f64,
}

/// The changes that weigh most; of nothing that speaks against the candidate none.
pub(crate) fn changes(metrics: &[MetricEvidence], latency: &Arms<LatencyWindow>) -> Vec<Change> {
    let judged = metrics.iter().filter(|metric| metric.standing == Standing::Judged && metric.log_evidence >= 1.0);
    let changes = judged.filter_map(|metric| {
        Some(Change {
            what: metric.name.strip_prefix("latency ").unwrap_or(&metric.name).to_owned(),
            measured: measured(metric, latency)?,
            interval: metric.interval,
            log_evidence: metric.log_evidence,
        })
    });
    changes.take(CHANGES_MAX).collect()
}

fn measured(metric: &MetricEvidence, latency: &Arms<LatencyWindow>) -> Option<Measured> {
    let Table { candidate, current } = metric.counts;
    match metric.kind {
        MetricKind::Latency { threshold } => {
            let at = |window: &LatencyWindow| {
                let bucket = window.answered.quantile_bucket(threshold.quantile, window.unanswered)?;
                // The middle of the bucket: its upper edge is beyond what was measured.
                Some(bucket_low_us(bucket) / 2 + bucket_high_us(bucket).min(u64::MAX / 2) / 2)
            };
            Some(Measured::Micros { current: at(&latency.current)?, candidate: at(&latency.candidate)? })
        }
        MetricKind::Restarts => {
            let per_hour = |rate: f64| rate * 3_600_000.0;
            Some(Measured::PerHour { current: per_hour(current.rate()?), candidate: per_hour(candidate.rate()?) })
        }
        MetricKind::Errors | MetricKind::Clients | MetricKind::Business => {
            Some(Measured::Share { current: current.rate()?, candidate: candidate.rate()? })
        }
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Measured::Micros { current, candidate } => {
                let (unit, per, digits) = match current.max(candidate) {
                    0..1_000 => ("µs", 1.0, 0),
                    1_000..10_000 => ("ms", 1e3, 1),
                    10_000..10_000_000 => ("ms", 1e3, 0),
                    _ => ("s", 1e6, 1),
                };
                write!(f, "{:.digits$} → {:.digits$} {unit}", current as f64 / per, candidate as f64 / per)
            }
            Measured::Share { current, candidate } => {
                write!(f, "{} → {} % of requests", percent(current), percent(candidate))
            }
            Measured::PerHour { current, candidate } => {
                write!(f, "{current:.1} → {candidate:.1} per instance and hour")
            }
        }
    }
}

/// A share in percent with two digits that say something.
fn percent(share: f64) -> String {
    match share * 100.0 {
        0.0 => "0".to_owned(),
        percent if percent < 0.01 => format!("{percent:.4}"),
        percent if percent < 1.0 => format!("{percent:.2}"),
        percent => format!("{percent:.1}"),
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.what, self.measured)?;
        if matches!(self.measured, Measured::Micros { .. }) {
            return Ok(());
        }
        match self.interval {
            Interval { estimate, lower, upper: Some(upper) } => {
                write!(f, " (odds ×{estimate:.1}, {lower:.1}–{upper:.1})")
            }
            Interval { estimate, lower, upper: None } if lower > 0.0 => {
                write!(f, " (odds ×{estimate:.1}, at least {lower:.1})")
            }
            Interval { estimate, .. } => write!(f, " (odds ×{estimate:.1}, no bound yet)"),
        }
    }
}

/// The first line of the evidence.
pub(crate) fn first_line(evidence: &Evidence) -> String {
    let mut line = evidence.verdict.to_string();
    match evidence.verdict {
        Verdict::Fail | Verdict::Suspect(_) | Verdict::Inconclusive(_) => {
            let changes: Vec<String> =
                evidence.headline.iter().map(Change::to_string).chain(lines_of(evidence)).collect();
            if !changes.is_empty() {
                line = format!("{line}: {}", changes.join(", "));
            }
            if evidence.verdict == Verdict::Inconclusive(Inconclusive::Between) {
                line.push_str(&further(evidence.further_ms));
            }
        }
        Verdict::Pass | Verdict::PassWeak | Verdict::PassUnjudged => line = format!("{line}; {}", unseen(evidence)),
        Verdict::Guard(_) | Verdict::Undecided(_) => {}
    }
    line
}

/// The line that speaks most against the candidate, in shares of its requests.
fn lines_of(evidence: &Evidence) -> Option<String> {
    let log = evidence.logs.iter().find(|log| !log.declared && log.proof().is_some())?;
    let share = |lines: u64, requests: u64| percent(lines as f64 / requests.max(1) as f64);
    Some(format!(
        "{} lines of signature {} in {} → {} % of requests",
        log.severity.map_or("log", |severity| severity.as_str()),
        log.signature,
        share(log.current, evidence.requests.current),
        share(log.candidate, evidence.requests.candidate)
    ))
}

/// What an operator can do about a release that is neither shown as good as before nor as worse.
fn further(further_ms: Option<u64>) -> String {
    match further_ms {
        Some(ms) if ms < 48 * 3_600_000 => {
            format!("; about {} min more of this traffic would show it as good as before, if it is", ms / 60_000 + 1)
        }
        Some(_) | None => "; no observation of this traffic would show it within days".to_owned(),
    }
}

/// What could not have been seen: the smallest effect on each gating metric, and how rare a new ERROR line may be.
fn unseen(evidence: &Evidence) -> String {
    let gating = evidence.metrics.iter().filter(|metric| metric.gates);
    let mut parts: Vec<String> = gating
        .map(|metric| match metric.visible.ratio {
            Some(ratio) => format!("{} below ×{ratio:.1}", metric.name),
            None => format!("any change of {}", metric.name),
        })
        .collect();
    // No line in n requests leaves a share of up to 3/n at 95 % (the rule of three).
    let share = (3.0 / evidence.phase_requests.max(1) as f64).min(1.0);
    parts.push(format!("a new ERROR line in less than {} % of requests", percent(share)));
    format!("could not have seen: {}", parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measures_are_told_in_the_readers_units() {
        let tell = |measured: Measured| measured.to_string();
        assert_eq!(tell(Measured::Micros { current: 46_200, candidate: 55_100 }), "46 → 55 ms");
        assert_eq!(tell(Measured::Micros { current: 1_200, candidate: 4_450 }), "1.2 → 4.5 ms");
        assert_eq!(tell(Measured::Share { current: 0.000_95, candidate: 0.0052 }), "0.10 → 0.52 % of requests");
        assert_eq!(tell(Measured::Share { current: 0.0, candidate: 0.2 }), "0 → 20.0 % of requests");
    }
}
