//! How a candidate replaces the current release.

use crate::{Amount, Millis, StatusRange};

/// Which comes first within a rolling batch.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Order {
    /// The new instances are put in load before the old ones leave: capacity never shrinks.
    SurgeFirst,
    /// The old instances are drained and stopped first, then the new ones start: for fixed slots. Capacity shrinks by a batch, never below the floor.
    InPlace,
}

/// A preset that compiles to phases.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Strategy {
    /// Batch by batch: start, warm up, expose, observe, drain the old, stop the old.
    Rolling {
        /// How many instances at a time.
        batch: Amount,
        /// Which comes first.
        order: Order,
        /// How long a batch is observed in load before the next.
        observe: Millis,
        /// How long the finished whole is observed with a way back before the rollout is done.
        bake: Millis,
    },
    /// The whole candidate beside the current release, tested before anyone is switched, switched by one table, baked with the old release warm.
    BlueGreen {
        /// How long the old release stays warm after the switch.
        bake: Millis,
    },
}

impl Strategy {
    /// Its name in configuration files and on the command line.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Strategy::Rolling { .. } => "rolling",
            Strategy::BlueGreen { .. } => "blue-green",
        }
    }
}

/// What is done with an order that arrives while a rollout runs.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum SecondOrder {
    /// It waits its turn (at most one waits; a later one takes its place).
    Queue,
    /// It is refused.
    Reject,
    /// The running rollout is rolled back, then it starts.
    Supersede,
}

/// What is asked of the candidate before anyone is switched to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum CheckKind {
    /// A command; passes when it exits with 0. It finds the candidate by the environment variables `GAPLESS_URL` (through the proxy) and
    /// `GAPLESS_PREVIEW` (the value of the preview header).
    Command {
        /// Program and arguments, at least one.
        argv: Vec<String>,
    },
    /// A GET through the proxy with the preview header.
    Http {
        /// Beginning with `/`.
        path: String,
        /// The statuses that pass.
        expect: StatusRange,
        /// Text that the body must hold.
        contains: Option<String>,
    },
}

/// One check of the Test phase.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Check {
    /// What people call it.
    pub name: String,
    /// What is done.
    pub kind: CheckKind,
    /// How long it may take.
    pub timeout: Millis,
}
