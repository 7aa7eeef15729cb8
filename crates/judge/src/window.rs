//! What the judge is given: the counts of both arms over the same seconds.

use crate::arm::Arms;
use crate::engine::{Count, Table};
use crate::latency::LatencyWindow;
use crate::logs::{Severity, SignatureId};
use crate::plan::MetricId;
use gapless_model::{Millis, Tick};
use serde::{Deserialize, Serialize};

/// One metric's counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MetricWindow {
    /// Which metric of the plan.
    pub metric: MetricId,
    /// Which part of the traffic: a route, say. Compared only with itself; 0 where there are no parts.
    pub stratum: u16,
    /// Its counts.
    pub table: Table,
}

/// The lines of one signature in one window. The signature is opaque here; what it stands for is kept by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogCount {
    /// Which signature.
    pub signature: SignatureId,
    /// How bad its lines say it is; `None`: they do not say.
    pub severity: Option<Severity>,
    /// Seen on the current release in the kept history, its start-ups included.
    pub known: bool,
    /// Declared as a caveat in the release manifest, in scope and not expired.
    pub declared: bool,
    /// A panic, a segfault, a failed migration: a line only a broken program writes.
    pub fatal: bool,
    /// Lines of each arm.
    pub lines: Arms<u64>,
    /// Candidate lines with a request answered 5xx in the same trace or at the same time.
    pub corroborated: u64,
}

/// Both arms over the same 1 to 5 seconds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Window {
    /// When it ended, on the controller's own clock.
    pub end: Tick,
    /// How long it is.
    pub length: Millis,
    /// Requests of each arm: what a PASS counts as exposure, and what log lines are held against.
    pub requests: Arms<u64>,
    /// Instance-milliseconds of each arm: what log lines are held against where that is the stricter measure. 0: unknown.
    pub instance_ms: Arms<u64>,
    /// Requests of instances in their warm-up, and how many failed: shown and guarded, but not judged.
    pub warming: Arms<Count>,
    /// ERROR lines whose signature could not be told, since there are too many.
    pub unnamed_errors: Arms<u64>,
    /// Whether each arm's telemetry arrived for this window, be it all zeros.
    pub reporting: Arms<bool>,
    /// Counts of the plan's metrics; a metric not named had no exposure.
    pub counts: Vec<MetricWindow>,
    /// Latencies, where they are measured.
    pub latency: Option<Arms<LatencyWindow>>,
    /// Lines by signature.
    pub logs: Vec<LogCount>,
}
