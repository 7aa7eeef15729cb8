//! What became of an order: the number it has, or the rollout that it changed.
//!
//! Nobody has to guess afterwards which order a line, a reason or a receipt belongs to: the step that took the order says it.

use gapless_model::{ReleaseLabel, RolloutId};

use crate::Origin;

/// What became of the order that a step took.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Placed {
    /// It is an order of its own, with a number and an end of its own.
    Own(OwnOrder),
    /// It changed the rollout that runs, and ends with it. The number it brought stays free.
    OfRunning(RolloutId),
}

/// An order with a number of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnOrder {
    /// Its number; that of its rollout, should it begin.
    pub rollout: RolloutId,
    /// The release it asks for.
    pub to: ReleaseLabel,
    /// Who gave it, and why.
    pub origin: Origin,
    /// Whether it began at once.
    pub place: Place,
}

/// Where an order stands right after it was taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// Its rollout runs.
    Running,
    /// It waits for the end of the rollout that runs.
    Queued {
        /// Which.
        behind: RolloutId,
    },
}

impl Placed {
    /// The rollout in which the order is carried out, or will be.
    #[must_use]
    pub fn rollout(&self) -> RolloutId {
        match self {
            Placed::Own(own) => own.rollout,
            Placed::OfRunning(rollout) => *rollout,
        }
    }
}
