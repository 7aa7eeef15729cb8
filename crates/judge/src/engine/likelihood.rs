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

use super::table::{Exposure, Table};
use crate::special::{ln_choose, ln_gamma};

/// Up to so many terms Z is summed as a polynomial, by Horner's rule for all ψ at once.
/// 230^96 (the highest grid value) stays far within the range of f64.
const POLYNOMIAL_TERMS_MAX: u64 = 96;

/// From this variance on, Z is computed by Laplace's method with its first correction; the error left is of the order
/// of the variance to the power −2 (below 1e-5 nats, checked against the exact sum), while one such window moves the
/// evidence by whole nats.
const LAPLACE_VARIANCE_MIN: f64 = 64.0;

/// With so small a pooled share of events, and too many of them for the polynomial, the rare form is taken: odds and
/// rate ratio then differ by less than this share. (JUDGE §1 names 5 %; see docs/design/judge-engine.)
const RARE_SHARE_MAX: f64 = 0.001;

/// Writes ll(ψ) for each ψ (given with its logarithm) into `out`, up to one constant common to all ψ.
pub(super) fn log_likelihood(table: &Table, exposure: Exposure, psis: &[f64], log_psis: &[f64], out: &mut [f64]) {
    debug_assert!(psis.len() == log_psis.len() && psis.len() == out.len(), "BUG: grids of different length");
    let events = table.events();
    match exposure {
        Exposure::Time => rare(table, psis, log_psis, out),
        Exposure::Trials => {
            let lowest = events.saturating_sub(table.current.exposure);
            let highest = events.min(table.candidate.exposure);
            let exposures = table.candidate.exposure.saturating_add(table.current.exposure);
            if highest - lowest <= POLYNOMIAL_TERMS_MAX {
                polynomial(table, lowest, highest, psis, log_psis, out);
            } else if (events as f64) < RARE_SHARE_MAX * exposures as f64 {
                rare(table, psis, log_psis, out);
            } else {
                for ((psi, log_psi), out) in psis.iter().zip(log_psis).zip(out) {
                    *out = table.candidate.events as f64 * log_psi - ln_z(table, lowest, highest, *psi, *log_psi);
                }
            }
        }
    }
}

/// The rare form: x_C ln ψ − m ln(1 + ψ w), w = n_C / n_B. Exact for Poisson counts (Przyborowski & Wilenski 1940),
/// where ψ is the ratio of the rates.
fn rare(table: &Table, psis: &[f64], log_psis: &[f64], out: &mut [f64]) {
    let ratio = table.candidate.exposure as f64 / table.current.exposure as f64;
    let (candidate, events) = (table.candidate.events as f64, table.events() as f64);
    for ((psi, log_psi), out) in psis.iter().zip(log_psis).zip(out) {
        *out = candidate * log_psi - events * (psi * ratio).ln_1p();
    }
}

/// Z as Σ c_x ψ^(x − lowest). The coefficients are scaled so that their largest is 1; what underflows then weighs less
/// than 1e-80 at every ψ of the grid.
fn polynomial(table: &Table, lowest: u64, highest: u64, psis: &[f64], log_psis: &[f64], out: &mut [f64]) {
    let mut coefficients = [0.0_f64; POLYNOMIAL_TERMS_MAX as usize + 1];
    let terms = (highest - lowest) as usize + 1;
    let coefficients = &mut coefficients[..terms];
    let mode = (mean_approximately(table, 1.0).floor().max(lowest as f64) as u64).min(highest);
    let at = (mode - lowest) as usize;
    coefficients[at] = 1.0;
    let shape = Shape::of(table);
    for index in at + 1..terms {
        coefficients[index] = coefficients[index - 1] * shape.ratio_up((lowest + index as u64 - 1) as f64);
    }
    for index in (0..at).rev() {
        coefficients[index] = coefficients[index + 1] / shape.ratio_up((lowest + index as u64) as f64);
    }
    out.fill(0.0);
    for coefficient in coefficients.iter().rev() {
        for (sum, psi) in out.iter_mut().zip(psis) {
            *sum = *sum * psi + coefficient;
        }
    }
    let above_lowest = (table.candidate.events - lowest) as f64;
    for (sum, log_psi) in out.iter_mut().zip(log_psis) {
        *sum = above_lowest * log_psi - sum.ln();
    }
}

/// The four cells' sizes as floats.
struct Shape {
    candidate: f64,
    current: f64,
    events: f64,
}

impl Shape {
    fn of(table: &Table) -> Shape {
        Shape {
            candidate: table.candidate.exposure as f64,
            current: table.current.exposure as f64,
            events: table.events() as f64,
        }
    }

    /// Weight of x + 1 over the weight of x, at ψ = 1.
    fn ratio_up(&self, x: f64) -> f64 {
        (self.candidate - x) * (self.events - x) / ((x + 1.0) * (self.current - self.events + x + 1.0))
    }

    fn ln_weight(&self, x: f64, log_psi: f64) -> f64 {
        ln_choose(self.candidate, x) + ln_choose(self.current, self.events - x) + x * log_psi
    }
}

/// The approximate mean of x_C at ψ: the root of (n_C − x)(m − x) ψ = x (n_B − m + x), each count half a step up
/// (Cornfield 1956; the half steps make it the mode's place to O(1/n)).
fn mean_approximately(table: &Table, psi: f64) -> f64 {
    let shape = Shape::of(table);
    let (n, m) = (shape.candidate + 0.5, shape.events + 0.5);
    let offset = shape.current - shape.events + 0.5;
    // (n − x)(m − x) ψ = (x + ½)(offset + x)
    let a = psi - 1.0;
    let b = -(psi * (n + m) + offset + 0.5);
    let c = psi * n * m - 0.5 * offset;
    if c <= 0.0 {
        return 0.0;
    }
    // The root within the range, in the form that does not cancel.
    2.0 * c / (-b + (b * b - 4.0 * a * c).max(0.0).sqrt())
}

/// ln Z(ψ) for wide ranges: Laplace's method where the law is broad, the terms around the mode where it is narrow.
fn ln_z(table: &Table, lowest: u64, highest: u64, psi: f64, log_psi: f64) -> f64 {
    let shape = Shape::of(table);
    let (lowest, highest) = (lowest as f64, highest as f64);
    let mut mode = mean_approximately(table, psi).clamp(lowest, highest);
    let mut cells = Cells::at(&shape, mode);
    if 1.0 / cells.curvature() >= LAPLACE_VARIANCE_MIN {
        mode = (mode + cells.slope(log_psi) / cells.curvature()).clamp(lowest, highest);
        cells = Cells::at(&shape, mode);
        let (curvature, third, fourth) = (cells.curvature(), cells.third(), cells.fourth());
        let correction = fourth / (8.0 * curvature.powi(2)) + 5.0 * third.powi(2) / (24.0 * curvature.powi(3));
        // One more half-step of Newton is folded in: f(mode) + slope² / 2κ is f at its true maximum.
        let at_maximum = shape.ln_weight(mode, log_psi) + cells.slope(log_psi).powi(2) / (2.0 * curvature);
        return at_maximum + 0.5 * (std::f64::consts::TAU / curvature).ln() + correction;
    }
    let start = mode.floor();
    let mut sum = 1.0;
    let (mut weight, mut x) = (1.0, start);
    while x < highest && weight > sum * f64::EPSILON * 1e-3 {
        weight *= psi * shape.ratio_up(x);
        sum += weight;
        x += 1.0;
    }
    (weight, x) = (1.0, start);
    while x > lowest && weight > sum * f64::EPSILON * 1e-3 {
        x -= 1.0;
        weight /= psi * shape.ratio_up(x);
        sum += weight;
    }
    shape.ln_weight(start, log_psi) + sum.ln()
}

/// The four cells x, n_C − x, m − x, n_B − m + x with the derivatives of the log weight, the polygamma functions by their
/// series at the half step: digamma(a + 1) = ln u + 1/(24u²), u = a + ½.
struct Cells([f64; 4]);

/// Which way each cell moves with x.
const SIGNS: [f64; 4] = [1.0, -1.0, -1.0, 1.0];

impl Cells {
    fn at(shape: &Shape, x: f64) -> Cells {
        Cells([x, shape.candidate - x, shape.events - x, shape.current - shape.events + x].map(|cell| cell + 0.5))
    }

    fn slope(&self, log_psi: f64) -> f64 {
        let digamma = |u: f64| u.ln() + 1.0 / (24.0 * u * u);
        log_psi - self.0.iter().zip(SIGNS).map(|(u, sign)| sign * digamma(*u)).sum::<f64>()
    }

    fn curvature(&self) -> f64 {
        self.0.iter().map(|u| 1.0 / u - 1.0 / (12.0 * u.powi(3))).sum()
    }

    fn third(&self) -> f64 {
        self.0.iter().zip(SIGNS).map(|(u, sign)| sign / (u * u)).sum()
    }

    fn fourth(&self) -> f64 {
        self.0.iter().map(|u| -2.0 / u.powi(3)).sum()
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
