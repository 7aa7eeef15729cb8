//! Inputs: past facts, told to the machine by whoever saw them.
//!
//! An input is either an operator's order or something that happened to the fleet, the proxies or the controller. Facts
//! about what the machine no longer knows (an instance that is gone, a table that was replaced) change nothing: they are
//! late, not wrong.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

// The plain value; no socket is opened here.
use core::net::SocketAddr;

use gapless_model::{EffectNumber, InstanceId, Release, ReleaseId, RolloutId, Strategy};

use crate::{ErrorCounts, OneOffEnd};

/// Who gave an order, and why; both as the operator's words, for the record.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Origin {
    /// The person or system.
    pub by: String,
    /// Their reason; may be empty.
    pub reason: String,
}

/// `ann (wrong colour)`
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason.as_str() {
            "" => f.write_str(&self.by),
            reason => write!(f, "{} ({reason})", self.by),
        }
    }
}

/// An order to replace the current release by another.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeployOrder {
    /// The number of the rollout that carries it out; unused before.
    pub rollout: RolloutId,
    /// The candidate, complete.
    pub release: Arc<Release>,
    /// A strategy instead of the one that the release asks for.
    pub strategy: Option<Strategy>,
    /// Who and why.
    pub origin: Origin,
}

/// An order to go back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RollbackOrder {
    /// The number of the rollout that carries it out when none runs; unused before. While one runs, that one rolls back.
    pub rollout: RolloutId,
    /// The release to go back to when no rollout runs; the previous one when none is given.
    pub to: Option<ReleaseId>,
    /// Who and why.
    pub origin: Origin,
}

/// What an operator wants of the release that serves, whichever it is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Adjustment {
    /// So many instances instead of those of its configuration; at least 1. Holds for this release until another number is ordered.
    Scale {
        /// How many.
        instances: u16,
    },
    /// No instance, and requests are refused, until it is started.
    Stop,
    /// Its instances again.
    Start,
    /// Neither instances nor routes, and nothing to go back to.
    Remove,
}

impl Adjustment {
    /// The word for it: that of the verb.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Adjustment::Scale { .. } => "scale",
            Adjustment::Stop => "stop",
            Adjustment::Start => "start",
            Adjustment::Remove => "remove",
        }
    }
}

/// An order to change how the current release runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AdjustOrder {
    /// The number of the rollout that carries it out; unused before.
    pub rollout: RolloutId,
    /// What is wanted.
    pub adjustment: Adjustment,
    /// Who and why.
    pub origin: Origin,
}

/// Whose doing the end of an instance was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum EndedBy {
    /// Its own: it exited, crashed, or used more than it may. Only this is a failure of its release.
    #[default]
    Itself,
    /// The machine's, an operator's or a keeper's: it was killed from outside.
    Outside,
}

/// A past fact.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// An operator wants a release deployed.
    DeployOrdered(DeployOrder),
    /// An operator wants every instance of the current release replaced by a fresh one. The candidate is the current release once more, under a
    /// number of its own; its label, artefact and configuration are the same.
    RestartOrdered(DeployOrder),
    /// An operator wants the current release to run in another way.
    AdjustOrdered(AdjustOrder),
    /// An operator wants to go back: ends a running rollout by its Rollback phase, otherwise begins a rollout to an earlier release.
    RollbackOrdered(RollbackOrder),
    /// An operator wants the running rollout ended; what is exposed goes back to the release it came from.
    AbortOrdered(Origin),
    /// An operator vouches for the candidate: the observation that runs (Observe or Bake) ends now as if its time had passed.
    PromoteOrdered(Origin),
    /// The instance's process runs, and this is where it will listen.
    InstanceStarted {
        /// Which.
        instance: InstanceId,
        /// Where.
        address: SocketAddr,
    },
    /// The instance could not be started at all.
    InstanceStartFailed {
        /// Which.
        instance: InstanceId,
        /// Why, for people.
        reason: String,
    },
    /// Its probes passed `rise` times in a row and it stayed healthy for `healthy_min`.
    InstanceReady {
        /// Which.
        instance: InstanceId,
    },
    /// Its probes have failed for a while and it was not ready yet; told again when they fail with something else.
    ProbeFailed {
        /// Which.
        instance: InstanceId,
        /// The last failure, for people.
        reason: String,
    },
    /// Its probes failed `fall` times in a row.
    InstanceUnhealthy {
        /// Which.
        instance: InstanceId,
        /// The last failure, for people.
        reason: String,
    },
    /// Its process ended, whoever wanted it.
    InstanceExited {
        /// Which.
        instance: InstanceId,
        /// Exit code or signal, for people.
        status: String,
        /// Whose doing it was.
        ended_by: EndedBy,
    },
    /// A [`StopInstance`](crate::Effect::StopInstance) is done: the whole process tree is gone.
    InstanceStopped {
        /// Which.
        instance: InstanceId,
    },
    /// Every proxy uses a table that carries this [`PublishRoutes`](crate::Effect::PublishRoutes) effect or a later one of the service.
    RoutesApplied {
        /// The effect's number.
        routes: EffectNumber,
    },
    /// A proxy that serves took the table of this [`PublishRoutes`](crate::Effect::PublishRoutes) effect for a bad one and goes on with the
    /// one before. A proxy that is silent has refused nothing.
    RoutesRefused {
        /// The effect's number.
        routes: EffectNumber,
        /// Why, for people.
        reason: String,
    },
    /// Every proxy uses a table without the instance, and what is in flight to it are tunnels and streams alone: what has no end in
    /// sight and a deadline of its own.
    RequestsEnded {
        /// Which.
        instance: InstanceId,
        /// As in [`Drained`](Input::Drained).
        routes: EffectNumber,
    },
    /// Every proxy uses a table without the instance and has nothing in flight to it.
    Drained {
        /// Which.
        instance: InstanceId,
        /// The newest [`PublishRoutes`](crate::Effect::PublishRoutes) effect that every proxy had applied when that was
        /// seen: an instance that went back into load in between is not stopped by a late report.
        routes: EffectNumber,
    },
    /// What the proxies counted lately of a candidate in load, and of the release that it is to replace. Told over and over while it is
    /// exposed; it is on record only where it decided something.
    RequestsCounted {
        /// The candidate.
        candidate: ReleaseId,
        /// The counts.
        counts: ErrorCounts,
    },
    /// A check passed.
    CheckPassed {
        /// The number of the [`RunCheck`](crate::Effect::RunCheck) effect.
        check: EffectNumber,
    },
    /// A check failed or took longer than it may.
    CheckFailed {
        /// The number of the [`RunCheck`](crate::Effect::RunCheck) effect.
        check: EffectNumber,
        /// Why, for people.
        reason: String,
    },
    /// A one-off ended by itself, or could not be run.
    OneOffEnded {
        /// Which.
        one_off: InstanceId,
        /// How.
        end: OneOffEnd,
    },
    /// The receipt of a rollout that ended is written: [`CloseReceipt`](crate::Effect::CloseReceipt) is done.
    ReceiptClosed {
        /// Of which rollout.
        rollout: RolloutId,
    },
    /// The instant of [`Step::next_deadline`](crate::Step::next_deadline) has come.
    TimerFired,
    /// A controller took over the journal. What was being observed is observed again; deadlines go on. The step's effects
    /// repeat, under their old numbers, all orders that have no outcome yet.
    ControllerRestarted {
        /// The instances whose process was found running.
        alive: BTreeSet<InstanceId>,
        /// Who counts as having ended the others; their release itself in what programs before this distinction wrote, which decided so.
        gone_by: EndedBy,
    },
}
