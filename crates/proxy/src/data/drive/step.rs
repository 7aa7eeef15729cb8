//! What is to come after a phase's turn.

use super::exchange::Exchange;

/// What a phase's turn comes to.
#[derive(Debug)]
pub(crate) enum Step {
    /// Nothing to do until there is news.
    Wait,
    /// Another turn of the same phase, at once.
    Again,
    /// The request was answered: wait for the next one.
    AwaitRequest,
    /// A request was read: see to its answer.
    Serve(Box<Exchange>),
    /// The request's connection was upgraded. These bytes came behind the `101`.
    Switch(Vec<u8>),
    /// The last answer was given: end our side, and wait for the client's end.
    Linger,
    /// The connection is over.
    Close,
}
