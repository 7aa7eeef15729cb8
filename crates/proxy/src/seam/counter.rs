//! A counter with one writer.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that exactly one thread changes and any thread reads. Changing it is a plain load and store: no locked
/// instruction, no contention.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    pub(crate) const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    /// The number now, or a moment ago.
    #[inline]
    pub fn read(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Adds. Only the owning thread may call this.
    #[inline]
    pub fn add(&self, amount: u64) {
        self.0.store(self.read().wrapping_add(amount), Ordering::Relaxed);
    }

    /// Takes away. Only the owning thread may call this.
    #[inline]
    pub fn take(&self, amount: u64) {
        debug_assert!(self.read() >= amount, "BUG: a counter would go below zero");
        self.0.store(self.read().saturating_sub(amount), Ordering::Relaxed);
    }

    /// Raises to at least `floor`. Only the owning thread may call this.
    pub fn raise(&self, floor: u64) {
        if self.read() < floor {
            self.0.store(floor, Ordering::Relaxed);
        }
    }
}
