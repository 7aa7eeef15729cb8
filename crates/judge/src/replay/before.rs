//! The time before the rollout: what is frozen from it.

use crate::dispersion::{Dispersion, DispersionEstimate};
use crate::host::HostEffect;
use crate::latency::{LatencyWindow, Threshold, freeze};
use crate::plan::{Plan, Settings};
use std::collections::BTreeMap;

/// One window of the current release alone, per instance: exposure and events of each metric.
pub(super) type InstanceCounts = BTreeMap<String, BTreeMap<String, (u64, u64)>>;

/// Windows whose latencies are kept for the dispersion of the thresholds, which are known only at the end.
const LATENCY_WINDOWS_MAX: usize = 20_000;

/// What is learnt before the rollout.
#[derive(Debug, Default)]
pub(super) struct Before {
    dispersions: BTreeMap<String, DispersionEstimate>,
    instances: Vec<String>,
    latency: LatencyWindow,
    latency_windows: Vec<Vec<(String, LatencyWindow)>>,
    pub windows: u64,
}

impl Before {
    /// Takes one window of the current release.
    pub fn handle_window(&mut self, counts: &InstanceCounts, latency: &BTreeMap<String, LatencyWindow>) {
        self.windows += 1;
        for per_instance in counts.values() {
            per_instance.keys().chain(latency.keys()).for_each(|instance| {
                if !self.instances.contains(instance) {
                    self.instances.push(instance.clone());
                }
            });
        }
        for (metric, per_instance) in counts {
            let row: Vec<(u64, u64)> =
                self.instances.iter().map(|i| per_instance.get(i).copied().unwrap_or((0, 0))).collect();
            self.dispersions.entry(metric.clone()).or_default().handle_window(&row);
        }
        for window in latency.values() {
            self.latency.add(window);
        }
        if !latency.is_empty() && self.latency_windows.len() < LATENCY_WINDOWS_MAX {
            self.latency_windows
                .push(latency.iter().map(|(instance, window)| (instance.clone(), window.clone())).collect());
        }
    }

    /// The thresholds of the current release's latency.
    pub fn thresholds(&self) -> Vec<Threshold> {
        freeze(&self.latency)
    }

    /// The plan for what was seen before. With no time before the rollout nothing is known of bursts, and the prior is used.
    pub fn plan(&self, settings: Settings, metrics: &[String], has_restarts: bool) -> Plan {
        let none = HostEffect::default();
        let mut plan = Plan::new(settings);
        for metric in metrics {
            let dispersion = self.dispersions.get(metric).cloned().unwrap_or_default().dispersion();
            let is_errors = metric == "errors" || metric.starts_with("errors ");
            plan = if is_errors {
                plan.with_errors(metric, dispersion, none)
            } else {
                plan.with_business(metric, dispersion)
            };
        }
        let thresholds = self.thresholds();
        let dispersions: Vec<Dispersion> =
            thresholds.iter().map(|threshold| self.latency_dispersion(threshold)).collect();
        plan = plan.with_latency(&thresholds, &dispersions, &[]);
        if has_restarts { plan.with_restarts() } else { plan }
    }

    fn latency_dispersion(&self, threshold: &Threshold) -> Dispersion {
        let mut instances: Vec<&String> = Vec::new();
        let mut estimate = DispersionEstimate::default();
        for window in &self.latency_windows {
            for (instance, _) in window {
                if !instances.contains(&instance) {
                    instances.push(instance);
                }
            }
            let row: Vec<(u64, u64)> = instances
                .iter()
                .map(|instance| {
                    let of =
                        window.iter().find(|(name, _)| name == *instance).map(|(_, window)| threshold.count(window));
                    of.map_or((0, 0), |count| (count.exposure, count.events))
                })
                .collect();
            estimate.handle_window(&row);
        }
        estimate.dispersion()
    }
}
