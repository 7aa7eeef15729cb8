//! What one worker thread counts.

use super::counter::Counter;

/// As many as the routing registry has slots for instances.
const SLOTS: usize = 4_096;

/// As many as the routing registry has series.
const SERIES: usize = 1_024;

/// The counts of one thread. Fixed arrays: a count needs no hashing, no lock and no allocation.
#[derive(Debug)]
pub struct WorkerCounts {
    in_flight: Box<[Counter]>,
    series: Box<[SeriesCells]>,
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
            in_flight: (0..SLOTS).map(|_| Counter::default()).collect(),
            series: (0..SERIES).map(|_| SeriesCells::default()).collect(),
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

    /// The counts of one series.
    #[inline]
    pub fn series(&self, series: usize) -> &SeriesCells {
        &self.series[series]
    }
}

/// The ledger of one series in one thread. Every request that was accepted (its head was read whole, or rejected) ends in
/// exactly one terminal counter.
#[derive(Debug, Default)]
pub struct SeriesCells {
    /// Requests that waited in a hold queue.
    pub held: Counter,
    /// The longest wait in a hold queue, in milliseconds.
    pub held_longest_ms: Counter,
    /// Attempts that were made again because the one before was never sent.
    pub retried: Counter,
    /// Attempts that were made again although the one before was sent: the method allowed it.
    pub replayed: Counter,
}
