//! Host luck: one instance is one draw of its host.

use crate::engine::{Count, Engine, EngineSettings, Exposure, Table};
use serde::{Deserialize, Serialize};

/// Fewer events than this before the rollout say nothing of a host; there is no host effect to allow for.
pub const HOST_EVENTS_MIN: u64 = 20;

/// What is allowed for at most while the host's interval still holds 1: more would hide a bad release behind a host of
/// which nothing is proven.
pub const HOST_UNPROVEN_MAX: f64 = 1.5;

/// What is allowed for at most on a host that was never measured.
pub const UNMEASURED_MAX: f64 = 4.0;

/// How one host stood to its peers before the rollout, while both ran the current release: the bounds of an
/// anytime-valid interval of the odds ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HostEffect {
    /// The host is at least so many times its peers.
    pub lower: f64,
    /// The host is at most so many times its peers.
    pub upper: f64,
}

impl HostEffect {
    /// Only what is proven: none where the effect may be none. For events as rare as errors the interval is wide for want of events, not because
    /// hosts are known to differ, and allowing for all of it would hide what a release does.
    #[must_use]
    pub fn proven(self) -> HostEffect {
        if self.lower <= 1.0 && self.upper >= 1.0 { HostEffect::default() } else { self }
    }
}

impl Default for HostEffect {
    fn default() -> Self {
        HostEffect { lower: 1.0, upper: 1.0 }
    }
}

/// Measures a host against its peers before the rollout, with the engine itself: arm C is the host, arm B its peers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HostEstimate {
    engine: Engine,
}

impl HostEstimate {
    /// An estimate that has seen nothing.
    pub fn new(exposure: Exposure) -> HostEstimate {
        HostEstimate { engine: Engine::new(EngineSettings { exposure, fail_null: 1.0, ..EngineSettings::default() }) }
    }

    /// Takes one window: the host as `candidate`, its peers as `current`.
    pub fn handle_window(&mut self, host_and_peers: &Table) {
        self.engine.handle_window(host_and_peers);
    }

    /// The effect to allow for, at confidence 1 − `alpha`; none where too little has been seen, and at most
    /// [`HOST_UNPROVEN_MAX`] where the interval holds 1.
    pub fn effect(&self, alpha: f64) -> HostEffect {
        if self.engine.totals().events() < HOST_EVENTS_MIN {
            return HostEffect::default();
        }
        let interval = self.engine.interval(alpha);
        let holds_one = interval.lower <= 1.0 && interval.upper.is_none_or(|upper| upper >= 1.0);
        let upper = interval.upper.unwrap_or(f64::INFINITY);
        if holds_one {
            return HostEffect {
                lower: interval.lower.max(1.0 / HOST_UNPROVEN_MAX),
                upper: upper.min(HOST_UNPROVEN_MAX),
            };
        }
        // Proven: the host does something by itself. Beyond the grid nothing could be told apart any more.
        HostEffect { lower: interval.lower.max(0.05), upper: upper.min(20.0) }
    }
}

/// What is allowed for a host of which there is no past, from how the hosts that have one differ: one further draw from a normal law of
/// log odds whose deviation is estimated from k hosts lies beyond t(k − 1) deviations √(1 + 1/k) in one of a hundred cases. With fewer than
/// two hosts nothing is known of hosts, and [`HOST_UNPROVEN_MAX`] is allowed for.
pub fn spread_of_hosts<'a>(hosts: impl Iterator<Item = &'a Count>) -> HostEffect {
    let log_odds = |count: &Count| {
        let (events, others) = (count.events as f64 + 0.5, count.exposure.saturating_sub(count.events) as f64 + 0.5);
        (events / others).ln()
    };
    let odds: Vec<f64> = hosts.filter(|count| count.events >= HOST_EVENTS_MIN).map(log_odds).collect();
    let count = odds.len() as f64;
    let reach = if odds.len() < 2 {
        HOST_UNPROVEN_MAX.ln()
    } else {
        let mean = odds.iter().sum::<f64>() / count;
        let deviation = (odds.iter().map(|odds| (odds - mean).powi(2)).sum::<f64>() / (count - 1.0)).sqrt();
        // Student's t at 1 %, one-sided, for 1, 2, 3 … degrees of freedom.
        const STUDENT: [f64; 10] = [31.8, 6.96, 4.54, 3.75, 3.36, 3.143, 3.00, 2.90, 2.82, 2.76];
        let student = STUDENT[(odds.len() - 2).min(STUDENT.len() - 1)];
        (student * deviation * (1.0 + 1.0 / count).sqrt()).min(UNMEASURED_MAX.ln())
    };
    HostEffect { lower: (-reach).exp(), upper: reach.exp() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_differ_leave_more_to_the_next_one() {
        let hosts = |rates: &[u64]| -> HostEffect {
            let counts: Vec<Count> = rates.iter().map(|events| Count { exposure: 10_000, events: *events }).collect();
            spread_of_hosts(counts.iter())
        };
        let (alike, apart) = (hosts(&[1_000, 1_010, 990, 1_005]), hosts(&[1_000, 1_400, 800, 1_100]));
        assert!(alike.upper < 1.1 && apart.upper > 2.0, "{alike:?} {apart:?}");
        assert_eq!(hosts(&[1_000]).upper, HOST_UNPROVEN_MAX);
    }
}
