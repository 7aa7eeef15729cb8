//! Many metrics, one error probability: `Ē = Σ v_i E_i` with Σ v_i ≤ 1 (an average of e-processes is one, under any
//! dependence: Vovk & Wang 2021, "E-values", §3).

use crate::plan::{MetricKind, Plan};
use crate::special::log_sum_exp;
use serde::{Deserialize, Serialize};

/// How α is shared out between kinds of evidence (JUDGE §5).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Weights {
    /// Failed requests.
    pub errors: f64,
    /// Slow requests.
    pub latency: f64,
    /// Log signatures.
    pub logs: f64,
    /// Restarts of instances.
    pub restarts: f64,
    /// Business counters.
    pub business: f64,
    /// Gauges. They hold and do not roll back, so the share is kept back rather than used.
    pub resources: f64,
}

impl Default for Weights {
    fn default() -> Self {
        Weights { errors: 0.35, latency: 0.25, logs: 0.20, restarts: 0.05, business: 0.10, resources: 0.05 }
    }
}

impl Weights {
    /// Whether the guarantee can rest on them.
    pub fn are_valid(&self) -> bool {
        let all = [self.errors, self.latency, self.logs, self.restarts, self.business, self.resources];
        all.iter().all(|weight| weight.is_finite() && *weight >= 0.0) && all.iter().sum::<f64>() <= 1.0 + 1e-9
    }

    /// By how much the weights of the kinds a plan has can be raised, since those of the kinds it has not are free. Logs and
    /// resources are always counted as had: their findings come without being planned.
    pub(crate) fn spread_of_absent(&self, plan: &Plan) -> f64 {
        let has = |wanted: fn(&MetricKind) -> bool| plan.metrics.iter().any(|metric| wanted(&metric.kind));
        let kinds = [
            (self.errors, has(|kind| matches!(kind, MetricKind::Errors | MetricKind::Clients))),
            (self.latency, has(|kind| matches!(kind, MetricKind::Latency { .. }))),
            (self.restarts, has(|kind| matches!(kind, MetricKind::Restarts))),
            (self.business, has(|kind| matches!(kind, MetricKind::Business))),
        ];
        let had: f64 = kinds.iter().filter(|(_, had)| *had).map(|(weight, _)| weight).sum();
        let free = 1.0 - self.logs - self.resources;
        if had > 0.0 { (free / had).max(1.0) } else { 1.0 }
    }
}

/// ln Σ v_i E_i from pairs (v_i, ln E_i); a weight of 0 adds nothing.
pub fn combined_log_evidence(parts: impl Iterator<Item = (f64, f64)> + Clone) -> f64 {
    log_sum_exp(parts.filter(|(weight, _)| *weight > 0.0).map(|(weight, log)| weight.ln() + log))
}
