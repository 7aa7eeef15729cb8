//! How far the two directions of an exchange have come.

use gapless_exchange::Failure;
use gapless_http1::Reject;

/// Reads of one connection and direction before others have their turn: a fast sender must not keep the thread to itself.
pub(crate) const READS_PER_TURN: usize = 16;

/// Whether a direction is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    /// It waits for news.
    Waits,
    /// It has had its turn, and there may be more.
    More,
    /// It is done.
    Done,
}

/// What ends the carrying of an exchange by its instance.
#[derive(Debug)]
pub(crate) enum Carried {
    /// The answer is whole and nothing more of the request is to be sent.
    Over,
    /// The connection was upgraded. These bytes came behind the head and are the first of the tunnel.
    Switched(Vec<u8>),
    /// The client is gone.
    ClientLeft,
    /// The client's body is not passed on.
    BodyRefused(Refused),
    /// The instance failed.
    InstanceFailed(Failure),
}

/// Why a client's body is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    /// It is framed wrongly.
    Malformed(Reject),
    /// It is longer than allowed.
    TooLong,
}
