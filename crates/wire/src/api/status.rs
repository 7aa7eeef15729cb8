//! Where everything stands.

use serde::{Deserialize, Serialize};

use super::{Batch, LastWords, Losses, ReleaseRole, RolloutSummary};

/// Where everything stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// The controller itself.
    pub controller: ControllerStatus,
    /// The proxies.
    pub proxies: Vec<ProxyStatus>,
    /// The services, by name.
    pub services: Vec<ServiceStatus>,
}

/// The controller.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ControllerStatus {
    /// The version of the program.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Its term.
    pub epoch: u64,
    /// How long it has run, in milliseconds.
    pub uptime_ms: u64,
    /// When the answer was made (RFC 3339): what every age in it is counted back from.
    #[serde(default)]
    pub now: String,
    /// Where its state is.
    pub state_folder: String,
    /// Where the proxy listens.
    pub listeners: Vec<String>,
    /// What an operator should know: limits that cannot be enforced, a journal that cannot be written.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Why it decides nothing any more: how its journal failed. It keeps a proxy there all the same.
    #[serde(default)]
    pub not_deciding: Option<String>,
}

/// One proxy.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProxyStatus {
    /// Its name.
    pub name: String,
    /// Its process, once known.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Whether the controller is connected to it.
    pub connected: bool,
    /// The newest table that all its threads use, as `epoch.generation`.
    #[serde(default)]
    pub table_applied: Option<String>,
    /// The newest table it was told.
    #[serde(default)]
    pub table_wanted: Option<String>,
    /// Client connections that are open.
    #[serde(default)]
    pub connections: u64,
    /// Requests in flight.
    #[serde(default)]
    pub in_flight: u64,
    /// Requests that wait for an instance.
    #[serde(default)]
    pub held: u64,
    /// Tunnels (WebSockets and other upgrades) that are open.
    #[serde(default)]
    pub tunnels: u64,
    /// Whether another takes its place: it takes no new connections, or soon none.
    #[serde(default)]
    pub leaving: bool,
}

/// One service: what it does, what it waits for, since when, and what happens next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceStatus {
    /// Its name.
    pub service: String,
    /// What it is doing.
    pub situation: Situation,
    /// Its releases that have instances or a role, the current one first.
    pub releases: Vec<ReleaseStatus>,
    /// What it waits for.
    pub waits: Vec<WaitStatus>,
    /// The deadline that comes next.
    #[serde(default)]
    pub next: Option<NextDeadline>,
    /// What going back would take.
    pub rollback: TimeToRollBack,
    /// The rollout that waits for the running one.
    #[serde(default)]
    pub queued: Option<u64>,
    /// Where its requests come from, as `host` + `path`.
    #[serde(default)]
    pub routes: Vec<String>,
    /// The least number of ready instances in load that no action goes below.
    #[serde(default)]
    pub floor: Option<u16>,
    /// The last rollout that ended.
    #[serde(default)]
    pub last_rollout: Option<RolloutSummary>,
    /// What an operator should know: limits of the configuration that this machine does not enforce.
    #[serde(default)]
    pub remarks: Vec<String>,
    /// How often instances were lost lately; not there where none was.
    #[serde(default, skip_serializing_if = "Losses::is_none")]
    pub losses: Losses,
    /// The last lines of instances that are not ready or not well; told of one service alone, by `explain`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub last_words: Vec<LastWords>,
    /// The value of `X-Gapless-Preview` that reaches the candidate of the rollout that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
}

/// What a service is doing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Situation {
    /// Nothing was ever deployed.
    Empty,
    /// One release serves.
    Settled {
        /// Its label.
        current: String,
        /// Whether an operator stopped it: no instance runs, and requests are refused until it is started.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        stopped: bool,
    },
    /// A rollout runs.
    Rollout {
        /// Its number.
        rollout: u64,
        /// The label it came from.
        #[serde(default)]
        from: Option<String>,
        /// The label it goes to.
        to: String,
        /// How.
        strategy: String,
        /// Who ordered it.
        #[serde(default)]
        by: String,
        /// Why they did.
        #[serde(default)]
        reason: String,
        /// The phase it is in.
        phase: String,
        /// For how long, in milliseconds.
        phase_age_ms: u64,
        /// The batch it is at.
        batch: Batch,
        /// For how long it has run, in milliseconds.
        age_ms: u64,
        /// Why it turned back, once it did.
        #[serde(default)]
        turned_back: Option<String>,
        /// How far it is, in thousandths.
        progress_milli: u16,
    },
    /// A rollout could neither go on nor back.
    NeedsOperator {
        /// Its number.
        rollout: u64,
        /// Why.
        reason: String,
        /// For how long, in milliseconds.
        age_ms: u64,
    },
}

/// The instances of one release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseStatus {
    /// The release's number.
    pub release: u64,
    /// Its label.
    pub label: String,
    /// What it is to the service.
    pub role: ReleaseRole,
    /// Its share of the traffic, in 1/10 000.
    pub weight_bp: u16,
    /// Its instances.
    pub instances: Vec<InstanceStatus>,
}

/// One instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InstanceStatus {
    /// Its id, such as `shop.r3.i7`.
    pub instance: String,
    /// How it is.
    pub state: InstanceState,
    /// Why it is unhealthy, or not ready yet.
    #[serde(default)]
    pub reason: Option<String>,
    /// For how long, in milliseconds.
    pub age_ms: u64,
    /// Where it listens, once it runs.
    #[serde(default)]
    pub address: Option<String>,
    /// Where it stands in the routing table.
    pub load: InstanceLoad,
    /// Its requests in flight over all proxies, where all of them said.
    #[serde(default)]
    pub in_flight: Option<u64>,
    /// Its process.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Processor time lately, in thousandths of a core.
    #[serde(default)]
    pub cpu_milli: Option<u32>,
    /// Memory of its process tree, in bytes.
    #[serde(default)]
    pub memory_bytes: Option<u64>,
}

/// How an instance is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceState {
    /// Its process is being started.
    Starting,
    /// It runs and is not proven ready yet.
    Warming,
    /// It is ready.
    Ready,
    /// Its probes fail.
    Unhealthy,
    /// It is being stopped.
    Stopping,
}

/// Where an instance stands in the routing table.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceLoad {
    /// Never in a table.
    Out,
    /// Reached through the preview header alone.
    Preview,
    /// In load.
    Live,
    /// Out of load, with requests in flight.
    Draining,
    /// Out of load, without requests in flight.
    Drained,
}

/// One thing that is waited for.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WaitStatus {
    /// What kind: `started`, `ready`, `applied`, `drained`, `lasting`, `stopped`, `check`, `observed`, `backoff`, `floor`. Stable words.
    pub awaited: String,
    /// The wait in a sentence.
    pub text: String,
    /// For how long, in milliseconds.
    pub age_ms: u64,
}

/// The deadline that comes next.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NextDeadline {
    /// In so many milliseconds.
    pub in_ms: u64,
    /// What happens then.
    pub then: String,
}

/// What going back to the release before would take.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum TimeToRollBack {
    /// There is nothing to go back to.
    Impossible,
    /// Its instances are warm: one change of the routing table.
    OneTable,
    /// Its instances have to be started first.
    Restart {
        /// How long that takes at least, in milliseconds.
        expected_ms: u64,
    },
}
