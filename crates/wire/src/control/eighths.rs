//! Latencies in the buckets of the first edition of the report: eight for each doubling, up to 2³² µs. Controllers of that edition read nothing
//! else, so it is still written; and proxies of that edition write nothing else, so it is still read.
//!
//! Its boundaries are boundaries of [`gapless_histogram`] too: each of its buckets is some of those, so what is written loses precision and no
//! count. What is read counts in the last of them, as it was rounded up before.

use gapless_histogram::{Histogram, bucket_low_us, bucket_of_us};

/// Buckets for each doubling.
const STEPS: u64 = 8;
/// How many there are: 0 to 7 µs one by one, then eight for each doubling.
const EIGHTHS: usize = 8 + 29 * 8;

/// In eighths: pairs of bucket and count.
pub(super) fn fold(histogram: &Histogram) -> Vec<(usize, u64)> {
    let mut folded: Vec<(usize, u64)> = Vec::new();
    for (bucket, count) in histogram.filled() {
        let eighth = eighth_of_us(bucket_low_us(bucket));
        match folded.last_mut() {
            Some((last, sum)) if *last == eighth => *sum = sum.saturating_add(count),
            _ => folded.push((eighth, count)),
        }
    }
    folded
}

/// From eighths.
pub(super) fn unfold(pairs: &[(usize, u64)]) -> Histogram {
    let mut histogram = Histogram::default();
    for (eighth, count) in pairs {
        let high_us = first_us(eighth.saturating_add(1).min(EIGHTHS)) - 1;
        histogram.record_bucket(bucket_of_us(high_us), *count);
    }
    histogram
}

fn eighth_of_us(us: u64) -> usize {
    if us < STEPS {
        return us as usize;
    }
    let octave = 63 - u64::from(us.leading_zeros()); // at least 3
    let step = (us >> (octave - 3)) & (STEPS - 1);
    (((octave - 2) * STEPS + step) as usize).min(EIGHTHS - 1)
}

/// The least latency of a bucket of eighths.
fn first_us(eighth: usize) -> u64 {
    let eighth = eighth as u64;
    if eighth < STEPS { eighth } else { (STEPS + eighth % STEPS) << (eighth / STEPS - 1) }
}

#[cfg(test)]
mod tests {
    use gapless_histogram::BUCKETS;

    use super::*;

    #[test]
    fn the_boundaries_of_eighths_are_boundaries_of_the_histogram() {
        for eighth in 0..EIGHTHS {
            let first = first_us(eighth);
            assert_eq!(bucket_low_us(bucket_of_us(first)), first, "{eighth}");
            assert_eq!((eighth_of_us(first), eighth_of_us(first_us(eighth + 1) - 1)), (eighth, eighth));
        }
        assert_eq!(first_us(EIGHTHS), 1 << 32);
    }

    #[test]
    fn folding_and_reading_back_loses_no_count_and_rounds_up() {
        let mut histogram = Histogram::default();
        [3, 3, 40, 41, 1_000, 70_000, 1 << 33, u64::MAX].iter().for_each(|us| histogram.record_us(*us));
        let folded = fold(&histogram);
        assert_eq!(folded.iter().map(|(_, count)| count).sum::<u64>(), 8);
        assert_eq!(folded.last(), Some(&(EIGHTHS - 1, 2)));
        let read = unfold(&folded);
        assert_eq!((read.total(), fold(&read)), (8, folded));
        assert!(read.quantile_us(0.5) >= histogram.quantile_us(0.5));
    }

    #[test]
    fn buckets_that_never_were_count_as_the_longest() {
        let read = unfold(&[(usize::MAX, 2), (BUCKETS, 1)]);
        assert_eq!(read.total(), 3);
        assert_eq!(read.filled().count(), 1);
    }
}
