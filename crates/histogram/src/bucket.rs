//! Where the buckets begin and end.

/// log2 of the buckets per doubling.
const SUB_BITS: u32 = 5;
/// Buckets per doubling.
const SUB: u64 = 1 << SUB_BITS;

/// Latencies from here on (2³⁶ µs, 19 hours) share the last bucket.
const TOP_BITS: u32 = 36;

/// How many buckets there are.
pub const BUCKETS: usize = ((TOP_BITS - SUB_BITS + 1) as usize) << SUB_BITS;

/// The bucket of a latency in microseconds, below [`BUCKETS`].
#[must_use]
#[inline]
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

/// The lowest latency of a bucket, in microseconds; of one that does not exist, that of the last.
#[must_use]
pub fn bucket_low_us(bucket: usize) -> u64 {
    let bucket = bucket.min(BUCKETS - 1) as u64;
    let octave = bucket >> SUB_BITS;
    let within = bucket & (SUB - 1);
    if octave == 0 { within } else { (SUB + within) << (octave - 1) }
}

/// The highest latency of a bucket, in microseconds; the last has none.
#[must_use]
pub fn bucket_high_us(bucket: usize) -> u64 {
    if bucket + 1 >= BUCKETS { u64::MAX } else { bucket_low_us(bucket + 1) - 1 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_bucket_holds_its_own_edges_and_buckets_leave_no_gap() {
        assert_eq!(bucket_low_us(0), 0);
        for bucket in 0..BUCKETS - 1 {
            assert_eq!(bucket_of_us(bucket_low_us(bucket)), bucket);
            assert_eq!(bucket_of_us(bucket_high_us(bucket)), bucket);
            assert_eq!(bucket_high_us(bucket) + 1, bucket_low_us(bucket + 1));
        }
        assert_eq!(bucket_of_us(bucket_low_us(BUCKETS - 1)), BUCKETS - 1);
        assert_eq!(bucket_of_us(u64::MAX), BUCKETS - 1);
    }

    #[test]
    fn the_boundaries_are_those_that_were_written() {
        for (bucket, low) in [(0, 0), (31, 31), (32, 32), (64, 64), (65, 66), (96, 128), (1_023, 63 << 30)] {
            assert_eq!(bucket_low_us(bucket), low, "bucket {bucket}");
        }
        assert_eq!(BUCKETS, 1_024);
    }
}
