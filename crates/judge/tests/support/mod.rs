//! The scripted world of the scenarios: a text file becomes rollouts, second by second.

#[path = "../../../../xtask/src/bench/judge/chance.rs"]
pub mod chance;
pub mod script;
pub mod world;
