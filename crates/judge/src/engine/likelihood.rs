//! The conditional log-likelihood of the odds ratio ψ in one window, whatever the base rate.
//!
//! Given the margins of the 2×2 table, the candidate's events x_C follow Fisher's noncentral hypergeometric law
//! (Fisher 1935; McCullagh & Nelder 1989, §7.3.2), in which the base rate does not occur:
//!
//! ```text
//! ll(ψ) = x_C ln ψ − ln Z(ψ),    Z(ψ) = Σ_x C(n_C, x) C(n_B, m−x) ψ^x
//! ```
//!
//! Assumed: within one window, and given the base rate, exposures fail independently. What breaks that (bursts) is the
//! business of [`crate::dispersion`].

use super::grid::GRID_LEN;
use super::lanes::{self, vectorised};
use super::laplace::Laplace;
use super::table::{Exposure, Table};
use crate::special::ln_gamma;

/// Up to so many terms Z is summed as a polynomial. Some ψ lie up to e^±2.6 from the one in their middle, and e^(2.6 × 256)
/// stays within the range of f64.
const TERMS_MAX: usize = 256;

/// Up to so many terms one scale serves all ψ: 230^96 (the highest grid value) stays far within the range of f64.
const SHORT_TERMS_MAX: usize = 97;

/// So many neighbouring ψ are taken together where they share a scale.
const TOGETHER: usize = 16;

/// All ψ of a window, rounded up so that vectors fill it. Their sums stay in registers while the terms go by, and none waits for another.
const ALL: usize = (GRID_LEN + 2).next_multiple_of(lanes::WIDTH);

vectorised! {
    /// Writes ll(ψ) for each ψ (given with its logarithm) into `out`, up to one constant common to all ψ.
    pub(super) fn log_likelihood(table: &Table, exposure: Exposure, psis: &[f64], log_psis: &[f64], out: &mut [f64]) {
        debug_assert!(psis.len() == log_psis.len() && psis.len() == out.len(), "BUG: grids of different length");
        let events = table.events();
        match exposure {
            Exposure::Time => rare(table, psis, log_psis, out),
            Exposure::Trials => {
                let lowest = events.saturating_sub(table.current.exposure);
                let highest = events.min(table.candidate.exposure);
                if highest - lowest < SHORT_TERMS_MAX as u64 {
                    short_polynomial(table, lowest, highest, psis, log_psis, out);
                } else if highest - lowest < TERMS_MAX as u64 {
                    long_polynomial(table, lowest, highest, psis, log_psis, out);
                } else {
                    wide(table, lowest as f64, highest as f64, psis, log_psis, out);
                }
            }
        }
    }
}

/// The rare form: x_C ln ψ − m ln(1 + ψ w), w = n_C / n_B. Exact for Poisson counts (Przyborowski & Wilenski 1940),
/// where ψ is the ratio of the rates.
#[inline(always)]
fn rare(table: &Table, psis: &[f64], log_psis: &[f64], out: &mut [f64]) {
    let ratio = table.candidate.exposure as f64 / table.current.exposure as f64;
    let (candidate, events) = (table.candidate.events as f64, table.events() as f64);
    for ((psi, log_psi), out) in psis.iter().zip(log_psis).zip(out) {
        *out = candidate * log_psi - events * lanes::ln(1.0 + psi * ratio);
    }
}

/// Z as a polynomial in ψ, by Horner's rule for some ψ at once. The coefficients are scaled so that the largest is 1: what underflows then
/// weighs less than 1e-80 at every ψ of the grid.
#[inline(always)]
fn short_polynomial(table: &Table, lowest: u64, highest: u64, psis: &[f64], log_psis: &[f64], out: &mut [f64]) {
    let terms = (highest - lowest) as usize + 1;
    let (mut steps, mut coefficients) = ([0.0; SHORT_TERMS_MAX], [0.0; SHORT_TERMS_MAX]);
    let (steps, coefficients) = (&mut steps[..terms - 1], &mut coefficients[..terms]);
    let shape = Shape::of(table);
    shape.steps(steps, lowest);
    shape.scale(steps, coefficients, lowest, 1.0);
    let above_lowest = (table.candidate.events - lowest) as f64;
    for (log_psis, (psis, out)) in log_psis.chunks(ALL).zip(psis.chunks(ALL).zip(out.chunks_mut(ALL))) {
        let mut all = [1.0; ALL];
        all[..psis.len()].copy_from_slice(psis);
        let mut sums = horner(coefficients, &all);
        for sum in &mut sums {
            *sum = lanes::ln(*sum);
        }
        for ((out, log_psi), sum) in out.iter_mut().zip(log_psis).zip(&sums) {
            *out = above_lowest * log_psi - sum;
        }
    }
}

/// The same where one scale does not serve all ψ: in ψ/ψ_c, ψ_c lying in the middle of those that are taken at once.
#[inline(always)]
fn long_polynomial(table: &Table, lowest: u64, highest: u64, psis: &[f64], log_psis: &[f64], out: &mut [f64]) {
    let terms = (highest - lowest) as usize + 1;
    let (mut steps, mut coefficients, mut log_weights) = ([0.0; TERMS_MAX], [0.0; TERMS_MAX], [0.0; TERMS_MAX]);
    let (steps, coefficients) = (&mut steps[..terms - 1], &mut coefficients[..terms]);
    let shape = Shape::of(table);
    shape.steps(steps, lowest);
    // Of each term, relative to the lowest.
    for (weight, step) in log_weights[1..].iter_mut().zip(&*steps) {
        *weight = lanes::ln(*step);
    }
    let mut sum = 0.0;
    for weight in &mut log_weights[..terms] {
        sum += *weight;
        *weight = sum;
    }
    let above_lowest = (table.candidate.events - lowest) as f64;
    for (log_psis, (psis, out)) in log_psis.chunks(TOGETHER).zip(psis.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER))) {
        let least = log_psis.iter().copied().fold(f64::INFINITY, f64::min);
        let most = log_psis.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let log_centre = 0.5 * (least + most);
        let centre = log_centre.exp();
        let mode = shape.scale(steps, coefficients, lowest, centre);
        let mut ratios = [1.0; TOGETHER];
        for (ratio, psi) in ratios.iter_mut().zip(psis) {
            *ratio = psi / centre;
        }
        let sums = horner(coefficients, &ratios);
        let scale = log_weights[mode] + mode as f64 * log_centre;
        for ((out, log_psi), sum) in out.iter_mut().zip(log_psis).zip(&sums) {
            *out = above_lowest * log_psi - scale - lanes::ln(*sum);
        }
    }
}

/// The polynomial at each of these.
#[inline(always)]
fn horner<const N: usize>(coefficients: &[f64], at: &[f64; N]) -> [f64; N] {
    let mut sums = [0.0; N];
    for coefficient in coefficients.iter().rev() {
        for (sum, at) in sums.iter_mut().zip(at) {
            *sum = *sum * at + coefficient;
        }
    }
    sums
}

/// Many terms: Laplace's method where the law is broad, the terms around the mode where it is narrow.
#[inline(always)]
fn wide(table: &Table, lowest: f64, highest: f64, psis: &[f64], log_psis: &[f64], out: &mut [f64]) {
    let (shape, candidate) = (Shape::of(table), table.candidate.events as f64);
    for (psis, (log_psis, out)) in psis.chunks(TOGETHER).zip(log_psis.chunks(TOGETHER).zip(out.chunks_mut(TOGETHER))) {
        let mut variances = [0.0; TOGETHER];
        for (((psi, log_psi), out), variance) in psis.iter().zip(log_psis).zip(&mut *out).zip(&mut variances) {
            let mean = shape.mean_approximately(*psi).max(lowest).min(highest);
            let laplace = Laplace::at(&shape, mean, *log_psi);
            *variance = laplace.variance;
            *out = candidate * log_psi - laplace.ln_sum;
        }
        for (((psi, log_psi), out), variance) in psis.iter().zip(log_psis).zip(out).zip(variances) {
            if variance < super::laplace::VARIANCE_MIN {
                *out = candidate * log_psi - shape.ln_sum_of_terms(lowest, highest, *psi, *log_psi);
            }
        }
    }
}

/// The cells' sizes as floats.
pub(super) struct Shape {
    pub(super) candidate: f64,
    pub(super) current: f64,
    pub(super) events: f64,
}

impl Shape {
    fn of(table: &Table) -> Shape {
        Shape {
            candidate: table.candidate.exposure as f64,
            current: table.current.exposure as f64,
            events: table.events() as f64,
        }
    }

    /// The four cells of the table with x events of the candidate's.
    #[inline(always)]
    pub(super) fn cells(&self, x: f64) -> [f64; 4] {
        [x, self.candidate - x, self.events - x, self.current - self.events + x]
    }

    /// Weight of x + 1 over the weight of x, at ψ = 1.
    #[inline(always)]
    fn ratio_up(&self, x: f64) -> f64 {
        (self.candidate - x) * (self.events - x) / ((x + 1.0) * (self.current - self.events + x + 1.0))
    }

    /// From each weight to the next, at ψ = 1.
    #[inline(always)]
    fn steps(&self, steps: &mut [f64], lowest: u64) {
        let lowest = lowest as f64;
        for (index, step) in steps.iter_mut().enumerate() {
            *step = self.ratio_up(lowest + index as f64);
        }
    }

    /// Fills in the coefficients at ψ = `centre` relative to the largest of them, whose index it returns, as products of steps.
    #[inline(always)]
    fn scale(&self, steps: &[f64], coefficients: &mut [f64], lowest: u64, centre: f64) -> usize {
        let mean = self.mean_approximately(centre).floor() - lowest as f64;
        let mode = if mean > 0.0 { (mean as usize).min(steps.len()) } else { 0 };
        // The divisions first, where none waits for another; then the products from the mode outwards.
        for (coefficient, step) in coefficients[..mode].iter_mut().zip(steps) {
            *coefficient = 1.0 / (step * centre);
        }
        let mut product = 1.0;
        for coefficient in coefficients[..mode].iter_mut().rev() {
            product *= *coefficient;
            *coefficient = product;
        }
        coefficients[mode] = 1.0;
        let mut product = 1.0;
        for (coefficient, step) in coefficients[mode + 1..].iter_mut().zip(&steps[mode..]) {
            product *= step * centre;
            *coefficient = product;
        }
        mode
    }

    /// The approximate mean of x_C at ψ: the root of (n_C − x)(m − x) ψ = x (n_B − m + x), each count half a step up
    /// (Cornfield 1956; the half steps make it the mode's place to O(1/n)).
    #[inline(always)]
    fn mean_approximately(&self, psi: f64) -> f64 {
        let (n, m) = (self.candidate + 0.5, self.events + 0.5);
        let offset = self.current - self.events + 0.5;
        // (n − x)(m − x) ψ = (x + ½)(offset + x)
        let a = psi - 1.0;
        let b = -(psi * (n + m) + offset + 0.5);
        let c = psi * n * m - 0.5 * offset;
        // The root within the range, in the form that does not cancel; below it, 0.
        let c = if c > 0.0 { c } else { 0.0 };
        let discriminant = b * b - 4.0 * a * c;
        2.0 * c / (-b + (if discriminant > 0.0 { discriminant } else { 0.0 }).sqrt())
    }

    /// ln Σ_x ψ^x / (the factorials of the four cells), term by term from the mode outwards until nothing changes.
    fn ln_sum_of_terms(&self, lowest: f64, highest: f64, psi: f64, log_psi: f64) -> f64 {
        let start = self.mean_approximately(psi).max(lowest).min(highest).floor();
        let mut sum = 1.0;
        let (mut weight, mut x) = (1.0, start);
        while x < highest && weight > sum * f64::EPSILON * 1e-3 {
            weight *= psi * self.ratio_up(x);
            sum += weight;
            x += 1.0;
        }
        (weight, x) = (1.0, start);
        while x > lowest && weight > sum * f64::EPSILON * 1e-3 {
            x -= 1.0;
            weight /= psi * self.ratio_up(x);
            sum += weight;
        }
        start * log_psi - self.cells(start).map(|cell| ln_gamma(cell + 1.0)).iter().sum::<f64>() + sum.ln()
    }
}

/// ln E of the Beta mixture for a constant exposure ratio and ψ0 = 1 (Robbins 1970): the closed form the tests hold the
/// engine against, `E = B(a + S, b + m − S) / B(a, b) / (p0^S (1−p0)^(m−S))`, p0 = w / (1 + w).
pub fn beta_mixture_log_evidence(a: f64, b: f64, candidate_events: u64, events: u64, exposure_ratio: f64) -> f64 {
    let (successes, total) = (candidate_events as f64, events as f64);
    let share = exposure_ratio / (1.0 + exposure_ratio);
    let ln_beta = |a: f64, b: f64| ln_gamma(a) + ln_gamma(b) - ln_gamma(a + b);
    ln_beta(a + successes, b + total - successes)
        - ln_beta(a, b)
        - successes * share.ln()
        - (total - successes) * (1.0 - share).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ln Z up to the constant of Laplace's method, term by term.
    fn by_terms(table: &Table, psi: f64) -> f64 {
        let lowest = table.events().saturating_sub(table.current.exposure);
        let highest = table.events().min(table.candidate.exposure);
        Shape::of(table).ln_sum_of_terms(lowest as f64, highest as f64, psi, psi.ln())
    }

    fn psis() -> impl Iterator<Item = f64> {
        (0..GRID_LEN).map(|point| crate::engine::log_psi(point).exp())
    }

    #[test]
    fn laplaces_method_is_within_its_bound_from_its_least_variance_on() {
        let (mut checked, mut least) = (0, f64::INFINITY);
        for (n_c, n_b, m) in [(300, 2_700, 700), (400, 600, 500), (2_000, 90_000, 30_000), (900, 1_000, 1_800)] {
            let table = Table::new((n_c, 0), (n_b, m));
            let shape = Shape::of(&table);
            for psi in psis() {
                let laplace = Laplace::at(&shape, shape.mean_approximately(psi), psi.ln());
                if laplace.variance >= super::super::laplace::VARIANCE_MIN {
                    let exact = by_terms(&table, psi);
                    assert!((laplace.ln_sum - exact).abs() < 1e-5, "{table:?} at {psi}: {} {exact}", laplace.ln_sum);
                    checked += 1;
                    least = laplace.variance.min(least);
                }
            }
        }
        assert!(checked > 60 && least < 20.0, "{checked} places, the least variance {least}");
    }

    #[test]
    fn every_way_to_sum_says_the_same() {
        // Short, long with one arm smaller, long with few exposures left, just beyond the longest.
        for (n_c, n_b, m) in
            [(90, 3_000, 200), (200, 2_000, 1_100), (240, 300, 500), (255, 9_000, 4_000), (256, 9_000, 4_000)]
        {
            let x = m * n_c / (n_c + n_b);
            let table = Table::new((n_c, x), (n_b, m - x));
            let psis: Vec<f64> = psis().chain([2.0, 1.25]).collect();
            let log_psis: Vec<f64> = psis.iter().map(|psi| psi.ln()).collect();
            let mut out = vec![0.0; psis.len()];
            log_likelihood(&table, Exposure::Trials, &psis, &log_psis, &mut out);
            let exact = |psi: f64| table.candidate.events as f64 * psi.ln() - by_terms(&table, psi);
            for (psi, ours) in psis.iter().zip(&out) {
                let (ours, exact) = (ours - out[GRID_LEN + 1], exact(*psi) - exact(1.25));
                assert!((ours - exact).abs() < 1e-5 + 1e-9 * exact.abs(), "{table:?} at {psi}: {ours} {exact}");
            }
        }
    }

    #[test]
    fn no_table_with_many_terms_is_taken_for_broader_than_it_is() {
        let psis: Vec<f64> = psis().chain([2.0, 1.25]).collect();
        let log_psis: Vec<f64> = psis.iter().map(|psi| psi.ln()).collect();
        for n_c in [257_u64, 300, 1_000, 20_000, 1_000_000] {
            for n_b in [257_u64, 400, 5_000, 100_000, 3_000_000] {
                for share in [0.0011, 0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99, 0.999] {
                    let m = (share * (n_c + n_b) as f64) as u64;
                    let x = (m as f64 * n_c as f64 / (n_c + n_b) as f64) as u64;
                    let table = Table::new((n_c, x), (n_b, m - x));
                    let mut out = vec![0.0; psis.len()];
                    log_likelihood(&table, Exposure::Trials, &psis, &log_psis, &mut out);
                    let exact = |psi: f64| x as f64 * psi.ln() - by_terms(&table, psi);
                    for (psi, ours) in psis.iter().zip(&out) {
                        let (ours, exact) = (ours - out[GRID_LEN + 1], exact(*psi) - exact(1.25));
                        assert!((ours - exact).abs() < 1e-5 + 1e-9 * exact.abs(), "{table:?} at {psi}: {ours} {exact}");
                    }
                }
            }
        }
    }
}
