//! One connection's turn: from phase to phase until it has to wait.

use super::client::{Client, Phase};
use super::exchange::{Asked, Exchange};
use super::slab::Key;
use super::socket::{self, ReadOutcome};
use super::worker::{Scratch, Worker};
use gapless_exchange::{Delivery, Lasting, Request};
use gapless_http1::Framing;
use gapless_routing::Terminal;

/// What a phase comes to.
#[derive(Debug)]
pub(super) enum Step {
    /// Go on with this phase at once.
    Again(Phase),
    /// Nothing to do in this phase until there is news.
    Wait(Phase),
    /// The connection is over.
    Close,
}

/// Steps of one connection before others have their turn: a client that sends requests without end must not keep the
/// thread to itself.
const STEPS_MAX: usize = 64;

/// How much a client may send after its last answer.
const LINGER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long it may go on sending.
pub(super) const LINGER_MS: u64 = 5_000;

/// Exchanges kept to be used again.
const SPARE_MAX: usize = 1_024;

impl Worker {
    /// Gives a client connection its turn.
    pub(super) fn drive(&mut self, key: Key, scratch: &mut Scratch) {
        let Some(mut client) = self.clients.take(key) else { return };
        for _ in 0..STEPS_MAX {
            let step = match std::mem::replace(&mut client.phase, Phase::Waiting) {
                Phase::Waiting => self.serve_waiting(&mut client, scratch),
                Phase::Exchange(exchange) => self.serve_exchange(&mut client, exchange, scratch),
                Phase::Tunnel(tunnel) => self.serve_tunnel(&mut client, tunnel, scratch),
                Phase::Lingering { patience, until_ms } => {
                    self.serve_lingering(&mut client, patience, until_ms, scratch)
                }
            };
            match step {
                Step::Again(phase) => client.phase = phase,
                Step::Wait(phase) => {
                    client.phase = phase;
                    self.clients.put_back(key, client);
                    return;
                }
                Step::Close => {
                    self.forget_client(key, &mut client);
                    return;
                }
            }
        }
        self.again.push(key);
        self.clients.put_back(key, client);
    }

    /// Closes a client connection whose phase holds nothing any more.
    pub(super) fn forget_client(&mut self, key: Key, client: &mut Client) {
        client.output.discard(&mut self.buffers);
        self.buffers.take_back(std::mem::take(&mut client.input));
        self.clients.release(key);
        self.mailbox.counts().connections.take(1);
    }

    /// Ends our side of a connection whose last answer was written or waits to be written.
    pub(super) fn linger(&mut self) -> Step {
        Step::Again(Phase::Lingering { patience: LINGER_BYTES_MAX, until_ms: self.clock.now_ms() + LINGER_MS })
    }

    /// ## Lingering => closed
    fn serve_lingering(
        &mut self,
        client: &mut Client,
        mut patience: u64,
        until_ms: u64,
        scratch: &mut Scratch,
    ) -> Step {
        use super::client::Flushed;
        match client.output.flush(&mut client.stream, &mut self.buffers) {
            Flushed::All => {}
            Flushed::Some => return Step::Wait(Phase::Lingering { patience, until_ms }),
            Flushed::Broken => return Step::Close,
        }
        if !client.said_end {
            client.said_end = true;
            socket::end_sending(client.stream.socket());
        }
        loop {
            match client.stream.read(&mut scratch.read) {
                ReadOutcome::Bytes(count) if count as u64 <= patience => patience -= count as u64,
                ReadOutcome::Blocked => return Step::Wait(Phase::Lingering { patience, until_ms }),
                ReadOutcome::Bytes(_) | ReadOutcome::Ended | ReadOutcome::Broken(_) => return Step::Close,
            }
        }
    }

    /// A box for an exchange, a used one if there is one.
    pub(super) fn new_exchange(
        &mut self,
        request: Request,
        asked: Asked,
        framing: Framing,
        buffer: Vec<u8>,
    ) -> Box<Exchange> {
        let mut exchange = self.spare.pop().unwrap_or_else(|| Box::new(Exchange::blank()));
        exchange.reset(request, asked, framing, buffer, self.clock.now_us());
        exchange
    }

    /// Takes an exchange back that is in the ledger and has no instance.
    pub(super) fn recycle(&mut self, mut exchange: Box<Exchange>) {
        debug_assert!(exchange.core.is_ended(), "BUG: a request without an end in the ledger");
        self.buffers.take_back(std::mem::take(&mut exchange.sending.buffer));
        if self.spare.len() < SPARE_MAX {
            self.spare.push(exchange);
        }
    }

    /// Gives up a request: its attempt is broken off, the ledger gets its end, its connection is closed by the caller.
    pub(super) fn abandon(&mut self, client: &Client, mut exchange: Box<Exchange>, terminal: Terminal) -> Step {
        let delivery = if client.output.is_empty() { Delivery::Taken } else { Delivery::Outstanding };
        if let Some((left, terminal)) = exchange.core.give_up(terminal, delivery) {
            if let Some(left) = left {
                self.backend.close(&left);
            }
            if matches!(terminal, Terminal::Cut(_)) && exchange.ends_by_closing() {
                // A clean end would say that the answer is whole.
                socket::reset_on_close(client.stream.socket());
            }
            self.record_outcome(client, &mut exchange, terminal);
        }
        self.recycle(exchange);
        Step::Close
    }

    /// A request has turned out to have no end in sight.
    pub(super) fn note_lasting(&self, slot: usize, exchange: &mut Exchange) {
        if exchange.core.handle_lasting() == Lasting::News {
            self.mailbox.counts().lasting(slot).add(1);
        }
    }
}
