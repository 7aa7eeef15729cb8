//! The control side: everything of a proxy that is not a request.
//!
//! One task on a thread of its own owns the state ([`station`]); at its [`desk`] it hears the controller ([`server`], [`session`]), the worker
//! threads, its own probes ([`probes`]) and the clock, and nothing of it is ever waited for by a request.
//!
//! **Invariant K1**: controllers are obeyed in the order of their epochs and tables in the order of their versions (I5, I7; [`fence`]).
//! **Invariant K2**: a table is on disk before it is acknowledged, unless the disk fails or is slow, which is told and hinders nothing ([`keeping`]); of
//! two files one is always whole ([`store`]).
//! **Invariant K3**: nothing is accepted before there is a table: until then connections wait in the listening sockets' queues.
//! **Invariant K4**: routing does not need the controller: a connection that ends changes nothing but who is told
//! (`tests/control.rs`).
//! **Invariant K5**: an instance that left the table is reported with its exact requests in flight until there are none, and at once
//! when there are none.

mod access_log;
mod confine;
mod desk;
mod fence;
mod keeping;
mod options;
mod probes;
mod report;
mod run;
mod server;
mod session;
mod station;
mod store;

pub use confine::{Confinement, confine};
pub use options::{Mode, Options};
pub use run::{RunFailed, run};
