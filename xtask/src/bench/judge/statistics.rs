//! The two statistics the tables need.

use gapless_judge::special::{ln_choose, log_sum_exp};

/// The upper one-sided 99 % Clopper–Pearson bound of a probability, of which `hits` of `trials` were seen: the p at which so
/// few hits have probability 1 %.
pub fn clopper_pearson_upper(hits: u64, trials: u64) -> f64 {
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
        if ln_below(middle.clamp(1e-12, 1.0 - 1e-12)) > 0.01_f64.ln() {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The median; `None` of nothing.
pub fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        count if count % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_hit_has_the_bound_in_closed_form() {
        let bound = clopper_pearson_upper(0, 500);
        assert!((bound - (1.0 - 0.01_f64.powf(1.0 / 500.0))).abs() < 1e-9, "{bound}");
        // SciPy: stats.beta.ppf(0.99, 6, 995) = 0.0130554
        assert!((clopper_pearson_upper(5, 1_000) - 0.013_055_4).abs() < 1e-6, "{}", clopper_pearson_upper(5, 1_000));
    }

    #[test]
    fn the_median_of_two_lies_between() {
        assert_eq!(median(&mut [3.0, 1.0]), Some(2.0));
        assert_eq!(median(&mut []), None);
    }
}
