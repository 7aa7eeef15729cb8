//! Open-loop load with a ledger of every request's fate, and the sample service it is aimed at.
//!
//! Two halves that know nothing of Gapless itself, so that they can judge it (and its peers) from outside:
//!
//! - [`Plan`] and [`Run`]: clients that send on a fixed schedule whatever the answers do, each request with an id of its own, and
//!   a [`Sums`] at the end that says what became of every one of them. The HTTP/1.1 here is deliberately not the proxy's codec: a
//!   fault in that codec must not be able to hide itself.
//! - [`sample`]: a small service that answers with its release's label, writes down which ids it has seen, ends gracefully on
//!   SIGTERM, and can be told to misbehave in the ways real services do.
//!
//! What it refuses to know: rollouts, routing tables, how the target is built.
//!
//! Invariants:
//! 1. Every scheduled request ends in exactly one [`Fate`] (`tests/ledger.rs`, `the_fates_add_up_to_what_was_scheduled`).
//! 2. Load goes to loopback addresses only, and is bounded in rate, time and number ([`PlanError`]).
//! 3. A request is repeated only where the plan's [`Reuse`] says so, and each repetition is counted.
//! 4. Latency counts from the *scheduled* time: a stalled target cannot make its own stall invisible by keeping the clients waiting
//!    (Gil Tene's "coordinated omission").

mod client;
mod http;
mod latencies;
mod ledger;
mod plan;
pub mod sample;
mod seen;
mod websocket;

pub use client::{Run, RunError};
pub use latencies::Quantiles;
pub use ledger::{Fate, Incident, Sums, WebSocketSums};
pub use plan::{Connections, DURATION_MAX, Kind, Offer, Plan, PlanError, Reuse, Stream};
pub use seen::{Seen, SeenError};

/// The request header that carries the id; answers echo it, so that a crossed answer is found out.
pub const ID_HEADER: &str = "x-load-id";

/// The answer header that names the release which answered.
pub const RELEASE_HEADER: &str = "x-release";
/// The header in which a load balancer says why it answered itself.
pub const REASON_HEADER: &str = "x-gapless-reason";

/// The environment variable with the path of the file in which instances write the ids they have executed, one per line.
pub const SEEN_ENV: &str = "SAMPLE_SEEN_FILE";
