//! What an exchange is told and asked, and what follows from it.

use gapless_model::Tick;
use gapless_routing::{BodyKept, CutReason, OurAnswer, RetryRefused, Slot};

use crate::attempt::Left;
use crate::failure::{Excuse, Failure, Reached};

/// What is to be done with a request now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Todo {
    /// Find an instance for it.
    Route,
    /// Nothing before it is let go.
    Wait,
    /// Carry it to its instance, and the answer back.
    Carry,
    /// Carry its tunnel.
    Tunnel,
    /// Give the client the rest of its answer.
    Deliver,
    /// Nothing any more.
    Forget,
}

/// Whether the client has taken everything that was to be sent to it so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivery {
    /// It has.
    Taken,
    /// Something waits for it.
    Outstanding,
}

/// Whether it was known before that a request has no end in sight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lasting {
    /// It was not: it is to be counted.
    News,
    /// It was.
    Known,
}

/// A failed attempt, as the caller saw it.
#[derive(Debug, Clone, Copy)]
pub struct Failed {
    /// How.
    pub failure: Failure,
    /// How much of the request the instance can have seen.
    pub reached: Reached,
    /// Whether all that was taken of the body is at hand.
    pub body: BodyKept,
    /// Why an answer is cut that this instance drops now.
    pub dropped: CutReason,
    /// On the clock of the attempt.
    pub now_us: u64,
    /// On the clock of the budget.
    pub now: Tick,
}

/// What follows from a failed attempt.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub enum Next<C> {
    /// The request is to be routed again.
    Retry {
        /// The attempt that is over.
        left: Left<C>,
        /// Whether the failure counts against the instance.
        excuse: Excuse,
        /// Whether bytes are sent a second time that an instance may have seen.
        replay: bool,
    },
    /// The client is to be answered by us.
    Answer {
        /// The attempt that is over.
        left: Left<C>,
        /// Whether the failure counts against the instance.
        excuse: Excuse,
        /// With what.
        reason: OurAnswer,
        /// The rule that forbids another attempt, where one was asked for.
        refused: Option<RetryRefused>,
    },
    /// The answer had begun and does not go on: to be given up.
    Cut(CutReason),
}

/// What follows from a deadline that has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Late {
    /// The client is to be answered by us.
    Answer(OurAnswer),
    /// The same, and the instance is to blame.
    AnswerForInstance(OurAnswer, Slot),
    /// The answer had begun: to be given up.
    Cut(CutReason),
}
