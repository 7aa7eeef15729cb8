//! The durable log: what is written here first may be done afterwards (I6), and what is not written here never happened.
//!
//! Owns: the [`Store`] trait over opaque records and facts, the SQLite store of one machine, a store in memory with faults for
//! simulation, and one conformance suite for every store. Refuses to know: what a record means (`wire` writes and reads the bytes), and
//! when one is written (the controller).
//!
//! Two kinds of things are kept, changed together by one [`Batch`] in one durable transaction:
//! - **records**: streams, one per service, each numbered 1, 2, 3 … without a gap and chained by hash. A snapshot takes the
//!   place of all records up to its sequence, so a journal is bounded by how often its user takes one.
//! - **facts**: small tables of key and value (releases, receipts, history).
//!
//! **Invariant J1**: a commit that returned is still there after a crash, one that did not is there whole or not at all
//! (`tests/crash.rs`, [`conformance`]).
//! **Invariant J2**: a damaged journal is an error, never an empty or a different one: a cut file, a flipped bit, a lost tail of the
//! write-ahead log (`tests/damage.rs`).
//! **Invariant J3**: one writer: a second opener is refused, an older term is refused ([`StoreError::InUse`], [`StoreError::Superseded`]).
//! **Invariant J4**: after an I/O error nothing more is written by this store (an `fsync` that failed once cannot be trusted the second time).
//!
//! A full disk is neither damage nor an I/O error: the batch is refused whole with [`StoreError::Full`] and the store goes on. For the facts
//! that must be written all the same room is kept ([`RESERVE_BYTES`]) and given up when it is asked for.
//! **Invariant J5**: the main file alone is recent: what was committed is moved there every so many commits, at quiet and at the end; and where
//! it lacks what its write-ahead log had, that is an error (`tests/copies.rs`).

mod batch;
mod chain;
pub mod conformance;
mod error;
mod memory;
mod reserve;
mod sqlite;
mod store;
mod witness;

pub use batch::{Batch, KEY_BYTES_MAX, NAME_BYTES_MAX, OPERATIONS_MAX, Operation, VALUE_BYTES_MAX};
pub use error::StoreError;
pub use memory::{Fault, MemoryStore};
pub use reserve::RESERVE_BYTES;
pub use sqlite::{BackUp, Existing, SqliteStore, Standing, inspect, refuse_in_use, restore, set_aside};
pub use store::{Position, Record, RecordKind, Sequence, Store};
