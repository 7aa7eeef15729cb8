//! Log-linear buckets of microseconds: 32 per octave, so a bucket is at most 1/32 of its value wide.

use serde::{Deserialize, Serialize};

/// log2 of the buckets per octave.
const SUB_BITS: u32 = 5;
const SUB: u64 = 1 << SUB_BITS;

/// Latencies from here on (2^36 µs, 19 hours) share the last bucket.
const TOP_BITS: u32 = 36;

/// Buckets there are.
pub const BUCKETS: usize = ((TOP_BITS - SUB_BITS + 1) as usize) << SUB_BITS;

/// The bucket of a latency: below 32 µs one per microsecond, above 32 per octave.
pub fn bucket_of_us(us: u64) -> usize {
    if us < SUB {
        return us as usize;
    }
    let octave = 63 - us.leading_zeros();
    if octave >= TOP_BITS {
        return BUCKETS - 1;
    }
    let within = (us >> (octave - SUB_BITS)) - SUB;
    ((((octave - SUB_BITS + 1) as u64) << SUB_BITS) + within) as usize
}

/// The lowest latency of a bucket, in microseconds.
pub fn bucket_low_us(bucket: usize) -> u64 {
    let bucket = bucket.min(BUCKETS - 1) as u64;
    let octave = bucket >> SUB_BITS;
    let within = bucket & (SUB - 1);
    if octave == 0 { within } else { (SUB + within) << (octave - 1) }
}

/// The highest latency of a bucket, in microseconds.
pub fn bucket_high_us(bucket: usize) -> u64 {
    if bucket + 1 >= BUCKETS { u64::MAX } else { bucket_low_us(bucket + 1) - 1 }
}

/// A histogram of latencies; its length follows the slowest bucket used.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<(u16, u64)>", into = "Vec<(u16, u64)>")]
pub struct Histogram {
    counts: Vec<u64>,
    count: u64,
}

/// A written histogram that cannot be one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistogramInvalid {
    /// The bucket that does not exist.
    pub bucket: u16,
}

impl std::fmt::Display for HistogramInvalid {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "bucket {} of a latency histogram does not exist (there are {BUCKETS})", self.bucket)
    }
}

impl std::error::Error for HistogramInvalid {}

impl TryFrom<Vec<(u16, u64)>> for Histogram {
    type Error = HistogramInvalid;

    fn try_from(pairs: Vec<(u16, u64)>) -> Result<Histogram, HistogramInvalid> {
        let mut histogram = Histogram::default();
        for (bucket, count) in pairs {
            if usize::from(bucket) >= BUCKETS {
                return Err(HistogramInvalid { bucket });
            }
            histogram.record_bucket(usize::from(bucket), count);
        }
        Ok(histogram)
    }
}

impl From<Histogram> for Vec<(u16, u64)> {
    fn from(histogram: Histogram) -> Vec<(u16, u64)> {
        histogram.filled().map(|(bucket, count)| (bucket as u16, count)).collect()
    }
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
        self.count = self.count.saturating_add(count);
    }

    /// Adds another histogram; exact, in any order.
    pub fn add(&mut self, other: &Histogram) {
        if self.counts.len() < other.counts.len() {
            self.counts.resize(other.counts.len(), 0);
        }
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine = mine.saturating_add(*theirs);
        }
        self.count = self.count.saturating_add(other.count);
    }

    /// Latencies counted.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Latencies in buckets above this one.
    pub fn above(&self, bucket: usize) -> u64 {
        self.counts.get(bucket + 1..).map_or(0, |tail| tail.iter().sum())
    }

    /// The first bucket at or below which a share `quantile` of the latencies lies, `slower` further ones counted as
    /// slower than all; `None` when the quantile lies among those, or nothing was counted.
    pub fn quantile_bucket(&self, quantile: f64, slower: u64) -> Option<usize> {
        let wanted = (quantile * self.count.saturating_add(slower) as f64).ceil().max(1.0) as u64;
        let mut seen = 0_u64;
        self.counts.iter().position(|count| {
            seen += count;
            seen >= wanted
        })
    }

    /// The buckets that hold something, in order.
    pub fn filled(&self) -> impl Iterator<Item = (usize, u64)> + Clone + '_ {
        self.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_bucket_holds_its_own_edges_and_buckets_leave_no_gap() {
        for bucket in 0..BUCKETS - 1 {
            assert_eq!(bucket_of_us(bucket_low_us(bucket)), bucket);
            assert_eq!(bucket_of_us(bucket_high_us(bucket)), bucket);
            assert_eq!(bucket_high_us(bucket) + 1, bucket_low_us(bucket + 1));
        }
        assert_eq!(bucket_of_us(u64::MAX), BUCKETS - 1);
    }

    proptest! {
        #[test]
        fn merging_is_exact_and_order_does_not_matter(a in prop::collection::vec(0_u64..1 << 40, 0..80), b in prop::collection::vec(0_u64..1 << 40, 0..80)) {
            let of = |values: &[u64]| { let mut h = Histogram::default(); values.iter().for_each(|v| h.record_us(*v)); h };
            let (mut ab, mut ba) = (of(&a), of(&b));
            ab.add(&of(&b));
            ba.add(&of(&a));
            let all = of(&[a, b].concat());
            prop_assert_eq!(&ab, &all);
            prop_assert_eq!(&ba, &all);
        }

        #[test]
        fn it_survives_writing_and_reading(values in prop::collection::vec(0_u64..1 << 40, 0..80)) {
            let mut histogram = Histogram::default();
            values.iter().for_each(|v| histogram.record_us(*v));
            let read: Histogram = serde_json::from_str(&serde_json::to_string(&histogram).unwrap()).unwrap();
            prop_assert_eq!(read, histogram);
        }
    }

    #[test]
    fn a_bucket_that_does_not_exist_is_refused() {
        assert!(serde_json::from_str::<Histogram>("[[60000,1]]").is_err());
    }
}
