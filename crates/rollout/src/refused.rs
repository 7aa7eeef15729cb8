//! Refusals: orders that the machine does not take, with the reason and the untouched state.

use gapless_model::{ReleaseId, RolloutId, ServiceName};

use crate::Service;

/// An order was refused; nothing changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Refused {
    /// The state as it was.
    pub state: Box<Service>,
    /// Why.
    pub reason: Refusal,
}

/// Why an order was refused.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// The release is of another service.
    #[error("the release is of service {found}, not of {expected}")]
    OtherService {
        /// The machine's service.
        expected: ServiceName,
        /// The release's.
        found: ServiceName,
    },
    /// The release is the current one, the candidate or known already.
    #[error("release {0} is deployed already")]
    AlreadyDeployed(ReleaseId),
    /// A rollout runs and the release's policy is to refuse a second order.
    #[error("rollout {running} is running")]
    RolloutRunning {
        /// Which.
        running: RolloutId,
    },
    /// The number of the rollout is not above all before it.
    #[error("rollout {given} was given out already; the last one is {last}")]
    RolloutNumberUsed {
        /// The order's.
        given: RolloutId,
        /// The highest so far.
        last: RolloutId,
    },
    /// No rollout runs.
    #[error("no rollout is running")]
    NoRollout,
    /// The rollout observes nothing that could be cut short.
    #[error("the rollout is in {phase}, where nothing is being observed")]
    NothingToPromote {
        /// Where it is.
        phase: crate::PhaseName,
    },
    /// The rollout is rolling back already.
    #[error("rollout {0} is rolling back already")]
    RollingBack(RolloutId),
    /// A rollout runs, and the order is to go back to another release than the one it came from.
    #[error("rollout {running} is running, and goes back to {back_to} alone")]
    GoesBackElsewhere {
        /// Which.
        running: RolloutId,
        /// Where to; `nothing` for a first deploy.
        back_to: String,
    },
    /// A rollout that changes how the current release runs has no release to go back to.
    #[error("rollout {running}, a {what}, cannot be turned back")]
    NoWayBack {
        /// Which.
        running: RolloutId,
        /// What it does: `scale`, `stop`, …
        what: &'static str,
    },
    /// Nothing is deployed that could be restarted, scaled, stopped or removed.
    #[error("nothing is deployed")]
    NothingDeployed,
    /// The service is stopped.
    #[error("the service is stopped")]
    Stopped,
    /// The service is not stopped.
    #[error("the service is not stopped")]
    NotStopped,
    /// What an earlier rollout left behind has to be decided first.
    #[error("rollout {0} needs an operator first")]
    Undecided(RolloutId),
    /// A release that is to be restarted is not the current one.
    #[error("release {0} is not the current release once more")]
    OtherContent(ReleaseId),
    /// No instance at all is what stopping is for.
    #[error("a service has at least one instance")]
    NoInstance,
    /// There is no earlier release to go back to.
    #[error("there is no earlier release to go back to")]
    NoEarlierRelease,
    /// The release is not kept any more.
    #[error("release {0} is not among the releases that are kept")]
    ReleaseNotKept(ReleaseId),
    /// An in-place rollout would have to go below the floor with its first instance.
    #[error("replacing in place leaves {left} of {instances} instances in load, below the floor of {floor}")]
    FloorForbidsInPlace {
        /// Left in load when one instance leaves.
        left: u16,
        /// In load before.
        instances: u16,
        /// The floor.
        floor: u16,
    },
}
