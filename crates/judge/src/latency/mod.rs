//! Latency: the same boundaries everywhere, merged by addition, judged at thresholds frozen before the rollout.
//!
//! A quantile that moves is no event; "slower than what the current release's p99 was" is one, so the engine for counts
//! judges latency as well. No sketch that interpolates (t-digest) is used for verdicts: it would make the event itself uncertain.

mod cdf;

pub use cdf::{BodyShift, CdfPoint, band, body_shift, cdf_points};
pub use gapless_histogram::{BUCKETS, Histogram, HistogramInvalid, bucket_high_us, bucket_low_us, bucket_of_us};

use crate::engine::Count;
use serde::{Deserialize, Serialize};

/// The quantiles frozen from the current release, with their share of latency's weight (JUDGE §2).
pub const QUANTILES: [(f64, f64); 5] = [(0.50, 0.1), (0.90, 0.2), (0.95, 0.2), (0.99, 0.4), (0.999, 0.1)];

/// Requests needed before a threshold can be frozen: the expected count above the quantile is then 5.
pub const FREEZE_TAIL_MIN: f64 = 5.0;

/// Latencies of one arm in one window.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LatencyWindow {
    /// Answered requests.
    pub answered: Histogram,
    /// Requests that timed out or were cut: slower than every threshold.
    pub unanswered: u64,
}

impl LatencyWindow {
    /// Requests, answered or not.
    pub fn requests(&self) -> u64 {
        self.answered.total().saturating_add(self.unanswered)
    }

    /// Adds another window's.
    pub fn add(&mut self, other: &LatencyWindow) {
        self.answered.merge(&other.answered);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
    }
}

/// One frozen threshold.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// Which quantile of the current release it was.
    pub quantile: f64,
    /// Requests in buckets above this one are events.
    pub bucket: u16,
}

impl Threshold {
    /// The threshold in microseconds: the upper edge of its bucket.
    pub fn micros(&self) -> u64 {
        bucket_high_us(usize::from(self.bucket))
    }

    /// Requests of this window slower than the threshold.
    pub fn count(&self, window: &LatencyWindow) -> Count {
        let slower = window.answered.above(usize::from(self.bucket)).saturating_add(window.unanswered);
        Count { exposure: window.requests(), events: slower }
    }
}

/// Freezes the current release's quantiles before the candidate takes load. A quantile of which too little has been seen
/// is left out: a threshold known only roughly would judge the noise of its own measurement.
pub fn freeze(before: &LatencyWindow) -> Vec<Threshold> {
    let requests = before.requests() as f64;
    QUANTILES
        .iter()
        .filter(|(quantile, _)| requests * (1.0 - quantile) >= FREEZE_TAIL_MIN)
        .filter_map(|(quantile, _)| {
            let bucket = before.answered.quantile_bucket(*quantile, before.unanswered)?;
            Some(Threshold { quantile: *quantile, bucket: u16::try_from(bucket).ok()? })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(latencies: &[u64], unanswered: u64) -> LatencyWindow {
        let mut answered = Histogram::default();
        latencies.iter().for_each(|us| answered.record_us(*us));
        LatencyWindow { answered, unanswered }
    }

    #[test]
    fn a_frozen_quantile_has_its_share_of_slower_requests() {
        let latencies: Vec<u64> = (1..=100_000).collect();
        let before = window(&latencies, 0);
        for threshold in freeze(&before) {
            let share = threshold.count(&before).rate().unwrap();
            // Buckets are at most 1/32 wide, relative to their value.
            assert!((share - (1.0 - threshold.quantile)).abs() <= threshold.quantile / 32.0, "{threshold:?} {share}");
        }
    }

    #[test]
    fn timeouts_are_slower_than_every_threshold() {
        let before = window(&(1..=10_000).collect::<Vec<_>>(), 0);
        let now = window(&[], 7);
        for threshold in freeze(&before) {
            assert_eq!(threshold.count(&now), Count { exposure: 7, events: 7 });
        }
    }

    #[test]
    fn what_was_hardly_seen_is_not_frozen() {
        let quantiles = |n: u64| -> Vec<f64> {
            freeze(&window(&(1..=n).collect::<Vec<_>>(), 0)).iter().map(|t| t.quantile).collect()
        };
        assert!(quantiles(0).is_empty());
        assert_eq!(quantiles(20), [0.5]);
        assert_eq!(quantiles(600), [0.5, 0.9, 0.95, 0.99]);
    }

    #[test]
    fn a_quantile_that_lies_among_the_timeouts_is_not_frozen() {
        let before = window(&(1..=900).collect::<Vec<_>>(), 100);
        assert_eq!(freeze(&before).iter().map(|t| t.quantile).collect::<Vec<_>>(), [0.5, 0.9]);
    }
}
