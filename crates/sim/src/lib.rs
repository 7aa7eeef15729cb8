//! The deterministic world: a virtual clock, fake processes, fake proxies with the real routing table, a controller that is the shipped
//! `gapless_fleet` over a store in memory, faults, seeds.
//!
//! Owns: what happens around the service machine, from one number. Refuses to know: real time, sockets, processes.
//!
//! Everything random is drawn from one seed and every event has its place in one queue, so that a seed replays exactly:
//! `cargo xtask sim --seed N`. After every event the invariants of the design are checked ([`Violation`]); a run that breaks one
//! says which, when, and what had happened until then.
//!
//! **Invariant S1**: the same [`Script`] and seed give the same [`Outcome`] (test `a_seed_replays_exactly`).
//! **Invariant S2**: the suite can fail: each planted bug of `gapless_rollout::PlantedBug` is caught by it (test `planted`).

mod agenda;
mod chance;
mod controller;
mod crash;
mod explained;
mod fleet;
mod invariants;
mod one_offs;
mod outcome;
mod perform;
mod proxy;
mod random;
mod releases;
mod script;
mod sweep;
mod traffic;
mod world;

pub use chance::Chance;
pub use crash::{CrashPoint, Side, crash_everywhere};
pub use outcome::{Outcome, RolloutEnd, Violation};
pub use random::random_script;
pub use releases::{Hooks, ReleaseShape, release};
pub use script::{Fault, Knobs, Order, Quality, Script, TwistEffect};
pub use sweep::{SweepFailed, run_seed, sweep};
pub use world::run;
