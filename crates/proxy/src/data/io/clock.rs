//! The time, read once per batch of events.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use gapless_model::Tick;

/// The monotone clock of one thread.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Instant,
    now_us: u64,
}

impl Clock {
    /// A clock that counts from `origin`. All threads of a proxy share one origin.
    pub(crate) fn new(origin: Instant) -> Self {
        let mut clock = Self { origin, now_us: 0 };
        clock.update();
        clock
    }

    /// Reads the system's clock.
    #[inline]
    pub(crate) fn update(&mut self) {
        self.now_us = self.origin.elapsed().as_micros() as u64;
    }

    /// Microseconds since the origin, as of the last update.
    #[inline]
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us
    }

    /// Milliseconds since the origin, as of the last update.
    #[inline]
    pub(crate) fn now_ms(&self) -> u64 {
        self.now_us / 1_000
    }

    /// The same for the pure crates.
    #[inline]
    pub(crate) fn tick(&self) -> Tick {
        Tick(self.now_ms())
    }

    /// Microseconds since the Unix epoch, for people.
    pub(crate) fn unix_us(&self) -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as u64)
    }
}
