//! One null with the alternatives beyond it: evidence as a mixture of likelihood ratios.

use std::ops::Range;

use super::grid::{GRID_LEN, log_psi};
use super::lanes::{self, vectorised};
use crate::dispersion::Dispersion;

/// The grid's length, rounded up so that vectors fill it.
const PLACES: usize = GRID_LEN.next_multiple_of(lanes::WIDTH);

/// ln of evidence that adds nothing to any sum: two parts in a thousand million.
const NEGLIGIBLE: f64 = -20.0;

/// The weights of alternatives by their place, counted from the null, up to a factor; 0 beyond the last.
#[derive(Debug, PartialEq)]
pub(super) struct Prior([f64; PLACES]);

impl Prior {
    pub(super) const fn of(weights: &[f64]) -> Prior {
        let mut places = [0.0; PLACES];
        let (first, _) = places.split_at_mut(weights.len());
        first.copy_from_slice(weights);
        Prior(places)
    }
}

/// The alternatives to one null, with what does not depend on what was seen. Small: a judge has many, and goes through them every second.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Side {
    /// ln of the null.
    pub(super) log_null: f64,
    /// The points of the grid, and whether they lie above the null.
    alternatives: Range<usize>,
    rises: bool,
    prior: &'static Prior,
    /// ln of the sum of the weights, and of the least of them as a share of it.
    log_whole: f64,
    log_least: f64,
    /// By place, counted from the null: the share of the log likelihood ratio that counts, 1/d.
    counts: Box<[f64]>,
}

impl Side {
    pub(super) fn new(
        log_null: f64,
        alternatives: Range<usize>,
        prior: &'static Prior,
        dispersion: &Dispersion,
    ) -> Side {
        let rises = alternatives.start < GRID_LEN && log_psi(alternatives.start) > log_null;
        // Neighbours are one step apart, so only the first distance has to be measured.
        let nearest = if rises { alternatives.start } else { alternatives.end.saturating_sub(1) };
        let first = dispersion.steps_of_distance(log_psi(nearest) - log_null);
        let mut counts = vec![0.0; alternatives.len().next_multiple_of(lanes::WIDTH)];
        for (place, count) in counts.iter_mut().take(alternatives.len()).enumerate() {
            *count = 1.0 / dispersion.for_steps(first + place);
        }
        let weights = &prior.0[..alternatives.len()];
        let log_whole = weights.iter().sum::<f64>().ln();
        let log_least = weights.iter().copied().fold(f64::INFINITY, f64::min).ln() - log_whole;
        Side { log_null, alternatives, rises, prior, log_whole, log_least, counts: counts.into() }
    }

    /// The points of the grid, the nearest to the null first.
    pub(super) fn points(&self) -> impl ExactSizeIterator<Item = usize> + '_ {
        let Range { start, end } = self.alternatives;
        (0..end.saturating_sub(start)).map(move |place| if self.rises { start + place } else { end - 1 - place })
    }

    /// Whether the alternatives lie above the null.
    pub(super) fn rises(&self) -> bool {
        self.rises
    }

    /// The share of the log likelihood ratio that counts, by place.
    pub(super) fn count(&self, place: usize) -> f64 {
        self.counts[place]
    }

    /// ln Σ_k π_k exp(gain_k), the gains by place; 0 without alternatives. Below [`NEGLIGIBLE`] a lower bound is told, as if the
    /// greatest exponent had the least weight: a busy healthy release is there after seconds, and stays there.
    pub(super) fn mixture(&self, gains: &[f64]) -> f64 {
        if gains.is_empty() {
            return 0.0;
        }
        let mut padded = [f64::NEG_INFINITY; PLACES];
        padded[..gains.len()].copy_from_slice(gains);
        weigh(&padded[..self.counts.len()], self)
    }
}

vectorised! {
    fn weigh(gains: &[f64], side: &Side) -> f64 {
        let highest = lanes::highest(gains);
        if highest < NEGLIGIBLE {
            return highest + side.log_least;
        }
        highest + lanes::weighted_sum(gains, highest, &side.prior.0[..gains.len()]).ln() - side.log_whole
    }
}
