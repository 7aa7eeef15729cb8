//! The seam between the two halves of the proxy: the *data side* (worker threads that serve requests) and the *control
//! side* (everything that talks to the controller).
//!
//! Everything both sides touch is here, and nothing of it costs the request path a lock:
//!
//! - **Commands** go to one worker thread through its [`WorkerHandle`]: a queue behind a lock and an event descriptor
//!   that wakes the thread. The thread looks into it only when woken.
//! - **Counts** ([`WorkerCounts`]) are arrays indexed by the dense numbers of the routing registry (`Slot`, `Series`).
//!   They are written by exactly one thread with plain relaxed stores and summed by whoever reads.
//! - **Events** and **access records** leave through bounded channels; what does not fit is dropped and counted.
//!
//! **Invariant S1.** A worker that has acknowledged a table version dispatches no later request by an older table.
//! **Invariant S2.** Reading [`WorkerHandle::applied`] first and [`WorkerCounts::in_flight`] afterwards never misses a
//! request in flight that was dispatched by an older table: the counts were written before the acknowledgement.

mod command;
mod counter;
mod counts;
mod record;
mod worker;

pub use command::{Command, Event};
pub use counter::Counter;
pub use counts::{SeriesCells, WorkerCounts};
pub use record::AccessRecord;
pub use worker::{Mailbox, WorkerHandle};
