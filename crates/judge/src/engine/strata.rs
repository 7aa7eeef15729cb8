//! Windows that wait for more exposure, stratum by stratum.
//!
//! A stratum (a route, an instance's warm-up) is compared only with itself, so a mix that differs between the arms cancels: given the
//! margins of each stratum the likelihood is the product over strata of one ψ (Gart 1970).

use super::table::{Exposure, Table, Taken};
use serde::{Deserialize, Serialize};

/// Strata kept apart; further ones share the last.
pub const STRATA_MAX: usize = 64;

/// A window in which one arm had no exposure is kept open and joined with the next ones, at most so many: a candidate with
/// one request in a minute would otherwise never be compared.
pub const JOINED_WINDOWS_MAX: u32 = 300;

/// Windows with fewer exposures than this, of both arms together, are joined with the next ones, at most [`SMALL_WINDOWS_JOINED`]. Given its
/// margins a table of N exposures keeps about (N − 1)/N of what they say: of two requests a second, half. Whether to join depends
/// on exposures alone, never on events, so the test stays valid.
pub const SMALL_EXPOSURE: u64 = 10;

/// So many windows at most are joined because they are small: longer, and waiting would cost more than it saves.
pub const SMALL_WINDOWS_JOINED: u32 = 10;

/// A window is kept open only while no arm has had more exposure than this. An arm that is silent while the other takes
/// real traffic is not slow, it is out of load, and must not be compared with another time.
pub const JOINED_EXPOSURE_MAX: u64 = 500;

/// The windows of one stratum that wait, joined.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Open {
    table: Table,
    windows: u32,
}

/// What waits, by stratum.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Strata(Vec<Open>);

impl Strata {
    /// Joins a window with what waits in its stratum; the table to count is what is to be counted now, if anything is.
    pub fn join(&mut self, stratum: u16, window: &Table, exposure: Exposure) -> Result<Table, Taken> {
        let place = usize::from(stratum).min(STRATA_MAX - 1);
        if self.0.len() <= place {
            self.0.resize(place + 1, Open::default());
        }
        let open = &mut self.0[place];
        let mut table = open.table;
        table.add(window);
        if table.check(exposure) != Taken::Counted {
            let most = table.candidate.exposure.max(table.current.exposure);
            let keeps = open.windows < JOINED_WINDOWS_MAX && most <= JOINED_EXPOSURE_MAX;
            *open = if keeps { Open { table, windows: open.windows + 1 } } else { Open::default() };
            return Err(Taken::OneArmOnly);
        }
        let small = exposure == Exposure::Trials && table.candidate.exposure + table.current.exposure < SMALL_EXPOSURE;
        if small && open.windows + 1 < SMALL_WINDOWS_JOINED {
            *open = Open { table, windows: open.windows + 1 };
            return Err(Taken::Joined);
        }
        *open = Open::default();
        Ok(table)
    }
}
