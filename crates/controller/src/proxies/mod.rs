//! The proxies on this machine: found again when they are there, started when none serves, lent the listening sockets, told every table and setting.
//!
//! One proxy serves; others are there for a while: one that was told to end while the next takes its place, one that is frozen and may wake up again.
//! All of them are *members*: until its process is known to be gone, a member counts in every acknowledgement and every drain.
//!
//! - [`place`](mod@place): their folder, their sockets, their processes.
//! - [`crew`]: what is known of each, from moment to moment.
//! - [`keep`](mod@keep): one serves, always; who is superseded drains when its successor serves.
//! - [`tend`](mod@tend): one member, from its begin to the end of its process.
//!
//! **Invariant X1**: the listening sockets stay open here as well; a proxy that dies refuses nobody, connections wait for the next one.
//! **Invariant X2**: a controller that knows no service sends no table to a proxy that uses one: unknown is not empty (I8).
//! **Invariant X3**: a proxy is a member, on record, before it is lent a listening socket, and until its process is known to be gone
//! (`publication`; `sim` with `PlantedBug::ForgottenProxy`).
//! **Invariant X4**: a proxy drains only when another serves in its place (`tests/e2e/takeover.rs`).

mod counts;
mod crew;
mod keep;
mod place;
mod tend;

pub use counts::{ask_counts, counts_before, freshen};
pub use crew::{Crew, Member, Role};
pub use keep::{keep, listeners};
pub use place::{Place, ProxyUnavailable, kept_tables, newest_epoch};
