//! The special functions the engine needs, accurate over the counts it meets (0 to 10^9 and beyond).

/// ln √(2π).
const HALF_LN_TWO_PI: f64 = 0.918_938_533_204_672_8;

/// From here on Stirling's series with four terms is exact to the last bit or two (its next term is below 1e-16).
const STIRLING_FROM: f64 = 16.0;

/// ln Γ(x) for x > 0: Stirling's series (Abramowitz & Stegun 6.1.41), reached from small x by the recurrence
/// Γ(x + 1) = x Γ(x). Relative error below 1e-14; checked against SciPy in the fixtures.
pub fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut product) = (x, 1.0);
    while x < STIRLING_FROM {
        product *= x;
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse
        * (1.0 / 12.0 + square * (-1.0 / 360.0 + square * (1.0 / 1260.0 + square * (-1.0 / 1680.0 + square / 1188.0))));
    let shift = if product == 1.0 { 0.0 } else { product.ln() };
    (x - 0.5) * x.ln() - x + HALF_LN_TWO_PI + series - shift
}

/// ln of the binomial coefficient "n over k" for 0 ≤ k ≤ n.
pub fn ln_choose(n: f64, k: f64) -> f64 {
    ln_gamma(n + 1.0) - ln_gamma(k + 1.0) - ln_gamma(n - k + 1.0)
}

/// ln B(a, b), the beta function, for a, b > 0.
pub fn ln_beta(a: f64, b: f64) -> f64 {
    ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b)
}

/// ln Σ exp(values), without overflow; −∞ for no values.
pub fn log_sum_exp(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let highest = values.clone().fold(f64::NEG_INFINITY, f64::max);
    if !highest.is_finite() {
        return highest;
    }
    highest + values.map(|value| (value - highest).exp()).sum::<f64>().ln()
}

/// kl(p ‖ q) = p ln(p/q) + (1−p) ln((1−p)/(1−q)) of two Bernoulli laws, in nats; 0 ln 0 = 0.
pub fn kl_bernoulli(p: f64, q: f64) -> f64 {
    let part = |a: f64, b: f64| if a <= 0.0 { 0.0 } else { a * (a / b).ln() };
    (part(p, q) + part(1.0 - p, 1.0 - q)).max(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_gamma_agrees_with_factorials_and_the_half() {
        let mut factorial = 0.0;
        for n in 1..200 {
            assert!((ln_gamma(f64::from(n)) - factorial).abs() < 1e-11 * f64::max(1.0, factorial), "n = {n}");
            factorial += f64::from(n).ln();
        }
        assert!((ln_gamma(0.5) - std::f64::consts::PI.sqrt().ln()).abs() < 1e-14);
    }

    #[test]
    fn log_sum_exp_survives_what_exp_does_not() {
        let values = [-1e6, -1e6 + 1.0];
        assert!((log_sum_exp(values.iter().copied()) - (-1e6 + (1.0 + 1f64.exp()).ln())).abs() < 1e-9);
        assert_eq!(log_sum_exp(std::iter::empty()), f64::NEG_INFINITY);
    }
}
