//! How burstily events come on a route by itself.
//!
//! Of an hour's few errors each route has one or two, which show nothing of how they come; all routes together do, if on each of them the instances
//! are compared only with each other. What this measures is the burstiness within routes, and it serves the tests of single routes
//! alone: a failure of an instance that hits all its routes at once is a burst for all of them together, and for each of them a lone error.

use crate::dispersion::{Dispersion, DispersionEstimate};
use crate::series::ROUTES_MAX;
use std::collections::BTreeMap;

/// Estimates up to here count as one by one. More is allowed than elsewhere: on one route a block of ten seconds counts as a single event
/// unless it speaks for longer, so what clusters within ten seconds is bounded whatever the dispersion, and an hour's thirty lone
/// errors leave 1.3 of the prior.
const NEGLIGIBLE: f64 = 1.35;

/// Events of each instance out of exposures, by route.
pub(super) type RowsByRoute = BTreeMap<u16, Vec<(u64, u64)>>;

/// One metric's routes.
#[derive(Debug, Clone, Default)]
pub(super) struct Routes {
    estimates: BTreeMap<u16, DispersionEstimate>,
    windows: u64,
}

impl Routes {
    /// Takes one second. While there is only one route there is nothing to measure that is not measured already.
    pub fn handle_second(&mut self, rows: &RowsByRoute) {
        let known = self.estimates.len();
        if known == 0 && rows.len() < 2 {
            self.windows += 1;
            return;
        }
        for route in rows.keys().take(ROUTES_MAX.saturating_sub(known)) {
            let beginning = || DispersionEstimate::beginning_after(self.windows);
            self.estimates.entry(*route).or_insert_with(beginning);
        }
        for (route, estimate) in &mut self.estimates {
            match rows.get(route) {
                Some(row) => estimate.handle_window(row),
                None => estimate.handle_quiet_windows(&[], 1),
            }
        }
        self.windows += 1;
    }

    /// Of all routes together; `None` where there is but one.
    pub fn dispersion(&self) -> Option<Dispersion> {
        let mut pooled = DispersionEstimate::default();
        self.estimates.values().for_each(|estimate| pooled.pool(estimate));
        let dispersion = pooled.dispersion();
        let negligible = dispersion.index() <= NEGLIGIBLE;
        (self.estimates.len() > 1).then(|| if negligible { Dispersion::none() } else { dispersion })
    }
}
