//! A log-linear latency histogram in microseconds: eight steps per doubling, so a bucket is at most an eighth wide.
//!
//! Counts are cumulative and add up: over threads, over proxies, and two readings subtract to what happened between them.

/// Buckets per doubling.
const STEPS: u64 = 8;

/// The number of buckets: 0 to 7 µs one by one, then eight for each doubling up to 2³² µs (71 minutes); longer falls into the last.
pub const BUCKETS: usize = 8 + 29 * 8;

/// The bucket of a duration in microseconds, below [`BUCKETS`].
#[must_use]
pub fn bucket(us: u64) -> usize {
    if us < STEPS {
        return us as usize;
    }
    let octave = 63 - u64::from(us.leading_zeros()); // at least 3
    let step = (us >> (octave - 3)) & (STEPS - 1);
    (((octave - 2) * STEPS + step) as usize).min(BUCKETS - 1)
}

/// The least and the greatest duration of a bucket, both included; the last bucket has no upper bound.
#[must_use]
pub fn bucket_bounds(bucket: usize) -> (u64, u64) {
    let first = |bucket: usize| {
        let bucket = bucket as u64;
        if bucket < STEPS { bucket } else { (STEPS + bucket % STEPS) << (bucket / STEPS - 1) }
    };
    if bucket >= BUCKETS - 1 { (first(BUCKETS - 1), u64::MAX) } else { (first(bucket), first(bucket + 1) - 1) }
}

/// Counts by bucket.
#[derive(Clone, PartialEq, Eq)]
pub struct Histogram {
    counts: Box<[u64; BUCKETS]>,
}

impl Default for Histogram {
    fn default() -> Self {
        Histogram { counts: Box::new([0; BUCKETS]) }
    }
}

impl Histogram {
    /// Counts one duration.
    pub fn record(&mut self, us: u64) {
        self.add(bucket(us), 1);
    }

    /// Adds to one bucket; the last takes what lies beyond it.
    pub fn add(&mut self, bucket: usize, count: u64) {
        let cell = &mut self.counts[bucket.min(BUCKETS - 1)];
        *cell = cell.saturating_add(count);
    }

    /// Adds all of another.
    pub fn merge(&mut self, other: &Histogram) {
        for (bucket, count) in other.filled() {
            self.add(bucket, count);
        }
    }

    /// What came since an earlier reading of the same histogram.
    #[must_use]
    pub fn since(&self, earlier: &Histogram) -> Histogram {
        let mut rest = self.clone();
        for (mine, theirs) in rest.counts.iter_mut().zip(earlier.counts.iter()) {
            *mine = mine.saturating_sub(*theirs);
        }
        rest
    }

    /// The buckets that counted anything.
    pub fn filled(&self) -> impl Iterator<Item = (usize, u64)> {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }

    /// How many durations it counted.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// The duration that so many in ten thousand do not exceed (5 000 is the median), rounded up to its bucket's end; none without any.
    #[must_use]
    pub fn quantile_us(&self, per_ten_thousand: u32) -> Option<u64> {
        let total = self.total();
        let rank = (u128::from(total) * u128::from(per_ten_thousand.min(10_000))).div_ceil(10_000).max(1) as u64;
        let mut seen = 0;
        self.filled().find_map(|(bucket, count)| {
            seen += count;
            (seen >= rank).then(|| bucket_bounds(bucket).1)
        })
    }

    /// The end of the highest bucket that counted anything.
    #[must_use]
    pub fn longest_us(&self) -> Option<u64> {
        self.filled().last().map(|(bucket, _)| bucket_bounds(bucket).1)
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
    fn buckets_follow_one_another_without_gap_and_hold_their_own_bounds() {
        let mut next = 0;
        for at in 0..BUCKETS {
            let (first, last) = bucket_bounds(at);
            assert_eq!(first, next, "bucket {at}");
            assert_eq!((bucket(first), bucket(last)), (at, at));
            assert!(at == BUCKETS - 1 || last - first <= first / 8);
            next = last.wrapping_add(1);
        }
        assert_eq!(bucket(1 << 32), BUCKETS - 1);
        assert_eq!(bucket((1 << 32) - 1), BUCKETS - 1);
    }

    #[test]
    fn quantiles_are_right_within_an_eighth_and_readings_subtract() {
        let mut all = Histogram::default();
        (1..=1_000).for_each(|us| all.record(us));
        let earlier = all.clone();
        let median = all.quantile_us(5_000).unwrap();
        assert!((500..=563).contains(&median), "{median}");
        (0..5_000).for_each(|_| all.record(70_000));
        let recent = all.since(&earlier);
        assert_eq!(recent.total(), 5_000);
        assert!((70_000..78_750).contains(&recent.quantile_us(1).unwrap()));
        let mut merged = earlier.clone();
        merged.merge(&recent);
        assert_eq!(merged, all);
        assert_eq!(Histogram::default().quantile_us(9_900), None);
        assert!(all.longest_us().unwrap() >= 70_000);
    }
}
