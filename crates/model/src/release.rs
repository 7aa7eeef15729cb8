//! A release: one immutable version of a service with its whole configuration.

use std::collections::BTreeMap;

use crate::{
    Amount, Check, Digest, Hook, Millis, Probe, ReleaseId, ReleaseLabel, Route, SecondOrder, ServiceName, Sources,
    Strategy, TrafficPolicy,
};

/// One immutable version of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// Its number.
    pub id: ReleaseId,
    /// What people call it.
    pub label: ReleaseLabel,
    /// The digest of its artefact.
    pub digest: Digest,
    /// Its whole configuration.
    pub spec: ReleaseSpec,
}

/// The whole configuration of a release, as its `gapless.toml` means it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseSpec {
    /// The service it is a release of.
    pub service: ServiceName,
    /// How an instance runs.
    pub run: RunSpec,
    /// How many instances it wants in load; at least 1.
    pub instances: u16,
    /// The least number of ready instances in load that no action may go below, of `instances`.
    pub floor: Amount,
    /// What of the traffic is the service's; at least one, none where its probe is [`ProbeKind::Process`](crate::ProbeKind::Process).
    pub routes: Vec<Route>,
    /// How health is asked for.
    pub probe: Probe,
    /// How long an instance may take from its start to its first readiness.
    pub start_timeout: Millis,
    /// How it replaces the release before it.
    pub strategy: Strategy,
    /// A share of failed requests so many percentage points above that of the release before turns its rollout back; 0 for never.
    pub errors_above: u8,
    /// What is asked of it before anyone is switched to it.
    pub checks: Vec<Check>,
    /// What is run at points of a rollout to it, the release command among them; those of one point in this order.
    pub hooks: Vec<Hook>,
    /// How long a rollout to it may take at most.
    pub rollout_timeout: Millis,
    /// What is done with an order that arrives while a rollout runs.
    pub second_order: SecondOrder,
    /// What it asks of the proxy.
    pub traffic: TrafficPolicy,
    /// How exited instances are restarted.
    pub restart: Restart,
    /// How many releases before the current one are kept; at least 1.
    pub releases_kept: u16,
}

/// How one instance runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunSpec {
    /// Program and arguments, at least one; `{port}` and `{release}` are replaced.
    pub command: Vec<String>,
    /// Environment variables besides `PORT`, `GAPLESS_SERVICE`, `GAPLESS_RELEASE` and `GAPLESS_INSTANCE`; `{port}` and `{release}` are replaced.
    /// Where there are `sources`, `${NAME}` is replaced by what they give for it.
    pub environment: BTreeMap<String, String>,
    /// Where further variables are read at each start.
    pub sources: Sources,
    /// The working folder, relative to the release's folder; inside it.
    pub folder: String,
    /// The user it runs as; the controller's own when none is given.
    pub user: Option<String>,
    /// From SIGTERM to SIGKILL.
    pub stop_grace: Millis,
    /// What it may use, where the machine can enforce it.
    pub limits: Limits,
    /// How much of its log is kept.
    pub logs: LogLimits,
}

/// What an instance may use; enforced by cgroup v2 where it can be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Memory in bytes; the whole process tree is killed above it.
    pub memory_bytes_max: Option<u64>,
    /// CPU time per wall time, in thousandths of one core.
    pub cpu_milli_max: Option<u32>,
    /// Processes and threads.
    pub tasks_max: Option<u32>,
}

/// How much of an instance's log is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LogLimits {
    /// The size at which a log file is rotated, in bytes.
    pub file_bytes_max: u64,
    /// How many files are kept, the one being written included; at least 1.
    pub files_max: u16,
}

/// How exited instances are restarted: after `backoff_min`, doubled on each exit without a healthy stretch in between, up to `backoff_max`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Restart {
    /// The first wait.
    pub backoff_min: Millis,
    /// The longest wait.
    pub backoff_max: Millis,
}
