//! The timeline: what a step did, one line per action, for people who watch.

use std::fmt;

use gapless_model::{EffectNumber, InstanceId, Millis, ReleaseLabel, RolloutId, Tick};

use crate::{BatchReport, Cause, NoticeLevel, Origin, Outcome, PhaseName};

/// One action with its time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry {
    /// When.
    pub at: Tick,
    /// The rollout it belongs to; none for self-healing.
    pub rollout: Option<RolloutId>,
    /// What.
    pub action: Action,
}

/// What happened or was ordered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Action {
    /// A rollout began.
    Began {
        /// From which release; none for a first deploy.
        from: Option<ReleaseLabel>,
        /// To which.
        to: ReleaseLabel,
        /// How.
        strategy: &'static str,
    },
    /// A rollout waits for the running one.
    Queued {
        /// The release it deploys.
        to: ReleaseLabel,
        /// The rollout it waits for.
        behind: RolloutId,
    },
    /// A rollout entered a phase.
    Entered {
        /// Which.
        phase: PhaseName,
        /// Of which batch.
        batch: BatchReport,
    },
    /// A rollout turned back.
    TurnedBack {
        /// Why.
        cause: Cause,
    },
    /// A rollout ended.
    Ended {
        /// How.
        outcome: Outcome,
        /// After how long.
        after: Millis,
    },
    /// An instance was ordered to start.
    Starting(InstanceId),
    /// An instance is ready.
    Ready(InstanceId),
    /// An instance is not ready yet, and its probes say why.
    NotReady {
        /// Which.
        instance: InstanceId,
        /// The last failure.
        reason: String,
    },
    /// An instance ended or could not be started, unordered.
    Lost {
        /// Which.
        instance: InstanceId,
        /// How.
        reason: String,
    },
    /// An instance's probes fail.
    Unhealthy {
        /// Which.
        instance: InstanceId,
        /// The last failure.
        reason: String,
    },
    /// A table was ordered.
    Published {
        /// The effect's number.
        routes: EffectNumber,
        /// What is live in it.
        live: Vec<LiveShare>,
        /// Whether requests wait where nothing is.
        holds: bool,
        /// What is reached through the preview header alone.
        preview: Vec<LiveShare>,
    },
    /// Every proxy uses the newest table.
    Applied {
        /// The effect's number.
        routes: EffectNumber,
    },
    /// The requests to an instance that left load have ended; tunnels and streams through it are open.
    RequestsEnded(InstanceId),
    /// An instance that left load has nothing in flight any more.
    Drained(InstanceId),
    /// An instance did not drain in time and is stopped with what is in flight.
    DrainCut(InstanceId),
    /// An instance was ordered to stop.
    Stopping(InstanceId),
    /// An instance is gone, as ordered.
    Stopped(InstanceId),
    /// A check began.
    CheckBegan {
        /// Its name.
        check: String,
    },
    /// A check passed.
    CheckPassed {
        /// Its name.
        check: String,
    },
    /// A command that runs once was ordered.
    OneOffBegan {
        /// Its id.
        id: InstanceId,
        /// What it is, in words.
        what: String,
    },
    /// It exited with 0.
    OneOffPassed {
        /// Its id.
        id: InstanceId,
        /// What it is, in words.
        what: String,
        /// How long it took.
        after: Millis,
    },
    /// It failed, could not be run, or was ended because its time was over.
    OneOffFailed {
        /// Its id.
        id: InstanceId,
        /// What it is, in words.
        what: String,
        /// Why, for people.
        reason: String,
    },
    /// What a rollout left behind mended itself: the release before serves in full and nothing else does.
    Mended {
        /// The release that serves.
        current: ReleaseLabel,
    },
    /// The current release is to have another number of instances.
    Scaled {
        /// How many it was to have.
        from: u16,
        /// How many it is to have.
        to: u16,
    },
    /// An operator vouched for the candidate.
    Promoted {
        /// Who, and why.
        origin: Origin,
    },
    /// A controller took over.
    ControllerRestarted {
        /// How many instances it found running.
        alive: u16,
    },
    /// Operators were told.
    Notified {
        /// How urgent.
        level: NoticeLevel,
        /// What.
        message: String,
    },
}

/// How many instances of a release are in a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LiveShare {
    /// The release.
    pub label: ReleaseLabel,
    /// Its instances.
    pub instances: u16,
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Began { from: Some(from), to, strategy } => write!(f, "{strategy} from {from} to {to}"),
            Action::Began { from: None, to, strategy } => write!(f, "{strategy} of {to}"),
            Action::Queued { to, behind } => write!(f, "{to} waits for rollout {behind}"),
            Action::Entered { phase, batch } if batch.of > 1 => write!(f, "{phase} {}/{}", batch.number, batch.of),
            Action::Entered { phase, .. } => write!(f, "{phase}"),
            Action::TurnedBack { cause } => write!(f, "turning back: {cause}"),
            Action::Ended { outcome, after } => write!(f, "{outcome}, after {after}"),
            Action::Starting(instance) => write!(f, "start {instance}"),
            Action::Ready(instance) => write!(f, "{instance} is ready"),
            Action::NotReady { instance, reason } => write!(f, "{instance} is not ready: {reason}"),
            Action::Lost { instance, reason } => write!(f, "{instance} is lost: {reason}"),
            Action::Unhealthy { instance, reason } => write!(f, "{instance} is unhealthy: {reason}"),
            Action::Published { routes, live, holds, preview } => {
                write!(f, "route (table {routes}) to")?;
                match (live.is_empty(), holds) {
                    (true, true) => f.write_str(" nothing: requests are held")?,
                    (true, false) => f.write_str(" nothing: requests are refused")?,
                    (false, _) => {}
                }
                for (at, share) in live.iter().enumerate() {
                    write!(f, "{} {} × {}", if at == 0 { "" } else { "," }, share.label, share.instances)?;
                }
                preview.iter().try_for_each(|share| write!(f, ", preview {} × {}", share.label, share.instances))
            }
            Action::Applied { routes } => write!(f, "table {routes} is in use at every proxy"),
            Action::RequestsEnded(instance) => write!(f, "{instance} has tunnels and streams alone"),
            Action::Drained(instance) => write!(f, "{instance} is drained"),
            Action::DrainCut(instance) => write!(f, "{instance} did not drain in time"),
            Action::Stopping(instance) => write!(f, "stop {instance}"),
            Action::Stopped(instance) => write!(f, "{instance} is stopped"),
            Action::CheckBegan { check } => write!(f, "check {check:?}"),
            Action::CheckPassed { check } => write!(f, "check {check:?} passed"),
            Action::OneOffBegan { id, what } => write!(f, "run {what} as {id}"),
            Action::OneOffPassed { what, after, .. } => write!(f, "{what} passed after {after}"),
            Action::OneOffFailed { id, what, reason } => write!(f, "{what} ({id}) failed: {reason}"),
            Action::Mended { current } => write!(f, "{current} serves in full again"),
            Action::Scaled { from, to } => write!(f, "{} instead of {from}", crate::plan::plural(*to)),
            Action::Promoted { origin } => write!(f, "promoted by {origin}"),
            Action::ControllerRestarted { alive } => {
                write!(f, "a controller took over and found {alive} instances running")
            }
            Action::Notified { message, .. } => write!(f, "notice: {message}"),
        }
    }
}

/// `   12.3s  start shop.r2.i5`
impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = self.at.0 / 100;
        write!(f, "{:>6}.{}s  {}", tenths / 10, tenths % 10, self.action)
    }
}
