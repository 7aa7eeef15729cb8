//! What goes into the fleet and what comes out of it.

use gapless_journal::{Batch, StoreError};
use gapless_model::{ServiceName, Term, Tick};
use gapless_rollout::{Entry, Intent, Placed, Refusal};

use crate::ledger::Counted;

/// A moment by two clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    /// By the controller's own clock: everything is decided by it.
    pub tick: Tick,
    /// By the wall clock, in milliseconds since 1970: for people alone.
    pub wall_ms: u64,
}

/// Who decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// In whose name orders are given.
    pub term: Term,
    /// From which journal.
    pub journal: String,
}

/// What goes with an order.
#[derive(Debug, Default)]
pub struct With {
    /// Becomes durable with it or not at all.
    pub batch: Batch,
    /// From when on the receipt of its rollout counts.
    pub counted: Counted,
}

impl From<Batch> for With {
    fn from(batch: Batch) -> With {
        With { batch, ..With::default() }
    }
}

/// A step that was taken and is durable: what was decided, and what is to be performed.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Decided {
    /// Of which service.
    pub service: ServiceName,
    /// What became of the order; nothing where the input was a fact.
    pub placed: Option<Placed>,
    /// What was decided, one line per action.
    pub timeline: Vec<Entry>,
    /// What is to be performed, in this order.
    pub intents: Vec<Intent>,
}

/// An order that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Accepted {
    /// Its number, or the rollout that it changed.
    pub placed: Placed,
    /// What was taken with it: facts that waited, then the order.
    pub taken: Vec<Decided>,
}

/// Why an input was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The machine refuses the order.
    #[error("{0}")]
    Refused(Refusal),
    /// There is no room in the journal; the order can be given again.
    #[error("the journal is full")]
    Full(#[source] StoreError),
    /// The journal failed; the controller has to stop acting.
    #[error("the journal failed")]
    Journal(#[source] StoreError),
}

impl From<StoreError> for TakeError {
    fn from(error: StoreError) -> TakeError {
        match error {
            StoreError::Full => TakeError::Full(StoreError::Full),
            other => TakeError::Journal(other),
        }
    }
}
