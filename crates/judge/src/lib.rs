//! The judge: is the candidate worse than the current release over the same time, and is that proven?
//!
//! Owns: the sequential tests and what is concluded from them: verdict, intervals, evidence, what could be seen at all.
//! Refuses to know: clocks, I/O, chance, where samples come from, and what a rollout does about a verdict.
//!
//! The way of a sample: [`series`] (instances, second by second) → [`Window`] (both arms over the same seconds) → one [`engine`] per metric → [`combination`] by
//! weights fixed in advance → the table of [`verdict`] → [`evidence`] for people.
//!
//! Invariants, and where they are tested:
//! - **J1** While the candidate is no worse than tolerated, P(ever `Fail`) ≤ α, at any stopping time (`cargo xtask bench
//!   judge`; by enumeration in `tests/engine.rs`).
//! - **J2** No data is never success and never failure (`tests/verdicts.rs`, `tests/bad_input.rs`).
//! - **J3** The state has a fixed bound and survives serialisation in mid-stream with the same verdicts (`tests/state.rs`).
//! - **J4** No input panics (`tests/bad_input.rs`).

mod arm;
pub mod clients;
pub mod combination;
pub mod dispersion;
pub mod engine;
pub mod evidence;
pub mod headline;
pub mod host;
mod judge;
pub mod latency;
pub mod log_evidence;
pub mod log_history;
pub mod logs;
pub mod past;
pub mod plan;
pub mod planner;
pub mod replay;
pub mod resources;
pub mod series;
pub mod signatures;
pub mod special;
pub mod verdict;
mod window;

pub use arm::{Arm, Arms};
// Time is an argument of everything here; callers need no further crate for it.
pub use evidence::Evidence;
pub use gapless_model::{Millis, Tick};
pub use judge::Judge;
pub use plan::{MetricId, MetricKind, MetricPlan, Plan, Settings};
pub use verdict::Verdict;
pub use window::{LogCount, MetricWindow, Window};
