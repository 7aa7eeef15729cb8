//! The confidence sequence of ψ: what the same capped blocks do not exclude, at every moment.
//!
//! Against each point of the grid as a null stands a predictive mixture: the alternatives on one side of it, weighed by what the blocks
//! before said (a likelihood that is fixed before each block: Robbins & Siegmund 1974; Waudby-Smith & Ramdas 2024, §4).
//! The weights are known before the block, so the expectation of its mixture under the null is at most one, and bounding it by c
//! keeps that ([`super::block`]).

use super::block::Block;
use super::grid::{GRID_LEN, LOG_STEP, log_psi};
use super::lanes::{self, vectorised};
use crate::dispersion::Dispersion;
use serde::{Deserialize, Serialize};

/// An estimate with its anytime-valid interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The ψ of the highest likelihood, within the grid.
    pub estimate: f64,
    /// ψ below are excluded; 0 where none is.
    pub lower: f64,
    /// ψ above are excluded; `None` where none is.
    pub upper: Option<f64>,
}

/// Of the interval's error each side has this part; the rest is for the null of FAIL, which is excluded by FAIL's own test.
pub const SIDE_SHARE: f64 = 0.125;

/// ln E against "ψ is at most the point" and "ψ is at least the point", for each point of the grid.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Sequence {
    above: Vec<f64>,
    below: Vec<f64>,
}

impl Default for Sequence {
    fn default() -> Self {
        Sequence { above: vec![0.0; GRID_LEN], below: vec![0.0; GRID_LEN] }
    }
}

impl Sequence {
    /// A sequence from a file may have any length.
    pub fn fit(&mut self) {
        self.above.resize(GRID_LEN, 0.0);
        self.below.resize(GRID_LEN, 0.0);
    }

    /// Takes a block that is over; `sums` is what was seen before it.
    pub fn close(&mut self, block: &Block, sums: &[f64], dispersion: &Dispersion) {
        let gains = Gains::of(block, sums, dispersion);
        self.above.iter_mut().zip(&gains.above).for_each(|(sum, gain)| *sum += gain);
        self.below.iter_mut().zip(&gains.below).for_each(|(sum, gain)| *sum += gain);
    }

    /// What is not excluded at an error of `alpha`, of which each side here has its [`SIDE_SHARE`].
    pub fn bounds(&self, block: &Block, sums: &[f64], dispersion: &Dispersion, alpha: f64) -> (f64, Option<f64>) {
        let threshold = (1.0 / (alpha * SIDE_SHARE)).ln();
        let gains = Gains::of(block, sums, dispersion);
        let above: Vec<f64> = self.above.iter().zip(&gains.above).map(|(a, b)| a + b - threshold).collect();
        let below: Vec<f64> = self.below.iter().zip(&gains.below).map(|(a, b)| a + b - threshold).collect();
        // Evidence against a null falls as the null nears the estimate; between two points the line is taken.
        let crossing = |excluded: f64, kept: f64| (excluded / (excluded - kept)).clamp(0.0, 1.0);
        let lower = (0..GRID_LEN - 1)
            .rev()
            .find(|i| above[*i] >= 0.0 && above[i + 1] < 0.0)
            .map_or(0.0, |i| (log_psi(i) + LOG_STEP * crossing(above[i], above[i + 1])).exp());
        let upper = (1..GRID_LEN)
            .find(|i| below[*i] >= 0.0 && below[i - 1] < 0.0)
            .map(|i| (log_psi(i) - LOG_STEP * crossing(below[i], below[i - 1])).exp());
        (lower, upper)
    }
}

/// What a block adds against each null.
struct Gains {
    above: [f64; GRID_LEN],
    below: [f64; GRID_LEN],
}

impl Gains {
    fn of(block: &Block, before: &[f64], dispersion: &Dispersion) -> Gains {
        let mut gains = Gains { above: [0.0; GRID_LEN], below: [0.0; GRID_LEN] };
        let Some(sums) = block.sums() else { return gains };
        // By how many steps of the grid two points are apart; the places beyond the grid have no weight.
        let mut shares = [0.0; PLACES];
        for (steps, share) in shares.iter_mut().enumerate() {
            *share = 1.0 / dispersion.for_steps(steps);
        }
        let (mut padded, mut weights) = ([0.0; PLACES], [0.0; PLACES]);
        padded[..GRID_LEN].copy_from_slice(&sums[..GRID_LEN]);
        let highest = before[..GRID_LEN].iter().copied().fold(f64::NEG_INFINITY, f64::max);
        for (weight, sum) in weights.iter_mut().zip(&before[..GRID_LEN]) {
            // A little of the flat weight is kept, so that what was ruled out too soon can come back.
            *weight = lanes::exp((sum - highest) * shares[0]) + 1e-3;
        }
        predict(&padded, &weights, &shares, &mut gains);
        for gain in gains.above.iter_mut().chain(&mut gains.below) {
            *gain = gain.min(block.gain_max());
        }
        gains
    }
}

/// The grid's length, rounded up so that vectors fill it.
const PLACES: usize = GRID_LEN.next_multiple_of(lanes::WIDTH);

/// A gain in nats beyond every bound of a block, even with the least of all weights: so much is enough to know of it.
const BEYOND: f64 = 40.0;

vectorised! {
    /// ln of the mixtures of the alternatives above and below each null.
    fn predict(sums: &[f64; PLACES], weights: &[f64; PLACES], shares: &[f64; PLACES], gains: &mut Gains) {
        for (null, of_null) in sums[..GRID_LEN].iter().enumerate() {
            let mut mixed = [0.0; PLACES];
            for (k, ((mixed, sum), weight)) in mixed.iter_mut().zip(sums).zip(weights).enumerate() {
                let gain = (sum - of_null) * shares[k.abs_diff(null)] - BEYOND;
                *mixed = weight * lanes::exp(if gain < 0.0 { gain } else { 0.0 });
            }
            let log_mean = |mixed: &[f64], weights: &[f64]| {
                let whole = weights.iter().sum::<f64>();
                if whole > 0.0 { (mixed.iter().sum::<f64>() / whole).ln() + BEYOND } else { 0.0 }
            };
            gains.above[null] = log_mean(&mixed[null + 1..], &weights[null + 1..]);
            gains.below[null] = log_mean(&mixed[..null], &weights[..null]);
        }
    }
}
