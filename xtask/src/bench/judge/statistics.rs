//! The statistics the tables need.

use gapless_judge::special::{ln_choose, log_sum_exp};

/// The upper one-sided Clopper–Pearson bound of a probability, of which `hits` of `trials` were seen: the p at which so
/// few hits have probability `error`.
pub fn clopper_pearson_upper(hits: u64, trials: u64, error: f64) -> f64 {
    if hits >= trials {
        return 1.0;
    }
    let ln_below = |p: f64| {
        let term = |k: u64| ln_choose(trials as f64, k as f64) + k as f64 * p.ln() + (trials - k) as f64 * (-p).ln_1p();
        log_sum_exp((0..=hits).map(term))
    };
    let (mut low, mut high) = (hits as f64 / trials as f64, 1.0);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if ln_below(middle.clamp(1e-12, 1.0 - 1e-12)) > error.ln() {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The ends of the 99 % interval of the median of sorted values, by order statistics: the count of values below the
/// median is binomial with p = ½, here in its normal approximation. `None` of nothing.
pub fn median_interval(sorted: &[f64]) -> Option<(f64, f64)> {
    let count = sorted.len() as f64;
    let reach = 2.576 * count.sqrt() / 2.0;
    let lower = ((count / 2.0 - reach).floor() - 1.0).max(0.0) as usize;
    let upper = ((count / 2.0 + reach).ceil() as usize).min(sorted.len().checked_sub(1)?);
    Some((sorted[lower], sorted[upper]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hit_has_the_bound_in_closed_form() {
        let bound = clopper_pearson_upper(0, 500, 0.01);
        assert!((bound - (1.0 - 0.01_f64.powf(1.0 / 500.0))).abs() < 1e-9, "{bound}");
        // SciPy: stats.beta.ppf(0.99, 6, 995) = 0.0130554
        let bound = clopper_pearson_upper(5, 1_000, 0.01);
        assert!((bound - 0.013_055_4).abs() < 1e-6, "{bound}");
    }

    #[test]
    fn the_interval_of_the_median_is_by_ranks() {
        let values: Vec<f64> = (0..100).map(f64::from).collect();
        // SciPy: stats.binom.cdf(36, 100, .5) = 0.0033 on either side.
        assert_eq!(median_interval(&values), Some((36.0, 63.0)));
        assert_eq!(median_interval(&[]), None);
    }
}
