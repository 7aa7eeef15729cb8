//! ln and exp of many values at once.
//!
//! The engine needs some fifty of each for every metric and window, which would be most of its time if they were calls. Both are
//! written without a branch, so that the compiler makes vector instructions of a loop over them, and without fused
//! operations, so that the results are the same to the last bit on every machine.

use std::f64::consts::{FRAC_1_SQRT_2, LOG2_E};

/// ln 2 in two parts: the first has 32 bits, so that a multiple of it by an exponent is exact.
const LN_2_HIGH: f64 = 0.693_147_180_369_123_8;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// The place of the exponent in the bits of an f64, and its bias.
const MANTISSA_BITS: u32 = 52;
const BIAS: u64 = 1_023;

/// 2^52: a whole number below it, put into the low bits of this one's mantissa, is that much greater.
const TWO_TO_52: u64 = 0x4330_0000_0000_0000;

/// 1.5 × 2^52: a number added to it is rounded to a whole one, which is then in the low bits of the sum.
const ROUNDER: f64 = 6_755_399_441_055_744.0;

/// ln x of a positive normal number, to about one unit in the last place.
///
/// x = 2^e m with m in √½ … √2; ln m = 2 artanh s, s = (m − 1)/(m + 1), |s| ≤ 0.172, by its series (Abramowitz & Stegun
/// 4.6.22) up to s^21, whose next term is below 1e-18.
#[inline(always)]
pub(super) fn ln(x: f64) -> f64 {
    let bits = x.to_bits();
    let biased = bits.wrapping_add((BIAS << MANTISSA_BITS).wrapping_sub(FRAC_1_SQRT_2.to_bits())) >> MANTISSA_BITS;
    let exponent = f64::from_bits(TWO_TO_52 | biased) - (f64::from_bits(TWO_TO_52) + BIAS as f64);
    let m = f64::from_bits(bits.wrapping_sub(biased.wrapping_sub(BIAS) << MANTISSA_BITS));
    let s = (m - 1.0) / (m + 1.0);
    let square = s * s;
    let mut series = 1.0 / 21.0;
    for odd in [19.0, 17.0, 15.0, 13.0, 11.0, 9.0, 7.0, 5.0, 3.0] {
        series = series * square + 1.0 / odd;
    }
    let twice = 2.0 * s;
    exponent * LN_2_HIGH + (twice + (twice * square * series + exponent * LN_2_LOW))
}

/// exp x for x ≤ 0, to about one unit in the last place; below −700 it stays at 1e-304.
///
/// x = k ln 2 + r with |r| ≤ ½ ln 2; exp r by its series up to r^13, whose next term is below 1e-17.
#[inline(always)]
pub(super) fn exp(x: f64) -> f64 {
    let x = if x > -700.0 { x } else { -700.0 };
    let rounded = x * LOG2_E + ROUNDER;
    let k = rounded - ROUNDER;
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    let mut series = 1.0;
    for term in [13.0, 12.0, 11.0, 10.0, 9.0, 8.0, 7.0, 6.0, 5.0, 4.0, 3.0, 2.0, 1.0] {
        series = series * (r * (1.0 / term)) + 1.0;
    }
    let power = f64::from_bits(rounded.to_bits().wrapping_add(BIAS) << MANTISSA_BITS);
    series * power
}

/// Values that are added up side by side, so that no addition waits for the one before.
pub(super) const WIDTH: usize = 8;

/// The highest value. Their number is a multiple of [`WIDTH`].
#[inline(always)]
pub(super) fn highest(values: &[f64]) -> f64 {
    let mut highest = [f64::NEG_INFINITY; WIDTH];
    for values in values.chunks_exact(WIDTH) {
        for (highest, value) in highest.iter_mut().zip(values) {
            *highest = if *value > *highest { *value } else { *highest };
        }
    }
    highest.iter().copied().fold(f64::NEG_INFINITY, f64::max)
}

/// Σ weight · exp(value − highest). Their number is a multiple of [`WIDTH`]; values may be −∞.
#[inline(always)]
pub(super) fn weighted_sum(values: &[f64], highest: f64, weights: &[f64]) -> f64 {
    debug_assert!(
        values.len().is_multiple_of(WIDTH) && values.len() == weights.len(),
        "BUG: not a multiple of the width"
    );
    let mut sums = [0.0; WIDTH];
    for (values, weights) in values.chunks_exact(WIDTH).zip(weights.chunks_exact(WIDTH)) {
        for ((sum, value), weight) in sums.iter_mut().zip(values).zip(weights) {
            *sum += weight * exp(value - highest);
        }
    }
    sums.iter().sum()
}

/// Defines a function that is compiled for any machine, for one with AVX2 and for one with AVX-512, and takes the last of them that the
/// machine has. Everything that it calls and that is marked `#[inline(always)]` is compiled with it.
macro_rules! vectorised {
    ($(#[$doc:meta])* $visibility:vis fn $name:ident($($argument:ident: $type:ty),* $(,)?) $(-> $result:ty)? $body:block) => {
        $(#[$doc])*
        $visibility fn $name($($argument: $type),*) $(-> $result)? {
            #[inline(always)]
            fn any($($argument: $type),*) $(-> $result)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx2")]
                fn wide($($argument: $type),*) $(-> $result)? {
                    any($($argument),*)
                }
                #[target_feature(enable = "avx512f,avx512dq,avx512vl")]
                fn widest($($argument: $type),*) $(-> $result)? {
                    any($($argument),*)
                }
                use std::arch::is_x86_feature_detected as has;
                if has!("avx512f") && has!("avx512dq") && has!("avx512vl") {
                    #[expect(unsafe_code, reason = "the one way to call a function compiled for a feature of the machine")]
                    // SAFETY: the machine has the features, as has just been asked.
                    return unsafe { widest($($argument),*) };
                }
                if has!("avx2") {
                    #[expect(unsafe_code, reason = "the one way to call a function compiled for a feature of the machine")]
                    // SAFETY: the machine has the feature, as has just been asked.
                    return unsafe { wide($($argument),*) };
                }
            }
            any($($argument),*)
        }
    };
}
pub(super) use vectorised;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_and_exp_are_those_of_the_library() {
        assert!((LN_2_HIGH + LN_2_LOW - std::f64::consts::LN_2).abs() < 1e-16);
        let mut x = 1e-300;
        while x < 1e300 {
            let (ours, theirs) = (ln(x), x.ln());
            assert!((ours - theirs).abs() <= 4.0 * f64::EPSILON * theirs.abs().max(1e-3), "ln {x}: {ours} {theirs}");
            x *= 1.000_37;
        }
        for at in [1.0, 1.0 + f64::EPSILON, 1.0 - f64::EPSILON, FRAC_1_SQRT_2, std::f64::consts::SQRT_2] {
            assert!((ln(at) - at.ln()).abs() <= 4.0 * f64::EPSILON * at.ln().abs(), "ln {at}");
        }
        for step in 0..70_000 {
            let x = -f64::from(step) / 100.0;
            assert!((exp(x) / x.exp() - 1.0).abs() <= 4.0 * f64::EPSILON, "exp {x}: {} {}", exp(x), x.exp());
        }
        assert!(exp(-1e9) < 1e-303 && exp(f64::NEG_INFINITY) > 0.0);
    }

    #[test]
    fn a_weighted_sum_survives_what_exp_does_not() {
        let mut values = [f64::NEG_INFINITY; WIDTH];
        (values[1], values[5]) = (-1e6, -1e6 + 1.0);
        let highest = highest(&values);
        let sum = highest + weighted_sum(&values, highest, &[9.0, 2.0, 9.0, 9.0, 9.0, 3.0, 9.0, 9.0]).ln();
        assert!((sum - (-1e6 + (2.0 + 3.0 * 1f64.exp()).ln())).abs() < 1e-9, "{sum}");
    }
}
