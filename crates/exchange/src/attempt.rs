//! One attempt: a request with one instance.

use gapless_routing::Slot;

/// The connection that an attempt has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Connection {
    /// It was made for this attempt.
    New,
    /// It carried requests before; the instance may be closing it at any moment.
    Kept,
}

/// How far the instance's final answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// None of it was passed on.
    None,
    /// Its head was, and so nothing else can be said to the client.
    Begun,
    /// The whole of it was received.
    Whole,
}

/// A request with an instance. `C` is the caller's name of the connection that carries it.
#[derive(Debug, PartialEq, Eq)]
pub struct Attempt<C> {
    pub(crate) carrier: C,
    pub(crate) slot: Slot,
    pub(crate) connection: Connection,
    pub(crate) began_us: u64,
    pub(crate) answer: Answer,
    /// It turned out to have no end in sight: a tunnel, a stream of events.
    pub(crate) lasting: bool,
}

impl<C: Copy> Attempt<C> {
    /// The instance.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The connection that carries it.
    #[must_use]
    pub fn carrier(&self) -> C {
        self.carrier
    }

    /// What connection that is.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// When it began, in microseconds of the caller's clock.
    #[must_use]
    pub fn began_us(&self) -> u64 {
        self.began_us
    }

    /// How far its answer has come.
    #[must_use]
    pub fn answer(&self) -> Answer {
        self.answer
    }

    pub(crate) fn end(&self) -> Left<C> {
        Left { slot: self.slot, carrier: self.carrier, lasting: self.lasting }
    }
}

/// A request is with an instance no more. Made when an attempt ends and nowhere else; whoever counts what is in flight takes one away for it.
#[derive(Debug, PartialEq, Eq)]
#[must_use]
pub struct Left<C> {
    slot: Slot,
    carrier: C,
    lasting: bool,
}

impl<C: Copy> Left<C> {
    /// The instance.
    #[must_use]
    pub fn slot(&self) -> Slot {
        self.slot
    }

    /// The connection that carried it: to be kept for another request, or closed.
    #[must_use]
    pub fn carrier(&self) -> C {
        self.carrier
    }

    /// Whether it was counted as one without an end in sight.
    #[must_use]
    pub fn is_lasting(&self) -> bool {
        self.lasting
    }
}
