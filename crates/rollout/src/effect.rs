//! Effects: orders to the world, made durable before they are performed and safe to perform twice.

use std::collections::BTreeSet;
use std::fmt;

// The plain value; no socket is opened here.
use core::net::SocketAddr;

use gapless_model::{
    Check, EffectNumber, HoldLimits, InstanceId, Millis, Probe, ReleaseId, ReleaseLabel, RolloutId, Route, ServiceName,
    TrafficPolicy, Weight,
};

use crate::{Failing, OneOff, Origin};

/// One effect with what fences it: receivers perform a number once and refuse what is older than they have seen.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Intent {
    /// Its number within the service; rising.
    pub number: EffectNumber,
    /// The rollout it belongs to; none for self-healing.
    pub rollout: Option<RolloutId>,
    /// What is to be done.
    pub effect: Effect,
}

/// What is to be done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Effect {
    /// Start a process. Answered by `InstanceStarted` or `InstanceStartFailed`; probing begins with the first.
    StartInstance {
        /// Under this id, which no instance had before.
        instance: InstanceId,
    },
    /// Hand the proxies the service's part of the routing table. Answered by `RoutesApplied`.
    PublishRoutes(ServiceRoutes),
    /// End a process: SIGTERM, after `grace` SIGKILL. Answered by `InstanceStopped` (or `InstanceExited`).
    StopInstance {
        /// Which.
        instance: InstanceId,
        /// From SIGTERM to SIGKILL.
        grace: Millis,
    },
    /// Run one check of the Test phase. Answered by `CheckPassed` or `CheckFailed` with this effect's number.
    RunCheck {
        /// What to do.
        check: Check,
        /// The release it asks, reached through the preview header.
        release: ReleaseId,
    },
    /// Run a command once in a release's environment. Answered by `OneOffEnded`; one that is to end sooner is stopped as an instance is.
    RunOneOff(OneOff),
    /// Tell the operators.
    Notify {
        /// How urgent.
        level: NoticeLevel,
        /// What.
        message: String,
    },
    /// Sum up the ledger for a rollout that ended. Answered by `ReceiptClosed`.
    CloseReceipt {
        /// Which.
        rollout: RolloutId,
        /// How it ended.
        outcome: Outcome,
    },
    /// All releases of the service but these may be deleted (I9). Complete each time.
    KeepReleases {
        /// What an instance, a table, an order or the way back needs.
        releases: BTreeSet<ReleaseId>,
    },
}

/// How urgent a notice is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum NoticeLevel {
    /// Worth knowing.
    Info,
    /// Degraded, recovering by itself.
    Warning,
    /// An operator must act.
    Error,
}

/// How a rollout ended.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Outcome {
    /// The candidate is the current release.
    Done,
    /// The release it came from serves again (or nothing does, after a first deploy).
    RolledBack {
        /// Why.
        reason: Cause,
    },
    /// It could neither go on nor back; everything that serves was kept.
    NeedsOperator {
        /// Why.
        reason: Cause,
    },
    /// It waited, and a later order took its place before it began.
    Superseded {
        /// By this rollout.
        by: RolloutId,
    },
    /// It waited, and had become impossible when its turn came.
    Refused {
        /// Why, for people.
        reason: String,
    },
}

impl Outcome {
    /// Why it did not end well, where it did not.
    #[must_use]
    pub fn cause(&self) -> Option<&Cause> {
        match self {
            Outcome::RolledBack { reason } | Outcome::NeedsOperator { reason } => Some(reason),
            Outcome::Done | Outcome::Superseded { .. } | Outcome::Refused { .. } => None,
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("done"),
            Outcome::RolledBack { reason } => write!(f, "rolled back: {reason}"),
            Outcome::NeedsOperator { reason } => write!(f, "needs an operator: {reason}"),
            Outcome::Superseded { by } => write!(f, "superseded by rollout {by}"),
            Outcome::Refused { reason } => write!(f, "it could not begin: {reason}"),
        }
    }
}

/// Why a rollout turned back or could not go on.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Cause {
    /// An operator ordered it.
    Operator(Origin),
    /// A later order took the rollout's place.
    Superseded {
        /// Its rollout.
        by: RolloutId,
    },
    /// Instances of the candidate exited or failed to start too often before they were ready.
    StartFailed {
        /// The last of them.
        instance: InstanceId,
        /// Its end, for people.
        reason: String,
    },
    /// A check of the Test phase failed.
    CheckFailed {
        /// The check's name.
        check: String,
        /// Why, for people.
        reason: String,
    },
    /// A hook or the release command failed, or took longer than it may.
    HookFailed {
        /// Which, in words.
        hook: String,
        /// Why, for people.
        reason: String,
    },
    /// An instance of the candidate ended while it was in load.
    CandidateExited {
        /// Which.
        instance: InstanceId,
        /// Exit code or signal.
        status: String,
    },
    /// An instance of the candidate became unhealthy while it was in load.
    CandidateUnhealthy {
        /// Which.
        instance: InstanceId,
        /// Its last probe.
        reason: String,
    },
    /// The candidate failed far more of its clients than the release before.
    CandidateFailing(Failing),
    /// A proxy that serves refused a routing table of the rollout.
    RoutesRefused {
        /// The effect that ordered the table.
        routes: EffectNumber,
        /// Why, in the proxy's words.
        reason: String,
    },
    /// A phase did not reach its end in time.
    Deadline {
        /// Which phase.
        phase: crate::PhaseName,
        /// How long it had.
        after: Millis,
    },
    /// A phase did not reach its end in time, because an instance was not ready, and its probes said why.
    NotReady {
        /// Which phase.
        phase: crate::PhaseName,
        /// How long it had.
        after: Millis,
        /// An instance that was not ready.
        instance: InstanceId,
        /// Its last probe.
        reason: String,
    },
    /// Another edition of the machine decided so, for a reason that this one knows only in its words.
    Recorded {
        /// As they were recorded.
        words: String,
    },
    /// The whole rollout took longer than it may.
    RolloutTimeout {
        /// How long it had.
        after: Millis,
    },
}

impl Cause {
    /// The instance that it is about, where it is about one.
    #[must_use]
    pub fn instance(&self) -> Option<&InstanceId> {
        match self {
            Cause::StartFailed { instance, .. }
            | Cause::CandidateExited { instance, .. }
            | Cause::CandidateUnhealthy { instance, .. }
            | Cause::NotReady { instance, .. } => Some(instance),
            Cause::Operator(_)
            | Cause::Superseded { .. }
            | Cause::CheckFailed { .. }
            | Cause::HookFailed { .. }
            | Cause::CandidateFailing(_)
            | Cause::RoutesRefused { .. }
            | Cause::Deadline { .. }
            | Cause::Recorded { .. }
            | Cause::RolloutTimeout { .. } => None,
        }
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Cause::Operator(origin) => write!(f, "ordered by {origin}"),
            Cause::Superseded { by } => write!(f, "superseded by rollout {by}"),
            Cause::StartFailed { instance, reason } => write!(f, "{instance} did not start: {reason}"),
            Cause::CheckFailed { check, reason } => write!(f, "check {check:?} failed: {reason}"),
            Cause::HookFailed { hook, reason } => write!(f, "{hook} failed: {reason}"),
            Cause::CandidateExited { instance, status } => write!(f, "{instance} exited in load: {status}"),
            Cause::CandidateUnhealthy { instance, reason } => {
                write!(f, "{instance} became unhealthy in load: {reason}")
            }
            Cause::CandidateFailing(failing) => write!(f, "{failing}"),
            Cause::RoutesRefused { routes, reason } => write!(f, "a proxy refused table {routes}: {reason}"),
            Cause::Deadline { phase, after } => write!(f, "{phase} did not end within {after}"),
            Cause::NotReady { phase, after, instance, reason } => {
                write!(f, "{phase} did not end within {after}: {instance} is not ready: {reason}")
            }
            Cause::Recorded { words } => f.write_str(words),
            Cause::RolloutTimeout { after } => write!(f, "the rollout did not end within {after}"),
        }
    }
}

/// A service's part of the routing table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceRoutes {
    /// Whose.
    pub service: ServiceName,
    /// What of the traffic is the service's.
    pub routes: Vec<Route>,
    /// Its pools; live ones have weights that sum up to [`Weight::ALL`], preview ones have none.
    pub pools: Vec<Pool>,
    /// Whether requests are served or wait.
    pub admission: Admission,
    /// The bounds of waiting: those of the release that serves, also while none of its instances is in a pool.
    pub hold: HoldLimits,
    /// The path at which the release that serves is asked for its health, where that is done by HTTP.
    pub health_path: Option<String>,
}

/// Whether a service's requests are served or wait.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Admission {
    /// They go to the live pools.
    Open,
    /// No instance may serve them: they wait within the bounds of the hold (never an empty pool that answers errors, I8).
    Held,
}

/// Who reaches a pool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum PoolKind {
    /// Everybody, by weight.
    Live,
    /// Only requests with the preview header or host.
    Preview,
}

/// The instances of one release in the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pool {
    /// Which release.
    pub release: ReleaseId,
    /// Its label, for the preview header, logs and receipts.
    pub label: ReleaseLabel,
    /// Who reaches it.
    pub kind: PoolKind,
    /// Its share of the traffic.
    pub weight: Weight,
    /// Its instances, in the order of their ordinals.
    pub members: Vec<Member>,
    /// How its requests are treated.
    pub traffic: TrafficPolicy,
    /// How the proxy asks for the health of its members.
    pub probe: Probe,
}

/// One instance in the table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Member {
    /// Which.
    pub instance: InstanceId,
    /// Where it listens.
    pub address: SocketAddr,
}
