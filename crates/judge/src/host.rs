//! Host luck: one instance is one draw of its host.

use crate::engine::{Engine, EngineSettings, Exposure, Table};
use serde::{Deserialize, Serialize};

/// Fewer events than this before the rollout say nothing of a host; there is no host effect to allow for.
pub const HOST_EVENTS_MIN: u64 = 20;

/// What is allowed for at most while the host's interval still holds 1: more would hide a bad release behind a host of
/// which nothing is proven.
pub const HOST_UNPROVEN_MAX: f64 = 1.5;

/// How one host stood to its peers before the rollout, while both ran the current release: the bounds of an
/// anytime-valid interval of the odds ratio.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HostEffect {
    /// The host is at least so many times its peers.
    pub lower: f64,
    /// The host is at most so many times its peers.
    pub upper: f64,
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
        // Beyond the grid nothing could be told apart any more.
        HostEffect { lower: interval.lower.max(0.05), upper: upper.min(20.0) }
    }
}
