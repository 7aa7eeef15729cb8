//! Seeded chance for simulations: the same seed gives the same numbers on every machine.

/// xoshiro256++ (Blackman & Vigna 2019), seeded by SplitMix64.
pub struct Chance([u64; 4]);

impl Chance {
    /// The stream of one seed.
    pub fn new(seed: u64) -> Chance {
        let mut state = seed;
        Chance(std::array::from_fn(|_| {
            state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
            let mut z = state;
            z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            z ^ (z >> 31)
        }))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        let s = &mut self.0;
        let result = s[0].wrapping_add(s[3]).rotate_left(23).wrapping_add(s[0]);
        let t = s[1] << 17;
        s[2] ^= s[0];
        s[3] ^= s[1];
        s[1] ^= s[2];
        s[0] ^= s[3];
        s[2] ^= t;
        s[3] = s[3].rotate_left(45);
        result
    }

    /// Uniform in (0, 1).
    pub fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
    }

    /// Exponential with mean 1.
    pub fn exponential(&mut self) -> f64 {
        -self.unit().ln()
    }

    /// Geometric from 1 on, with this mean.
    pub fn geometric(&mut self, mean: f64) -> u64 {
        if mean <= 1.0 {
            return 1;
        }
        1 + (self.unit().ln() / (1.0 - 1.0 / mean).ln()) as u64
    }

    /// Poisson: by products for small means, PTRS (Hörmann 1993) for large ones.
    pub fn poisson(&mut self, mean: f64) -> u64 {
        if mean <= 0.0 {
            return 0;
        }
        if mean < 12.0 {
            let (limit, mut product, mut count) = ((-mean).exp(), self.unit(), 0);
            while product > limit {
                product *= self.unit();
                count += 1;
            }
            return count;
        }
        let b = 0.931 + 2.53 * mean.sqrt();
        let a = -0.059 + 0.02483 * b;
        let accept = 0.9277 - 3.6224 / (b - 2.0);
        loop {
            let u = self.unit() - 0.5;
            let v = self.unit();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + mean + 0.43).floor();
            if us >= 0.07 && v <= accept {
                return k as u64;
            }
            if k < 0.0 || (us < 0.013 && v > us) {
                continue;
            }
            let inverse = 1.1239 + 1.1328 / (b - 3.4);
            let log_density = k * mean.ln() - mean - gapless_judge::special::ln_gamma(k + 1.0);
            if (v * inverse / (a / (us * us) + b)).ln() <= log_density {
                return k as u64;
            }
        }
    }

    /// Binomial: by inversion for small means, BTRS (Hörmann 1993) for large ones.
    pub fn binomial(&mut self, n: u64, p: f64) -> u64 {
        if n == 0 || p <= 0.0 {
            return 0;
        }
        if p >= 1.0 {
            return n;
        }
        if p > 0.5 {
            return n - self.binomial(n, 1.0 - p);
        }
        let (size, mean) = (n as f64, n as f64 * p);
        if mean < 10.0 {
            let ratio = p / (1.0 - p);
            let mut density = ((1.0 - p).ln() * size).exp();
            let (mut u, mut k) = (self.unit(), 0_u64);
            while u > density && k < n {
                u -= density;
                k += 1;
                density *= ratio * (size - k as f64 + 1.0) / k as f64;
            }
            return k;
        }
        let spread = (mean * (1.0 - p)).sqrt();
        let b = 1.15 + 2.53 * spread;
        let a = -0.0873 + 0.0248 * b + 0.01 * p;
        let center = mean + 0.5;
        let accept = 0.92 - 4.2 / b;
        loop {
            let u = self.unit() - 0.5;
            let v = self.unit();
            let us = 0.5 - u.abs();
            let k = ((2.0 * a / us + b) * u + center).floor();
            if !(0.0..=size).contains(&k) {
                continue;
            }
            if us >= 0.07 && v <= accept {
                return k as u64;
            }
            let alpha = (2.83 + 5.1 / b) * spread;
            let mode = ((size + 1.0) * p).floor();
            let log_odds = (p / (1.0 - p)).ln();
            let weight = |x: f64| gapless_judge::special::ln_choose(size, x) + x * log_odds;
            if (v * alpha / (a / (us * us) + b)).ln() <= weight(k) - weight(mode) {
                return k as u64;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    fn moments(mut draw: impl FnMut() -> u64) -> (f64, f64) {
        let values: Vec<f64> = (0..40_000).map(|_| draw() as f64).collect();
        let mean = values.iter().sum::<f64>() / values.len() as f64;
        let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / values.len() as f64;
        (mean, variance)
    }

    #[test]
    fn the_laws_have_their_means_and_variances() {
        let mut chance = Chance::new(1);
        for mean in [0.3, 5.0, 11.9, 12.1, 200.0] {
            let (m, v) = moments(|| chance.poisson(mean));
            assert!((m / mean - 1.0).abs() < 0.05 && (v / mean - 1.0).abs() < 0.06, "poisson {mean}: {m} {v}");
        }
        for (n, p) in [(10, 0.3), (1_000, 0.002), (1_000, 0.2), (500, 0.7), (100, 0.101)] {
            let (mean, variance) = (n as f64 * p, n as f64 * p * (1.0 - p));
            let (m, v) = moments(|| chance.binomial(n, p));
            assert!((m / mean - 1.0).abs() < 0.05 && (v / variance - 1.0).abs() < 0.06, "binomial {n} {p}: {m} {v}");
        }
        let (m, _) = moments(|| chance.geometric(4.0));
        assert!((m - 4.0).abs() < 0.15, "geometric {m}");
    }
}
