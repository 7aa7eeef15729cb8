//! Requests that wait while no instance may serve them: in order, so many at most, so long at most.

use std::collections::{BTreeMap, HashMap};

use gapless_exchange::{HoldAsk, Holding};
use gapless_histogram::bucket_of_us;
use gapless_model::{HoldLimits, ServiceName};
use gapless_routing::{OurAnswer, Terminal};

use super::answer::Answer;
use super::client::{Client, Phase};
use super::drive::Step;
use super::exchange::Exchange;
use super::slab::Key;
use super::worker::{Scratch, Worker};

/// Held requests that go on per turn when the hold ends. With a turn each millisecond at least, that is a ramp an instance that
/// just started can bear.
const RELEASED_PER_TURN: usize = 32;

/// Requests that try their luck per sweep while every instance refuses connections.
const PROBES_PER_SWEEP: usize = 4;

/// The reason that a client is told when it has ended its side and so does not wait.
const LEFT_HOLD: &str = "client_left";

/// The requests of one service, by the order in which they were held first.
#[derive(Debug, Default)]
struct Queue {
    waiting: BTreeMap<u64, Key>,
    releasing: bool,
    /// They wait for an instance that takes connections, not for a table.
    probing: bool,
}

/// The hold queues of one thread.
#[derive(Debug, Default)]
pub(super) struct Holds {
    queues: HashMap<ServiceName, Queue>,
    number_last: u64,
    waiting: usize,
}

impl Holds {
    /// Whether requests of the service wait already; later ones wait behind them.
    #[inline]
    pub(super) fn has_waiting(&self, service: &ServiceName) -> bool {
        self.waiting > 0 && self.queues.get(service).is_some_and(|queue| !queue.waiting.is_empty())
    }

    /// Whether any request waits.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.waiting == 0
    }

    /// Whether any queue is let go.
    #[inline]
    pub(super) fn is_releasing(&self) -> bool {
        self.waiting > 0 && self.queues.values().any(|queue| queue.releasing)
    }

    /// Lets every queue go: the table has changed, or an instance takes connections again.
    pub(super) fn release_all(&mut self) {
        for queue in self.queues.values_mut() {
            queue.releasing = !queue.waiting.is_empty();
        }
    }

    fn insert(&mut self, service: &ServiceName, number: u64, key: Key, probing: bool) {
        let queue = self.queues.entry(service.clone()).or_default();
        queue.waiting.insert(number, key);
        queue.probing |= probing;
        self.waiting += 1;
    }

    /// One that was let go is back: whatever it waited for has not come, and the others wait on. (A newcomer that merely stands behind
    /// those that are being let go says nothing of the kind.)
    fn end_release(&mut self, service: &ServiceName) {
        if let Some(queue) = self.queues.get_mut(service) {
            queue.releasing = false;
        }
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
    pub(super) fn remove(&mut self, number: u64) {
        for queue in self.queues.values_mut() {
            self.waiting -= usize::from(queue.waiting.remove(&number).is_some());
        }
        self.queues.retain(|_, queue| !queue.waiting.is_empty());
    }
}

impl Worker {
    /// Lets a request wait, or answers with `cause` when it may not wait any more.
    pub(super) fn hold(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        service: &ServiceName,
        limits: HoldLimits,
        cause: OurAnswer,
    ) -> Step {
        if client.stream.is_ended() {
            return self.leave_hold(client, exchange);
        }
        let ask = HoldAsk {
            limits,
            waiting_max: (limits.requests_max as usize).div_ceil(self.threads),
            waiting: self.holds.queues.get(service).map_or(0, |queue| queue.waiting.len()),
            number: self.holds.number_last + 1,
            now_ms: self.clock.now_ms(),
        };
        let number = match exchange.core.handle_no_instance(&ask) {
            Holding::Refused => return self.answer(client, exchange, cause),
            Holding::New { number } => {
                self.holds.number_last = number;
                number
            }
            Holding::Again { number } => {
                self.holds.end_release(service);
                number
            }
        };
        self.holds.insert(service, number, client.key, exchange.core.failure().is_some());
        self.mailbox.counts().holding.add(1);
        Step::Wait(Phase::Exchange(exchange))
    }

    /// A client that has ended its side does not wait: nearly always it is gone, a place in the hold is worth more, and no instance has
    /// seen its request. One that still reads is told so.
    pub(super) fn leave_hold(&mut self, client: &mut Client, exchange: Box<Exchange>) -> Step {
        let answer = Answer { status: 503, reason: LEFT_HOLD, detail: None, close: true, head: false };
        let step = self.abandon(client, exchange, Terminal::ClientLeft);
        let _ = client.output.send(&mut client.stream, &mut self.buffers, answer.render().as_bytes());
        step
    }

    /// A held request is held no more, for whatever reason: counts how long it was.
    pub(super) fn end_hold(&mut self, exchange: &mut Exchange) {
        if let Some(number) = exchange.core.place_held() {
            self.holds.remove(number);
            self.let_go(exchange);
        }
    }

    /// As [`Worker::end_hold`], for one that is out of its queue already.
    fn let_go(&self, exchange: &mut Exchange) {
        self.mailbox.counts().holding.take(1);
        exchange.core.handle_let_go(self.clock.now_ms());
    }

    /// Counts the whole wait of a request that was held, once, when its end is known.
    pub(super) fn count_hold(&self, exchange: &Exchange) {
        if exchange.core.was_held() {
            let held_us = exchange.core.held_ms() * 1_000;
            let cells = self.mailbox.counts().series(exchange.core.series().index());
            cells.held.add(1);
            cells.held_longest_us.raise(held_us);
            cells.held_us[bucket_of_us(held_us)].add(1);
        }
    }

    /// Lets some of the requests go on whose hold has ended.
    pub(super) fn release_held(&mut self, scratch: &mut Scratch) {
        let keys = self.holds.pop(|queue| queue.releasing, RELEASED_PER_TURN);
        self.go_on(keys, scratch);
    }

    /// Lets some requests try again whether an instance takes connections.
    pub(super) fn probe_held(&mut self, scratch: &mut Scratch) {
        if !self.holds.is_empty() {
            let keys = self.holds.pop(|queue| queue.probing && !queue.releasing, PROBES_PER_SWEEP);
            self.go_on(keys, scratch);
        }
    }

    fn go_on(&mut self, keys: Vec<Key>, scratch: &mut Scratch) {
        for key in keys {
            let Some(mut client) = self.clients.take(key) else { continue };
            if let Phase::Exchange(exchange) = &mut client.phase {
                self.let_go(exchange);
            }
            self.clients.put_back(key, client);
            self.drive(key, scratch);
        }
    }
}
