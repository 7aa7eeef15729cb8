//! Durations of one kind, and the usual quantiles of them.

use std::time::Duration;

use gapless_histogram::Histogram;
use serde::Serialize;

/// Durations in the buckets that the proxy and the judge use, and the longest exactly.
#[derive(Debug, Default)]
pub(crate) struct Latencies {
    histogram: Histogram,
    max_us: u64,
}

/// What one reads off durations, in milliseconds; to within 1/32 above.
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

impl Latencies {
    /// Counts one duration.
    pub(crate) fn record(&mut self, duration: Duration) {
        let us = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
        self.histogram.record_us(us);
        self.max_us = self.max_us.max(us);
    }

    /// The usual quantiles; zero when nothing was counted.
    pub(crate) fn quantiles(&self) -> Quantiles {
        let at = |quantile| milliseconds(self.histogram.quantile_us(quantile).unwrap_or(0).min(self.max_us));
        Quantiles {
            p50_ms: at(0.5),
            p90_ms: at(0.9),
            p99_ms: at(0.99),
            p999_ms: at(0.999),
            max_ms: milliseconds(self.max_us),
        }
    }
}

fn milliseconds(us: u64) -> f64 {
    us as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_one_to_a_thousand_milliseconds() {
        let mut latencies = Latencies::default();
        (1..=1_000).for_each(|ms| latencies.record(Duration::from_millis(ms)));
        let read = latencies.quantiles();
        assert!((500.0..=516.0).contains(&read.p50_ms), "{read:?}");
        assert!((990.0..=1_000.0).contains(&read.p99_ms), "{read:?}");
        assert_eq!(read.max_ms, 1_000.0);
        assert_eq!(Latencies::default().quantiles(), Quantiles::default());
    }
}
