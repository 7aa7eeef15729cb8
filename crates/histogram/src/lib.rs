//! The one log-linear latency histogram, in microseconds: the proxy counts in its buckets, the judge judges by them, the load reports from them.
//!
//! It owns the boundaries of the buckets and what may be read off their counts. It refuses to know where latencies come from and what they mean.
//!
//! - **Boundaries**: below 32 µs each microsecond has a bucket of its own; from there on each doubling has 32. A bucket is at most 1/32 of its least
//!   latency wide, so what is read off a histogram is at most 1/32 (3.2 %) above what was recorded.
//! - **Range**: 2³⁶ µs (19 hours); what took longer counts in the last bucket, whose upper end is then unknown.
//! - **Size**: at most [`BUCKETS`] counts (8 KiB); only as many are kept as the slowest bucket used needs.
//! - **H1** merging is exact and in any order; two readings of one source subtract to what came between them (`tests/properties.rs`).
//! - **H2** boundaries are part of what is written (control messages, the judge's state): they never change. Another resolution is another type.
//!
//! Log-linear buckets were chosen over sketches that interpolate (t-digest): these merge inexactly, and "slower than the threshold" would itself be
//! uncertain; and over the `hdrhistogram` crate, whose boundaries are set for each histogram and would have to be agreed on between processes.

mod bucket;
mod counts;
mod written;

pub use bucket::{BUCKETS, bucket_high_us, bucket_low_us, bucket_of_us};
pub use counts::Histogram;
pub use written::HistogramInvalid;
