//! The desired state of the fleet: how many instances of which release, how many of them in load.
//!
//! Phases never order starts, tables or stops themselves. They say what is wanted; `reconcile` orders what is missing and takes
//! away what is too much, each under the permits of the floor and of the drain. So there is one place where capacity can be lost.

use std::collections::BTreeMap;

use gapless_model::ReleaseId;

/// What is wanted of one release.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Desired {
    /// Instances that run.
    pub instances: u16,
    /// Of these, in load.
    pub live: u16,
    /// What becomes of those that are missing.
    pub upkeep: Upkeep,
    /// Who reaches the ready ones that are not in load.
    pub rest: Rest,
}

/// What becomes of instances that are missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Upkeep {
    /// They are started.
    Maintain,
    /// Those that are in load are kept; none is started.
    LetGo,
}

/// Who reaches ready instances that are not in load.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rest {
    /// Nobody.
    Hidden,
    /// Requests with the preview header.
    Preview,
}

impl Desired {
    /// None at all.
    pub(crate) const NONE: Desired = Desired { instances: 0, live: 0, upkeep: Upkeep::Maintain, rest: Rest::Hidden };

    /// So many, all in load.
    pub(crate) fn live(instances: u16) -> Desired {
        Desired { instances, live: instances, upkeep: Upkeep::Maintain, rest: Rest::Hidden }
    }

    /// So many, of which some are in load.
    pub(crate) fn partly(instances: u16, live: u16) -> Desired {
        Desired { instances, live, upkeep: Upkeep::Maintain, rest: Rest::Hidden }
    }

    /// Those that are in load stay in load while they live.
    pub(crate) fn as_it_is() -> Desired {
        Desired { instances: u16::MAX, live: u16::MAX, upkeep: Upkeep::LetGo, rest: Rest::Hidden }
    }
}

/// What is wanted of every release; a release that is not in it is to leave.
pub(crate) type DesiredState = BTreeMap<ReleaseId, Desired>;
