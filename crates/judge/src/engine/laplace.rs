//! ln Z of a broad law by Laplace's method, with its first two corrections (the expansion of an integral around its
//! maximum: Erdélyi 1956, §2.4; its terms are the connected vacuum diagrams with two and three loops).
//!
//! With f the log weight, κ = −f″ and f₃ … f₆ its further derivatives at the maximum:
//!
//! ```text
//! ln Σ exp f  =  f + ½ ln(2π/κ) + f₄/8κ² + 5f₃²/24κ³
//!                + f₆/48κ³ + 7f₃f₅/48κ⁴ + f₄²/12κ⁴ + 25f₄f₃²/48κ⁵ + 5f₃⁴/16κ⁶  +  O(variance⁻³)
//! ```
//!
//! That a sum stands where the integral was costs e^(−2π² variance), which is nothing.

use super::lanes;
use super::likelihood::Shape;

/// From this variance on what is left out is below 1e-5 nats (checked against the exact sum), while one such window moves the
/// evidence by whole nats.
pub(super) const VARIANCE_MIN: f64 = 16.0;

/// ln 2π.
const LN_TWO_PI: f64 = 1.837_877_066_409_345_3;

/// Which way each cell moves with x.
const SIGNS: [f64; 4] = [1.0, -1.0, -1.0, 1.0];

/// The law around its maximum.
pub(super) struct Laplace {
    /// ln Σ_x ψ^x / (the factorials of the four cells).
    pub(super) ln_sum: f64,
    /// 1/κ, the lesser of that at the place given and that at the maximum. Below [`VARIANCE_MIN`] the sum is not to be used: the
    /// corrections of a narrow law are larger than what they correct, and 1/κ at its maximum may come out as anything.
    pub(super) variance: f64,
}

impl Laplace {
    /// From a place near the maximum. The polygamma functions are their series at the half step, u = cell + ½:
    /// ln Γ(u + ½) = u ln u − u + ½ ln 2π − 1/24u + 7/2880u³ − …
    #[inline(always)]
    pub(super) fn at(shape: &Shape, x: f64, log_psi: f64) -> Laplace {
        let mut slope = log_psi;
        let mut f = x * log_psi - 2.0 * LN_TWO_PI;
        let (mut curvature, mut third, mut fourth, mut fifth, mut sixth) = (0.0, 0.0, 0.0, 0.0, 0.0);
        for (cell, sign) in shape.cells(x).into_iter().zip(SIGNS) {
            let u = cell + 0.5;
            let (ln, r) = (lanes::ln(u), 1.0 / u);
            let square = r * r;
            slope -= sign * (ln + square * (1.0 / 24.0 - square * (7.0 / 960.0)));
            f -= u * (ln - 1.0) - r * (1.0 / 24.0 - square * (7.0 / 2880.0));
            curvature += r * (1.0 - square * (1.0 / 12.0));
            third += sign * square * (1.0 - 0.25 * square);
            fourth -= r * square * (2.0 - square);
            fifth += sign * 6.0 * square * square;
            sixth -= 24.0 * r * square * square;
        }
        let here = 1.0 / curvature;
        // The maximum lies this far off; a fraction of a count.
        let off = slope / curvature;
        let at_maximum = f + off * (0.5 * slope + off * off * third / 6.0);
        let curvature = curvature - off * (third + 0.5 * off * fourth);
        let v = 1.0 / curvature;
        let skew = third * third * v * v * v;
        let kurtosis = fourth * v * v;
        let first = kurtosis / 8.0 + skew * (5.0 / 24.0);
        let second = sixth * v * v * v / 48.0
            + third * fifth * v * v * v * v * (7.0 / 48.0)
            + kurtosis * kurtosis / 12.0
            + kurtosis * skew * (25.0 / 48.0)
            + skew * skew * (5.0 / 16.0);
        Laplace {
            ln_sum: at_maximum + 0.5 * (LN_TWO_PI + lanes::ln(v)) + first + second,
            variance: if v < here { v } else { here },
        }
    }
}
