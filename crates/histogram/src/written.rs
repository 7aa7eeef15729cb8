//! A histogram as it is written: pairs of bucket and count.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{BUCKETS, Histogram};

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

impl Serialize for Histogram {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.filled())
    }
}

impl<'de> Deserialize<'de> for Histogram {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Histogram, D::Error> {
        let pairs = Vec::<(u16, u64)>::deserialize(deserializer)?;
        Histogram::try_from(pairs).map_err(serde::de::Error::custom)
    }
}
