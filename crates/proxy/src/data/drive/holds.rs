//! The queues of requests that wait while no instance may serve them.

use std::collections::{BTreeMap, HashMap};

use gapless_exchange::Holding;
use gapless_model::ServiceName;

use crate::data::io::slab::Key;

/// Held requests that go on per turn when the hold ends. With a turn each millisecond at least, that is a ramp an instance that
/// just started can bear.
const RELEASED_PER_TURN: usize = 32;

/// Requests that try their luck per sweep while every instance refuses connections.
const PROBES_PER_SWEEP: usize = 4;

/// The requests of one service, by the order in which they were held first.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<u64, Key>,
    releasing: bool,
    /// They wait for an instance that takes connections, not for a table.
    probing: bool,
}

/// What a held request waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitsFor {
    /// Another table.
    Table,
    /// An instance that takes connections.
    Connection,
}

/// The hold queues of one thread.
#[derive(Debug, Default)]
pub(crate) struct Holds {
    queues: HashMap<ServiceName, Queue>,
    number_last: u64,
    waiting: usize,
}

impl Holds {
    /// Whether requests of the service wait already; later ones wait behind them.
    #[inline]
    pub(crate) fn has_waiting(&self, service: &ServiceName) -> bool {
        self.waiting > 0 && self.queues.get(service).is_some_and(|queue| !queue.waiting.is_empty())
    }

    /// Whether any queue is let go.
    #[inline]
    pub(crate) fn is_releasing(&self) -> bool {
        self.waiting > 0 && self.queues.values().any(|queue| queue.releasing)
    }

    /// Lets every queue go: the table has changed, or an instance takes connections again.
    pub(crate) fn release_all(&mut self) {
        for queue in self.queues.values_mut() {
            queue.releasing = !queue.waiting.is_empty();
        }
    }

    /// How many requests of the service wait.
    pub(crate) fn waiting_of(&self, service: &ServiceName) -> usize {
        self.queues.get(service).map_or(0, |queue| queue.waiting.len())
    }

    /// The place that a request gets which was never held.
    pub(crate) fn number_next(&self) -> u64 {
        self.number_last + 1
    }

    /// Takes a request in at the place that it was given.
    pub(crate) fn insert(&mut self, service: &ServiceName, place: Holding, key: Key, waits_for: WaitsFor) {
        let queue = self.queues.entry(service.clone()).or_default();
        let number = match place {
            Holding::Refused => return,
            Holding::New { number } => {
                self.number_last = number;
                number
            }
            Holding::Again { number } => {
                // One that was let go is back: whatever it waited for has not come, and the others wait on. (A newcomer that merely
                // stands behind those that are being let go says nothing of the kind.)
                queue.releasing = false;
                number
            }
        };
        queue.waiting.insert(number, key);
        queue.probing |= waits_for == WaitsFor::Connection;
        self.waiting += 1;
    }

    /// Takes out some of those that are let go.
    pub(crate) fn take_released(&mut self) -> Vec<Key> {
        self.pop(|queue| queue.releasing, RELEASED_PER_TURN)
    }

    /// Takes out some to try again whether an instance takes connections.
    pub(crate) fn take_probing(&mut self) -> Vec<Key> {
        self.pop(|queue| queue.probing && !queue.releasing, PROBES_PER_SWEEP)
    }

    fn pop(&mut self, wanted: impl Fn(&Queue) -> bool, most: usize) -> Vec<Key> {
        let mut popped = Vec::new();
        self.queues.retain(|_, queue| {
            if wanted(queue) {
                for _ in 0..most {
                    popped.extend(queue.waiting.pop_first().map(|(_, key)| key));
                }
            }
            !queue.waiting.is_empty()
        });
        self.waiting -= popped.len();
        popped
    }

    /// Takes one request out: its client left, or its time is up.
    pub(crate) fn remove(&mut self, number: u64) {
        for queue in self.queues.values_mut() {
            self.waiting -= usize::from(queue.waiting.remove(&number).is_some());
        }
        self.queues.retain(|_, queue| !queue.waiting.is_empty());
    }
}
