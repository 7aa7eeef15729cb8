//! The report: what a service waits for, since when, what comes next and what happens then.
//!
//! Every step returns one. Command line, web page and audit log print this same value (`gapless explain`).

use std::fmt;

// The plain value; no socket is opened here.
use core::net::SocketAddr;

use gapless_model::{EffectNumber, InstanceId, Millis, ReleaseId, ReleaseLabel, RolloutId, ServiceName, Tick, Weight};

use crate::{Cause, Origin, PhaseName};

/// Where a service stands.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use = "a decision that nobody reads cannot be explained"]
pub struct Report {
    /// Which service.
    pub service: ServiceName,
    /// When this was said.
    pub now: Tick,
    /// What it is doing.
    pub situation: SituationReport,
    /// Its releases that have instances or a role, the current one first.
    pub releases: Vec<ReleaseReport>,
    /// What it waits for; empty when it waits for nothing.
    pub waits: Vec<Wait>,
    /// The deadline that comes next.
    pub next: Option<NextDeadline>,
    /// What going back would take.
    pub rollback: TimeToRollBack,
    /// The rollout that waits for this one to end.
    pub queued: Option<RolloutId>,
}

/// What a service is doing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SituationReport {
    /// No release was ever deployed.
    Empty,
    /// One release serves; nothing is being replaced.
    Settled {
        /// The current release.
        current: ReleaseLabel,
    },
    /// An operator stopped it: no instance runs, and requests are refused.
    Stopped {
        /// The release that would be started.
        current: ReleaseLabel,
    },
    /// A rollout runs.
    Rollout(RolloutReport),
    /// A rollout could neither go on nor back.
    NeedsOperator {
        /// Which.
        rollout: RolloutId,
        /// Why.
        reason: Cause,
        /// Since when.
        since: Tick,
    },
}

/// Where a rollout stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RolloutReport {
    /// Which.
    pub rollout: RolloutId,
    /// From which release; none for a first deploy.
    pub from: Option<ReleaseLabel>,
    /// To which.
    pub to: ReleaseLabel,
    /// `rolling`, `blue-green` or `first deploy`.
    pub strategy: &'static str,
    /// Who ordered it and why.
    pub origin: Origin,
    /// The phase it is in.
    pub phase: PhaseName,
    /// Since when it is in that phase.
    pub phase_since: Tick,
    /// Which batch of how many, counted from 1.
    pub batch: BatchReport,
    /// When it began.
    pub began: Tick,
    /// Why it turned back, once it did.
    pub turned_back: Option<Cause>,
    /// How far it is, in thousandths; rises as a candidate advances and falls as it goes back.
    pub progress_milli: u16,
}

/// A batch out of all batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchReport {
    /// Which, from 1.
    pub number: u16,
    /// Of how many.
    pub of: u16,
}

/// The instances of one release.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReleaseReport {
    /// Which release.
    pub release: ReleaseId,
    /// Its label.
    pub label: ReleaseLabel,
    /// What it is to the service.
    pub role: Role,
    /// Its share of the traffic in the newest table.
    pub weight: Weight,
    /// Its instances.
    pub instances: Vec<InstanceReport>,
}

/// What a release is to the service.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// It serves, or did when the rollout began.
    Current,
    /// It is to become current.
    Candidate,
    /// It is on its way out.
    Retiring,
}

/// One instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InstanceReport {
    /// Which.
    pub instance: InstanceId,
    /// How it is.
    pub state: InstanceState,
    /// Since when.
    pub since: Tick,
    /// Where it listens, once it runs.
    pub address: Option<SocketAddr>,
    /// Where it stands in the routing table.
    pub load: LoadState,
}

/// How an instance is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InstanceState {
    /// Its process is being started.
    Starting,
    /// It runs and is not proven ready yet.
    Warming {
        /// What its probes fail with.
        failing: Option<String>,
    },
    /// It is ready.
    Ready,
    /// Its probes fail.
    Unhealthy {
        /// The last failure.
        reason: String,
    },
    /// It is being stopped.
    Stopping,
}

/// Where an instance stands in the routing table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum LoadState {
    /// It was never in a table.
    Out,
    /// It is reached through the preview header alone.
    Preview,
    /// It is in load.
    Live,
    /// It left load and has requests in flight, as far as is known.
    Draining,
    /// It left load and is drained.
    Drained,
}

/// One thing that is waited for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wait {
    /// What.
    pub awaited: Awaited,
    /// Since when.
    pub since: Tick,
}

/// What is waited for.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Awaited {
    /// The process of an instance.
    Started(InstanceId),
    /// An instance's readiness.
    Ready(InstanceId),
    /// All proxies to use a table.
    Applied(EffectNumber),
    /// The end of the requests in flight to an instance.
    Drained(InstanceId),
    /// The end of the tunnels and streams through an instance: its requests have ended, and no rollout waits for it alone.
    LastingEnded(InstanceId),
    /// The end of an instance.
    Stopped(InstanceId),
    /// The answer of a check.
    Check(String),
    /// The end of a hook, in words.
    Hook(String),
    /// The end of an observation.
    Observed {
        /// When it ends.
        until: Tick,
    },
    /// The end of a restart's back-off.
    Backoff {
        /// The release whose instances are to be started.
        release: ReleaseLabel,
        /// When it ends.
        until: Tick,
    },
    /// Enough ready instances in load for the next one to leave.
    Floor {
        /// Ready in load now.
        ready: u16,
        /// The least there may be.
        floor: u16,
    },
}

/// The deadline that comes next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NextDeadline {
    /// When.
    pub at: Tick,
    /// What happens then.
    pub then: Then,
}

/// What happens at a deadline; the gravest first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Then {
    /// The rollout ends as it is, everything that serves is kept and an operator is called.
    CallOperator,
    /// The rollout turns back.
    RollBack,
    /// The rollout ends with the release before it in load; instances that still hold tunnels drain on behind it.
    EndBack,
    /// The rollout is done; instances that still hold tunnels drain on behind it.
    EndRollout,
    /// The instance is stopped although something is in flight to it; that is on the record.
    StopAnyway,
    /// The instance is given up and another takes its place.
    Replace,
    /// A command whose time is over is ended; nothing else follows from it.
    EndCommand,
    /// The rollout goes to its next phase.
    GoOn,
    /// Instances that exited are started again.
    Restart,
}

impl fmt::Display for Then {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Then::GoOn => "the rollout goes on",
            Then::RollBack => "the rollout rolls back",
            Then::CallOperator => "the rollout stops as it is and calls an operator",
            Then::EndBack => "the rollout ends rolled back, and what is left drains behind it",
            Then::EndRollout => "the rollout is done, and what is left drains behind it",
            Then::StopAnyway => "the instance is stopped with what is in flight",
            Then::EndCommand => "the command is ended",
            Then::Replace => "the instance is replaced",
            Then::Restart => "instances are started again",
        })
    }
}

/// What going back to the release before would take.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TimeToRollBack {
    /// There is nothing to go back to.
    Impossible,
    /// Its instances are warm: one change of the routing table.
    OneTable,
    /// Its instances have to be started first.
    Restart {
        /// How long that takes at least, from its probes.
        expected: Millis,
    },
}

impl fmt::Display for TimeToRollBack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TimeToRollBack::Impossible => f.write_str("nothing to go back to"),
            TimeToRollBack::OneTable => f.write_str("one table change"),
            TimeToRollBack::Restart { expected } => write!(f, "about {expected}, its instances have to start"),
        }
    }
}
