//! Counts by bucket, and what may be read off them.

use crate::bucket::{BUCKETS, bucket_high_us, bucket_of_us};

/// A histogram of latencies; its length follows the slowest bucket used. Counts stay at their greatest value instead of overflowing.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Histogram {
    /// By bucket. The last is not zero, so equal histograms are equal values.
    counts: Vec<u64>,
    total: u64,
}

impl Histogram {
    /// Counts one latency.
    pub fn record_us(&mut self, us: u64) {
        self.record_bucket(bucket_of_us(us), 1);
    }

    /// Counts `count` latencies of one bucket; buckets beyond the last count as the last.
    pub fn record_bucket(&mut self, bucket: usize, count: u64) {
        if count == 0 {
            return;
        }
        let bucket = bucket.min(BUCKETS - 1);
        if self.counts.len() <= bucket {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(count);
        self.total = self.total.saturating_add(count);
    }

    /// Adds all of another; exact, in any order.
    pub fn merge(&mut self, other: &Histogram) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.total = self.total.saturating_add(other.total);
    }

    /// What came since an earlier reading of the same source. Where the source began anew, a count is never below zero.
    #[must_use]
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut since = Histogram::default();
        for (bucket, count) in self.filled() {
            let before = earlier.counts.get(bucket).copied().unwrap_or(0);
            since.record_bucket(bucket, count.saturating_sub(before));
        }
        since
    }

    /// Latencies counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Latencies in buckets above this one.
    #[must_use]
    pub fn above(&self, bucket: usize) -> u64 {
        self.counts.get(bucket + 1..).map_or(0, |tail| tail.iter().fold(0, |sum, count| sum.saturating_add(*count)))
    }

    /// The first bucket at or below which a share `quantile` (0 to 1) of the latencies lies, `slower` further ones counted as slower than all;
    /// `None` when the quantile lies among those, or nothing was counted.
    #[must_use]
    pub fn quantile_bucket(&self, quantile: f64, slower: u64) -> Option<usize> {
        let wanted = (quantile * self.total.saturating_add(slower) as f64).ceil().max(1.0) as u64;
        let mut seen = 0_u64;
        self.counts.iter().position(|count| {
            seen = seen.saturating_add(*count);
            seen >= wanted
        })
    }

    /// The latency that a share `quantile` (0 to 1) does not exceed, rounded up to the end of its bucket; none without any.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> Option<u64> {
        self.quantile_bucket(quantile, 0).map(bucket_high_us)
    }

    /// The end of the highest bucket that counted anything.
    #[must_use]
    pub fn longest_us(&self) -> Option<u64> {
        self.counts.len().checked_sub(1).map(bucket_high_us)
    }

    /// The buckets that hold something, in order.
    pub fn filled(&self) -> impl Iterator<Item = (usize, u64)> + Clone + '_ {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.filled()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_of_one_to_a_thousand_milliseconds_are_at_most_a_32nd_above() {
        let mut histogram = Histogram::default();
        (1..=1_000).for_each(|ms| histogram.record_us(ms * 1_000));
        for (quantile, exact) in [(0.5, 500_000), (0.9, 900_000), (0.99, 990_000), (0.999, 999_000)] {
            let read = histogram.quantile_us(quantile).unwrap();
            assert!((exact..=exact + exact / 32).contains(&read), "{quantile}: {read}");
        }
        assert!(histogram.longest_us().unwrap() >= 1_000_000);
        assert_eq!(Histogram::default().quantile_us(0.99), None);
        assert_eq!(Histogram::default().longest_us(), None);
    }

    #[test]
    fn what_was_never_answered_is_slower_than_every_quantile() {
        let mut histogram = Histogram::default();
        (0..98).for_each(|_| histogram.record_us(10));
        assert_eq!(histogram.quantile_bucket(0.98, 2), Some(10));
        assert_eq!(histogram.quantile_bucket(0.99, 2), None);
        assert_eq!((histogram.above(9), histogram.above(10), histogram.above(BUCKETS)), (98, 0, 0));
    }

    #[test]
    fn counts_at_their_greatest_value_stay_there() {
        let mut histogram = Histogram::default();
        histogram.record_bucket(3, u64::MAX);
        histogram.record_bucket(4, 7);
        histogram.merge(&histogram.clone());
        assert_eq!((histogram.total(), histogram.above(2)), (u64::MAX, u64::MAX));
        assert_eq!(histogram.quantile_bucket(1.0, 0), Some(3));
    }
}
