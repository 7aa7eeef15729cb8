//! Evidence in blocks of seconds, none of which may prove anything alone.
//!
//! Events of ten seconds often have one cause: a burst, an outage that begins a moment earlier here than there. So what one block
//! may multiply the evidence by is bounded. With X ≥ 0 the likelihood ratio of a block, E(min(X, c)) ≤ E(X) ≤ 1, so the product of the bounded
//! ratios is still a supermartingale; and since min(·, c) is concave and rises, so is what is read in mid-block (Jensen). c
//! may be anything known before the block's events.
//!
//! A block begins with the first window that has an event, which is a stopping time: what begins out of quiet is never cut in two.

use super::grid::{GRID_LEN, LOG_PSIS, PSIS};
use super::side::Side;
use serde::{Deserialize, Serialize};

/// The length of a block, in milliseconds.
pub const BLOCK_MS: u64 = 10_000;

/// What a block may add to ln E, unless a single event alone would add more: at a small share of the candidate, where three bursts in a row
/// hardly all fall on it, and at a large one, where they may.
pub const BLOCK_GAIN_MAX: (f64, f64) = (1.7, 1.25);

/// The shares up to and from which these hold; in between lies a straight line.
const GAIN_SHARES: (f64, f64) = (0.15, 0.25);

/// The bound at a ratio of the exposures, candidate over current release.
pub(super) fn gain_max(ratio: f64) -> f64 {
    let share = ratio / (1.0 + ratio);
    let place = ((share - GAIN_SHARES.0) / (GAIN_SHARES.1 - GAIN_SHARES.0)).clamp(0.0, 1.0);
    BLOCK_GAIN_MAX.0 + (BLOCK_GAIN_MAX.1 - BLOCK_GAIN_MAX.0) * place
}

/// The block being filled.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(super) struct Block {
    /// When its first window ended; `None`: no event since the last block.
    started_ms: Option<u64>,
    /// The ratio of the exposures when it began.
    ratio: f64,
    /// Σ ll(ψ_j) − ll(ψ0) since then, for the points of the grid and then for ψ1; empty without events.
    sums: Vec<f64>,
}

impl Block {
    /// Whether it is over at this time.
    pub fn is_over(&self, now_ms: u64) -> bool {
        self.started_ms.is_some_and(|started| now_ms.saturating_sub(started) >= BLOCK_MS)
    }

    /// Adds the likelihood of a window with events.
    pub fn add(&mut self, now_ms: u64, ratio: f64, gains: &[f64]) {
        if self.started_ms.is_none() {
            (self.started_ms, self.ratio) = (Some(now_ms), ratio);
            self.sums.clear();
            self.sums.resize(GRID_LEN + 1, 0.0);
        }
        self.sums.iter_mut().zip(gains).for_each(|(sum, gain)| *sum += gain);
    }

    /// Ends it.
    pub fn clear(&mut self) {
        self.started_ms = None;
        self.sums.clear();
    }

    /// The sums, where there is an event.
    pub fn sums(&self) -> Option<&[f64]> {
        (self.sums.len() > GRID_LEN).then_some(&self.sums[..])
    }

    /// What this block adds to the ln of each alternative's evidence against a null.
    pub fn gains(&self, side: &Side, null_sum: f64, out: &mut [f64]) {
        let Some(sums) = self.sums() else {
            out.fill(0.0);
            return;
        };
        let most = gain_max(self.ratio);
        let base = 1.0 + side.log_null.exp() * self.ratio;
        for ((place, point), gain) in side.points().enumerate().zip(out) {
            let share = side.count(place);
            // One event alone is never a burst: what it says by itself always counts.
            let shrunk = ((1.0 + PSIS[point] * self.ratio) / base).ln();
            let one_event = if side.rises() { LOG_PSIS[point] - side.log_null - shrunk } else { -shrunk };
            let cap = most.max(one_event * share);
            *gain = ((sums[point] - null_sum) * share).min(cap);
        }
    }

    /// What it may add where no single event is looked at.
    pub fn gain_max(&self) -> f64 {
        gain_max(self.ratio)
    }

    /// ψ1's sum.
    pub fn pass_null_sum(&self) -> f64 {
        self.sums().map_or(0.0, |sums| sums[GRID_LEN])
    }
}

/// ln of each alternative's evidence over the blocks that are over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Track {
    fail: Vec<f64>,
    pass: Vec<f64>,
}

impl Track {
    pub fn new(fail: &Side, pass: &Side) -> Track {
        Track { fail: vec![0.0; fail.points().len()], pass: vec![0.0; pass.points().len()] }
    }

    /// A track from a file may have any length.
    pub fn fit(&mut self, fail: &Side, pass: &Side) {
        self.fail.resize(fail.points().len(), 0.0);
        self.pass.resize(pass.points().len(), 0.0);
    }

    /// Takes a block that is over.
    pub fn close(&mut self, block: &Block, fail: &Side, pass: &Side) {
        let mut gains = [0.0; GRID_LEN];
        block.gains(fail, 0.0, &mut gains[..self.fail.len()]);
        self.fail.iter_mut().zip(&gains).for_each(|(sum, gain)| *sum += gain);
        block.gains(pass, block.pass_null_sum(), &mut gains[..self.pass.len()]);
        self.pass.iter_mut().zip(&gains).for_each(|(sum, gain)| *sum += gain);
    }

    /// ln E against ψ ≤ ψ0.
    pub fn fail_log_evidence(&self, block: &Block, side: &Side) -> f64 {
        evidence(&self.fail, block, side, 0.0)
    }

    /// ln E′ against ψ ≥ ψ1.
    pub fn pass_log_evidence(&self, block: &Block, side: &Side) -> f64 {
        evidence(&self.pass, block, side, block.pass_null_sum())
    }
}

fn evidence(closed: &[f64], block: &Block, side: &Side, null_sum: f64) -> f64 {
    let mut gains = [0.0; GRID_LEN];
    let gains = &mut gains[..closed.len()];
    block.gains(side, null_sum, gains);
    gains.iter_mut().zip(closed).for_each(|(gain, closed)| *gain += closed);
    side.mixture(gains)
}
