//! How an instance fails a request, and what that proves about how far the request got.

use gapless_routing::{CutReason, OurAnswer, Progress};

use crate::attempt::Connection;

/// A kept connection that ends so soon after it was given a request was being closed already; later, the instance had begun on it.
const CLOSING_WITHIN_MS: u64 = 100;

/// How an instance failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It did not take the connection.
    Refused,
    /// It did not take the connection in time.
    ConnectTimeout,
    /// It ended the connection in order.
    Ended,
    /// The connection broke.
    Broken,
    /// It sent what is no HTTP.
    Malformed,
    /// On a kept connection came what cannot be the answer.
    OutOfStep,
}

/// How much of a request an instance can have seen, as far as can be proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reached {
    /// Nothing was written.
    Nothing,
    /// Less than the whole head was written, without which nobody carries a request out.
    PartOfHead,
    /// Some was written, and the instance's system had received none of it when it said that the connection is over.
    Unseen,
    /// It may have seen some.
    Some,
}

/// Whether a failure says anything about how the instance serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Excuse {
    /// It does: it counts against it.
    None,
    /// A kept connection ended, as it may at any time, or was not in step.
    KeptConnection,
}

impl Failure {
    pub(crate) fn progress(self, connection: Connection, reached: Reached, took_ms: u64) -> Progress {
        match (self, reached) {
            (Self::Refused | Self::ConnectTimeout, _) => Progress::NeverSent,
            (Self::Ended | Self::Broken, Reached::Nothing) => Progress::NeverSent,
            (Self::Ended, Reached::Unseen) => Progress::NeverSent,
            (Self::OutOfStep, Reached::Nothing | Reached::PartOfHead) => Progress::NeverSent,
            (Self::OutOfStep, _) => Progress::SentOnKept,
            (Self::Ended | Self::Broken, _) if connection == Connection::Kept && took_ms <= CLOSING_WITHIN_MS => {
                Progress::SentOnKept
            }
            (Self::Ended | Self::Broken | Self::Malformed, _) => Progress::Sent,
        }
    }

    pub(crate) fn excuse(self, connection: Connection) -> Excuse {
        match (self, connection) {
            (Self::Ended | Self::Broken | Self::OutOfStep, Connection::Kept) => Excuse::KeptConnection,
            (_, Connection::New | Connection::Kept) => Excuse::None,
        }
    }

    /// Why an answer that had begun is cut. `dropped` is why one is cut that its instance just dropped.
    pub(crate) fn cut(self, dropped: CutReason) -> CutReason {
        match self {
            Self::Malformed | Self::OutOfStep => CutReason::InstanceMalformed,
            Self::Refused | Self::ConnectTimeout | Self::Ended | Self::Broken => dropped,
        }
    }

    /// What a client is answered that had no answer yet, where there is no other attempt.
    pub(crate) fn answer(self, dropped: CutReason) -> OurAnswer {
        match self {
            Self::Refused => OurAnswer::ConnectFailed,
            Self::ConnectTimeout => OurAnswer::ConnectTimeout,
            Self::Malformed | Self::OutOfStep => OurAnswer::InstanceMalformed,
            Self::Ended | Self::Broken if dropped == CutReason::DrainDeadline => OurAnswer::DrainDeadline,
            Self::Ended | Self::Broken => OurAnswer::InstanceClosed,
        }
    }
}
