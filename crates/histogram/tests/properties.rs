//! What holds of every histogram: merging, subtracting, reading off, writing.

use gapless_histogram::{BUCKETS, Histogram, bucket_high_us, bucket_low_us, bucket_of_us};
use proptest::prelude::*;

fn of(values: &[u64]) -> Histogram {
    let mut histogram = Histogram::default();
    values.iter().for_each(|us| histogram.record_us(*us));
    histogram
}

/// Latencies of every magnitude, those beyond the range too.
fn latencies() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec((0_u32..64, any::<u64>()).prop_map(|(shift, value)| value >> shift), 0..80)
}

proptest! {
    #[test]
    fn a_latency_lies_in_its_bucket_which_is_at_most_a_32nd_of_it_wide(shift in 0_u32..64, value in any::<u64>()) {
        let us = value >> shift;
        let (low, high) = (bucket_low_us(bucket_of_us(us)), bucket_high_us(bucket_of_us(us)));
        prop_assert!((low..=high).contains(&us));
        prop_assert!(bucket_of_us(us) == BUCKETS - 1 || high - low <= low / 32, "{} to {}", low, high);
    }

    #[test]
    fn slower_latencies_have_no_lower_bucket(a in any::<u64>(), b in any::<u64>()) {
        prop_assert!(bucket_of_us(a.min(b)) <= bucket_of_us(a.max(b)));
    }

    #[test]
    fn merging_is_exact_and_order_does_not_matter(a in latencies(), b in latencies(), c in latencies()) {
        let (mut left, mut right) = (of(&a), of(&c));
        left.merge(&of(&b));
        left.merge(&of(&c));
        right.merge(&of(&b));
        right.merge(&of(&a));
        let all = of(&[a, b, c].concat());
        prop_assert_eq!(&left, &all);
        prop_assert_eq!(&right, &all);
    }

    #[test]
    fn two_readings_subtract_to_what_came_between_them(before in latencies(), between in latencies()) {
        let later = of(&[before.clone(), between.clone()].concat());
        prop_assert_eq!(later.since(&of(&before)), of(&between));
    }

    #[test]
    fn a_quantile_is_at_most_a_32nd_above_the_latency_that_has_it(mut values in prop::collection::vec(1_u64..1 << 36, 1..80), quantile in 0.0_f64..=1.0) {
        let read = of(&values).quantile_us(quantile).unwrap();
        values.sort_unstable();
        let rank = ((quantile * values.len() as f64).ceil() as usize).max(1);
        let exact = values[rank - 1];
        prop_assert!(read == u64::MAX || (exact..=exact + exact / 32).contains(&read), "{} for {}", read, exact);
    }

    #[test]
    fn what_lies_above_a_bucket_and_not_is_all(values in latencies(), bucket in 0..BUCKETS) {
        let histogram = of(&values);
        let below: u64 = histogram.filled().filter(|(at, _)| *at <= bucket).map(|(_, count)| count).sum();
        prop_assert_eq!(below + histogram.above(bucket), histogram.total());
    }

    #[test]
    fn it_survives_writing_and_reading(values in latencies()) {
        let histogram = of(&values);
        let read: Histogram = serde_json::from_str(&serde_json::to_string(&histogram).unwrap()).unwrap();
        prop_assert_eq!(read, histogram);
    }

    #[test]
    fn whatever_is_read_is_a_histogram_or_refused(text in "[\\[\\]0-9,\\-. ]{0,60}") {
        if let Ok(histogram) = serde_json::from_str::<Histogram>(&text) {
            prop_assert!(histogram.filled().all(|(bucket, _)| bucket < BUCKETS));
        }
    }
}

#[test]
fn a_bucket_that_does_not_exist_is_refused() {
    let error = serde_json::from_str::<Histogram>("[[60000,1]]").unwrap_err();
    assert!(
        error.to_string().contains("bucket 60000 of a latency histogram does not exist (there are 1024)"),
        "{error}"
    );
}
