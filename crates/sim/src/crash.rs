//! Crashes of the controller, before and after every record.

use crate::outcome::Outcome;
use crate::script::{Knobs, Script};
use crate::world::run;

/// Where the controller dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrashPoint {
    /// At which record, counted from 1.
    pub record: u64,
    /// On which side of it.
    pub side: Side,
    /// For how many milliseconds there is no controller.
    pub away: u64,
}

/// A side of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The record is not durable: the news is lost with the controller.
    Before,
    /// The record is durable and nothing of it was performed.
    After,
}

/// Plays the script without a crash, then once for each side of each record of that run. Gives the run without a crash and all others.
#[must_use]
pub fn crash_everywhere(script: &Script, seed: u64, away: u64) -> (Outcome, Vec<(CrashPoint, Outcome)>) {
    let calm = run(script, seed);
    let mut crashed = Vec::new();
    for record in 1..=calm.records {
        for side in [Side::Before, Side::After] {
            let point = CrashPoint { record, side, away };
            let knobs = Knobs { crash: Some(point), ..script.knobs.clone() };
            crashed.push((point, run(&Script { knobs, ..script.clone() }, seed)));
        }
    }
    (calm, crashed)
}
