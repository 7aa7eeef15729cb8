//! What a controller knows of all services together, and what follows from it.
//!
//! Owns: the tables that follow from what the services order, who of the proxies acknowledged what, drains over all of them, who is a member, counts and
//! receipts, what happened to each order, recovery by replay, and when a service is written down whole. Generic over the
//! [`Store`](gapless_journal::Store). Refuses to know: clocks, chance, runtimes, sockets, processes: a [`Moment`] and every identity are arguments. The
//! controller is one shell around it, the simulation another: what is simulated is what ships.
//!
//! - [`Fleet`]: input → step → journal → intents, and nothing else. [`recover`](mod@recover) gives it back after a crash.
//! - [`publication`], [`ledger`], [`chronicle`], [`events`]: books: tables and their acknowledgements, counts and receipts, what happened in each
//!   rollout and to each service.
//! - [`traces`]: whether a journal may act beside what proxies, keepers and files remember.
//! - `errors`: how many requests each release fails lately, watched while a candidate is in load.
//! - `compaction`: when a service at rest takes the place of its records.

pub mod chronicle;
mod compaction;
mod decided;
mod entry;
mod errors;
pub mod events;
mod fleet;
pub mod ledger;
pub mod members;
pub mod publication;
pub mod recover;
pub mod tables;
pub mod traces;
pub mod wall;

pub use decided::{Accepted, Decided, Identity, Moment, TakeError, With};
pub use entry::{KnownRelease, ServiceEntry};
pub use fleet::{Fleet, Fresh};
