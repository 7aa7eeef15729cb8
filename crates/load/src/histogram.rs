//! A histogram of durations with bounded memory and bounded relative error.

use std::time::Duration;

use serde::Serialize;

/// Buckets per power of two: a relative error of at most 1/64.
const STEPS: usize = 64;
/// Powers of two covered, in microseconds: up to 2^40 µs, twelve days.
const POWERS: usize = 41;

/// Counts of durations, in buckets whose width grows with their value.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max_us: u64,
}

/// What one reads off a histogram, in milliseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// The median.
    pub p50_ms: f64,
    /// 90 of 100 took at most this.
    pub p90_ms: f64,
    /// 99 of 100.
    pub p99_ms: f64,
    /// 999 of 1,000.
    pub p999_ms: f64,
    /// The longest, exactly.
    pub max_ms: f64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; STEPS * POWERS], total: 0, max_us: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        let last = self.counts.len() - 1;
        self.counts[bucket(us).min(last)] += 1;
        self.total += 1;
        self.max_us = self.max_us.max(us);
    }

    /// How many were counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The duration that a share `q` (0 to 1) of all did not exceed, to within 1/64; zero when nothing was counted.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Duration {
        let rank = ((self.total as f64) * q.clamp(0.0, 1.0)).ceil().max(1.0) as u64;
        let mut counted = 0;
        for (index, count) in self.counts.iter().enumerate() {
            counted += count;
            if counted >= rank {
                return Duration::from_micros(upper(index).min(self.max_us));
            }
        }
        Duration::ZERO
    }

    /// The usual quantiles.
    #[must_use]
    pub fn quantiles(&self) -> Quantiles {
        let ms = |duration: Duration| (duration.as_secs_f64() * 1e6).round() / 1e3;
        Quantiles {
            p50_ms: ms(self.quantile(0.5)),
            p90_ms: ms(self.quantile(0.9)),
            p99_ms: ms(self.quantile(0.99)),
            p999_ms: ms(self.quantile(0.999)),
            max_ms: ms(Duration::from_micros(self.max_us)),
        }
    }
}

/// Values below [`STEPS`] have a bucket each; above, the top bits of the value name the bucket.
fn bucket(us: u64) -> usize {
    if us < STEPS as u64 {
        return us as usize;
    }
    let power = us.ilog2() as usize - STEPS.ilog2() as usize;
    (power + 1) * STEPS + ((us >> power) as usize - STEPS)
}

/// The largest value that falls into a bucket.
fn upper(index: usize) -> u64 {
    if index < STEPS {
        return index as u64;
    }
    let power = index / STEPS - 1;
    ((((index % STEPS) + STEPS + 1) as u64) << power) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_falls_into_a_bucket_that_ends_at_most_a_64th_above_it() {
        for us in (0..100_000).chain((0..30).map(|shift| 1_000_003 << shift)) {
            let end = upper(bucket(us));
            assert!(end >= us && end - us <= us / 64, "{us} is told as {end}");
        }
    }

    #[test]
    fn quantiles_of_one_to_a_thousand_milliseconds() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|ms| histogram.record(Duration::from_millis(ms)));
        let told = histogram.quantiles();
        assert!((told.p50_ms - 500.0).abs() < 8.0, "{told:?}");
        assert!((told.p99_ms - 990.0).abs() < 16.0, "{told:?}");
        assert_eq!(told.max_ms, 1_000.0);
        assert_eq!(Histogram::default().quantiles(), Quantiles::default());
    }
}
