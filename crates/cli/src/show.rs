//! How answers are shown to people: pure functions from what the API says to text.

pub mod event;
pub mod explain;
mod harmless;
pub mod history;
pub mod plan;
pub mod ps;
pub mod receipt;
pub mod releases;
pub mod status;
pub mod style;
mod table;
#[cfg(test)]
mod tests;

use gapless_model::Millis;
use gapless_wire::api::{RolloutState, TimeToRollBack};

pub use self::harmless::harmless;
use self::style::Paint;

/// An age or duration, coarse enough to read at a glance: below a minute to the tenth of a second, above to the second.
fn length(ms: u64) -> String {
    let rounded = if ms < 1_000 {
        ms
    } else if ms < 60_000 {
        ms / 100 * 100
    } else {
        ms / 1_000 * 1_000
    };
    Millis(rounded).to_string()
}

fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= 1_024.0 && unit < UNITS.len() - 1 {
        value /= 1_024.0;
        unit += 1;
    }
    if unit == 0 { format!("{bytes}B") } else { format!("{value:.1}{}", UNITS[unit]) }
}

fn going_back(time: TimeToRollBack) -> String {
    match time {
        TimeToRollBack::Impossible => "nothing to go back to".to_owned(),
        TimeToRollBack::OneTable => "one table change".to_owned(),
        TimeToRollBack::Restart { expected_ms } => {
            format!("about {}, its instances have to start", length(expected_ms))
        }
    }
}

fn paint_of(state: RolloutState) -> Paint {
    match state {
        RolloutState::Done => Paint::Good,
        RolloutState::RolledBack | RolloutState::NeedsOperator => Paint::Bad,
        RolloutState::Queued | RolloutState::Running | RolloutState::Superseded | RolloutState::Other => Paint::Busy,
    }
}
