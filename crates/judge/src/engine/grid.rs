//! The odds ratios at which likelihood is kept.
//!
//! One grid for all metrics and all nulls: the logarithms are evenly spaced by the step of the 24 alternatives 1.1 … 100 of
//! JUDGE §1, and reach down to 0.05, so that the same sums serve FAIL, PASS and the interval.

use std::sync::LazyLock;

/// Points of the grid.
pub const GRID_LEN: usize = 44;

/// The distance of neighbours in ln ψ: ln(100 / 1.1) / 23.
pub const LOG_STEP: f64 = 0.196_080_869_834_076_8;

/// ln of the lowest ψ, 0.05.
pub const LOG_LOWEST: f64 = -2.995_732_273_553_991;

/// ln ψ of one point.
pub fn log_psi(index: usize) -> f64 {
    LOG_LOWEST + LOG_STEP * index as f64
}

/// ln ψ of every point, and ψ.
pub(super) static LOG_PSIS: LazyLock<[f64; GRID_LEN]> = LazyLock::new(|| std::array::from_fn(log_psi));
pub(super) static PSIS: LazyLock<[f64; GRID_LEN]> = LazyLock::new(|| LOG_PSIS.map(f64::exp));

/// The points whose ψ lies within a range, as indexes.
pub(super) fn points_within(log_low: f64, log_high: f64) -> std::ops::Range<usize> {
    let at_or_above = |log: f64| ((log - LOG_LOWEST) / LOG_STEP - 1e-9).ceil().clamp(0.0, GRID_LEN as f64) as usize;
    let start = at_or_above(log_low);
    let end = at_or_above(log_high + 1e-6 * LOG_STEP).max(start);
    start..end
}
