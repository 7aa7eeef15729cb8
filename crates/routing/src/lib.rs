//! The pure routing table: which instance answers a request, and what that request counts as when it has ended.
//!
//! Owns: matching of host and path, splitting between releases, choice between instances, pins, permission to retry, drain
//! accounting, differences between tables, the terminal states of the ledger.
//! Refuses to know: sockets, threads, clocks and chance. A random number, a time, a view of what is in flight are arguments.
//!
//! The control side of a proxy builds a [`Table`] from a [`TableSpec`] and hands it, behind an `Arc`, to every worker thread. A
//! thread asks [`Table::find`] for the service, [`Service::split`] for the release and [`choose`] for the instance; nothing of
//! that allocates or locks.
//!
//! **Invariant R1**: a table that exists is whole: every route leads to one service, weights add up, a pool with weight has
//! instances (tests in `build`).
//! **Invariant R2**: a [`Slot`] means one instance at one address for as long as anything may count on it; tables that follow one
//! another give the same instance the same slot, so counts survive a swap (tests in `registry`).
//! **Invariant R3**: when every instance is bad, every instance is tried: no opinion on health ever empties a pool (tests in `choice`).
//! **Invariant R4**: an instance counts as drained only if every known proxy applied a table without it and reports nothing in
//! flight; no proxy known means not drained (tests in `drain`).

mod build;
mod choice;
mod client_key;
mod diff;
mod drain;
mod ewma;
mod ledger;
mod matching;
mod passive;
mod pin;
mod preview;
mod registry;
mod retry;
mod spec;
mod table;

pub use build::TableInvalid;
pub use choice::{Draw, PoolView, Standing, choose, ramp_permille};
pub use client_key::Asker;
pub use diff::{Change, changes};
pub use drain::{DrainBook, ProxyId};
pub use ewma::PeakEwma;
pub use ledger::{Blame, CutReason, OurAnswer, SeriesCounts, StatusClass, Terminal};
pub use matching::Match;
pub use passive::{Ejection, Outlier, Tally};
pub use pin::{Keyring, Pin, PinDecision, PinScope, PinSpec, Pins};
pub use preview::{PeerTrust, PreviewAsked, PreviewKey, PreviewToken, PreviewTokenInvalid};
pub use registry::{Audience, INSTANCE_SLOTS_MAX, Registry, SERIES_MAX, Series, SeriesKey, Slot};
pub use retry::{BodyKept, KeySent, Method, Progress, RetryAsk, RetryBudget, RetryPermit, RetryRefused, may_retry};
pub use spec::{Fallback, InstanceSpec, Intake, PoolSpec, ServiceSpec, TableSpec};
pub use table::{Instance, Pool, Service, ServiceRoute, Table};
