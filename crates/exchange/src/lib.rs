//! One request and its answer, as a value that is told what happened (`handle_*`) and says what is to be done.
//!
//! Owns: which instance an attempt goes to, whether there may be another, how long the request may be held, what is late, who is to blame, and
//! the one terminal state. Refuses to know: sockets, bytes, framing, versions of HTTP, clocks and chance. What a frontend and a backend have to
//! tell is the same for every protocol: a head that may be repeated or not, how far it got, how the instance failed.
//!
//! **Invariant X1**: whatever happens in whatever order, a request that was accepted ends in exactly one terminal state.
//! **Invariant X2**: every attempt that began is given back exactly once, as a [`Left`], so that what is in flight is counted right.
//! **Invariant X3**: nothing that an instance may have seen is sent again without permission, and nothing at all once an answer has begun.
//! All three are held by `tests/properties.rs`, for random orders of events.

mod attempt;
mod body_wait;
mod due;
mod exchange;
mod failure;
mod half_closed;
mod hold;
mod news;
mod request;
mod route;
mod tries;

pub use attempt::{Answer, Attempt, Connection, Left};
pub use due::{Bounds, Due, Sight, Upload};
pub use exchange::Exchange;
pub use failure::{Excuse, Failure, Reached};
pub use gapless_routing::Method;
pub use hold::{HoldAsk, Holding};
pub use news::{Delivery, Failed, Lasting, Late, Next, Todo};
pub use request::Request;
pub use route::{Decision, RouteQuery, route};
pub use tries::Tries;
