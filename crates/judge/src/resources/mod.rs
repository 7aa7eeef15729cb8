//! Resources: guards that act at once, and slow comparisons of gauges.
//!
//! Gauge samples are autocorrelated, so they never enter the engine for counts. They are averaged over blocks long enough
//! to be nearly independent, and the default action on proof is to hold, not to roll back.

mod blocks;
mod guard;

pub use blocks::{BLOCK, BlockMeans, GaugeFinding, GaugeSettings};
pub use guard::{Guard, GuardAction, GuardSettings, Guards, InstanceEvent, InstanceEventKind};
