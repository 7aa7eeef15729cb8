//! The desired state of the fleet: how many instances of which release, how many of them in load.
//!
//! Phases never order starts, tables or stops themselves. They say what is wanted; `reconcile` orders what is missing and takes
//! away what is too much, each under the permits of the floor and of the drain. So there is one place where capacity can be lost.

use std::collections::BTreeMap;

use gapless_model::ReleaseId;

use crate::instance::{Instance, Life};

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

/// The instances of one release, sorted by what becomes of them.
#[derive(Debug)]
pub(crate) struct Sorted {
    /// Ordinals of those that stay, the best first.
    pub stay: Vec<u64>,
    /// Ordinals of those that go once they may, stopping ones excepted.
    pub go: Vec<u64>,
    /// How many are missing.
    pub missing: u16,
}

/// Sorts the instances of `release` by what is wanted of it.
pub(crate) fn sort(instances: &BTreeMap<u64, Instance>, release: ReleaseId, want: Option<&Desired>) -> Sorted {
    let mut ranked: Vec<((u8, u64), u64)> = Vec::new();
    let mut go = Vec::new();
    let let_go = want.is_some_and(|want| want.upkeep == Upkeep::LetGo);
    for instance in instances.values().filter(|instance| instance.release() == release) {
        match instance.rank() {
            Some(_) if let_go && !instance.is_live() => go.push(instance.id.ordinal),
            Some(rank) => ranked.push((rank, instance.id.ordinal)),
            None if matches!(instance.life, Life::Unhealthy { .. }) => go.push(instance.id.ordinal),
            None => {}
        }
    }
    ranked.sort_unstable();
    let wanted = want.map_or(0, |want| usize::from(want.instances));
    let surplus = ranked.split_off(wanted.min(ranked.len()));
    go.extend(surplus.into_iter().map(|(_, ordinal)| ordinal));
    let missing = match want.map(|want| want.upkeep) {
        Some(Upkeep::Maintain) => u16::try_from(wanted - ranked.len()).unwrap_or(u16::MAX),
        Some(Upkeep::LetGo) | None => 0,
    };
    Sorted { stay: ranked.into_iter().map(|(_, ordinal)| ordinal).collect(), go, missing }
}
