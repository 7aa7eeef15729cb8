//! What one worker thread counts.

use std::sync::OnceLock;

use gapless_histogram::{BUCKETS, Histogram};
use gapless_routing::{INSTANCE_SLOTS_MAX, SERIES_MAX, SeriesCounts, Terminal};

use super::counter::Counter;

/// The counts of one thread. Fixed arrays: a count needs no hashing, no lock and no allocation but for the first one of a
/// series.
#[derive(Debug)]
pub struct WorkerCounts {
    in_flight: Box<[Counter]>,
    lasting: Box<[Counter]>,
    series: Box<[OnceLock<Box<SeriesCells>>]>,
    /// Client connections that are open.
    pub connections: Counter,
    /// Connections to instances that are open, idle ones included.
    pub upstream_connections: Counter,
    /// Tunnels (upgraded connections) that are open.
    pub tunnels: Counter,
    /// Requests that wait in a hold queue.
    pub holding: Counter,
    /// Events and access records that did not fit their channel.
    pub dropped: Counter,
}

impl WorkerCounts {
    pub(crate) fn new() -> Self {
        Self {
            in_flight: (0..INSTANCE_SLOTS_MAX).map(|_| Counter::default()).collect(),
            lasting: (0..INSTANCE_SLOTS_MAX).map(|_| Counter::default()).collect(),
            series: (0..SERIES_MAX).map(|_| OnceLock::new()).collect(),
            connections: Counter::default(),
            upstream_connections: Counter::default(),
            tunnels: Counter::default(),
            holding: Counter::default(),
            dropped: Counter::default(),
        }
    }

    /// Requests in flight on the instance with this slot: dispatched to it, not yet ended. Tunnels count until they end.
    #[inline]
    pub fn in_flight(&self, slot: usize) -> &Counter {
        &self.in_flight[slot]
    }

    /// Those of them that have no end in sight: tunnels, and answers that are streams of events.
    #[inline]
    pub fn lasting(&self, slot: usize) -> &Counter {
        &self.lasting[slot]
    }

    /// The counts of one series, made when first asked for.
    #[inline]
    pub fn series(&self, series: usize) -> &SeriesCells {
        self.series[series].get_or_init(Box::default)
    }

    /// Adds the counts of one series to `sum`, if anything was ever counted on it.
    pub fn add_series_to(&self, series: usize, sum: &mut SeriesCounts) {
        if let Some(cells) = self.series.get(series).and_then(OnceLock::get) {
            sum.merge(&cells.read());
        }
    }
}

/// The ledger of one series in one thread. Every request that was accepted (its head was read whole, or rejected) ends in
/// exactly one terminal counter.
#[derive(Debug)]
pub struct SeriesCells {
    terminals: [Counter; Terminal::COUNT],
    /// Attempts after the first.
    pub retries: Counter,
    /// Those of them that sent something a second time.
    pub replays: Counter,
    /// Requests that waited in a hold queue.
    pub held: Counter,
    /// The longest wait in a hold queue, in microseconds.
    pub held_longest_us: Counter,
    /// Waits in a hold queue, by `gapless_histogram::bucket_of_us`.
    pub held_us: [Counter; BUCKETS],
    /// From the end of a request's head to the end of its answer, by `gapless_histogram::bucket_of_us`. Only requests that an
    /// instance answered.
    pub latency: [Counter; BUCKETS],
}

impl Default for SeriesCells {
    fn default() -> Self {
        Self {
            terminals: [const { Counter::new() }; Terminal::COUNT],
            retries: Counter::new(),
            replays: Counter::new(),
            held: Counter::new(),
            held_longest_us: Counter::new(),
            held_us: [const { Counter::new() }; BUCKETS],
            latency: [const { Counter::new() }; BUCKETS],
        }
    }
}

impl SeriesCells {
    /// Counts the end of one request. Only the owning thread may call this.
    #[inline]
    pub fn ended(&self, terminal: Terminal) {
        self.terminals[terminal.index()].add(1);
    }

    /// All counts as they are now.
    pub fn read(&self) -> SeriesCounts {
        let histogram = |cells: &[Counter; BUCKETS]| {
            let mut sum = Histogram::default();
            for (bucket, cell) in cells.iter().enumerate() {
                sum.record_bucket(bucket, cell.read());
            }
            sum
        };
        SeriesCounts {
            terminals: std::array::from_fn(|index| self.terminals[index].read()),
            retries: self.retries.read(),
            replays: self.replays.read(),
            held: self.held.read(),
            held_longest_us: self.held_longest_us.read(),
            held_us: histogram(&self.held_us),
            latency_us: histogram(&self.latency),
        }
    }
}
