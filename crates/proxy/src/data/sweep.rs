//! What is late. Looked at a few times a second for all connections together, so that no request arms a timer.

use gapless_exchange::{self as exchange, Failure, Late};
use gapless_routing::{CutReason, OurAnswer, StatusClass, Terminal};

use super::client::{Client, Flushed, Phase};
use super::deadlines::{Deadlines, Due};
use super::drive::Step;
use super::exchange::Exchange;
use super::kernel::release_memory;
use super::slab::{Key, Slab};
use super::tunnel::Ending;
use super::worker::{Drain, Scratch, Worker};
use crate::seam::Event;

/// Clients that make a burst worth looking after: fewer hold little.
const BURST_MIN: usize = 256;

/// What a client is asked with whether it still reads: every client of HTTP/1.1 passes over it.
const ARE_YOU_THERE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Worker {
    pub(super) fn sweep(&mut self, scratch: &mut Scratch) {
        let mut clients = std::mem::replace(&mut self.clients, Slab::new());
        let mut late = Vec::new();
        let deadlines = self.deadlines();
        clients.for_each_mut(|key, client| match deadlines.due(client) {
            Due::Nothing => {}
            due => late.push((key, due)),
        });
        self.clients = clients;
        for (key, due) in late {
            self.overdue(key, due, scratch);
        }
        let (now_ms, now) = (self.clock.now_ms(), self.clock.tick());
        self.backend.sweep_idle(now_ms);
        self.probe_held(scratch);
        if now_ms >= self.compare_next_ms {
            self.compare_next_ms = now_ms + self.settings.compare_every_ms;
            self.backend.compare_peers(&self.table, now);
        }
        self.backend.tell_returns(now);
        self.resume_listeners();
        self.release_burst();
        self.check_drained();
    }

    /// Gives the memory of a burst of clients back when most of them are gone.
    fn release_burst(&mut self) {
        self.clients_peak = self.clients_peak.max(self.clients.len());
        if self.clients_peak >= BURST_MIN && self.clients.len() < self.clients_peak / 4 {
            self.clients_peak = self.clients.len();
            self.buffers.release_spare();
            self.spare = Vec::new();
            release_memory();
        }
    }

    fn deadlines(&self) -> Deadlines<'_> {
        let now_ms = self.clock.now_ms();
        let cut = matches!(self.drain, Drain::Until { ms } if now_ms >= ms);
        Deadlines { now_ms, settings: &self.settings, cut, upstreams: self.backend.connections() }
    }

    /// Does what is due for one connection.
    fn overdue(&mut self, key: Key, due: Due, scratch: &mut Scratch) {
        let Some(mut client) = self.clients.take(key) else { return };
        let phase = std::mem::replace(&mut client.phase, Phase::Waiting);
        let step = match (due, phase) {
            (Due::HeadTimeout, Phase::Waiting) => self.head_timeout(&mut client),
            (Due::Tunnel, Phase::Tunnel(tunnel)) if tunnel.is_left(self.clock.now_ms()) => {
                self.end_tunnel(&mut client, tunnel, Terminal::Answered(StatusClass::Switched))
            }
            (Due::Tunnel, Phase::Tunnel(mut tunnel)) => {
                if matches!(tunnel.ending, Ending::None | Ending::At(_)) && tunnel.ask_end(self.clock.now_ms()) {
                    Step::Again(Phase::Tunnel(tunnel))
                } else {
                    self.end_tunnel(&mut client, tunnel, Terminal::Cut(CutReason::TunnelDrainDeadline))
                }
            }
            (Due::TunnelStalled, Phase::Tunnel(tunnel)) => {
                self.end_tunnel(&mut client, tunnel, Terminal::Cut(CutReason::ClientStalled))
            }
            (Due::Exchange(due), Phase::Exchange(exchange)) => self.overdue_exchange(&mut client, exchange, due),
            (_, Phase::Exchange(exchange)) => Step::Wait(Phase::Exchange(exchange)),
            (_, Phase::Waiting | Phase::Lingering { .. }) => Step::Close,
            (_, Phase::Tunnel(tunnel)) => Step::Wait(Phase::Tunnel(tunnel)),
        };
        match step {
            Step::Again(phase) => {
                client.phase = phase;
                self.clients.put_back(key, client);
                self.drive(key, scratch);
            }
            Step::Wait(phase) => {
                client.phase = phase;
                self.clients.put_back(key, client);
            }
            Step::Close => self.forget_client(key, &mut client),
        }
    }

    fn overdue_exchange(&mut self, client: &mut Client, mut exchange: Box<Exchange>, due: exchange::Due) -> Step {
        use exchange::Due;
        self.end_hold(&mut exchange);
        match due {
            Due::Nothing => Step::Wait(Phase::Exchange(exchange)),
            Due::HoldTimeout => {
                let cause = exchange.core.failure().unwrap_or(OurAnswer::HoldTimeout);
                self.answer(client, exchange, cause)
            }
            Due::ConnectTimeout => self.attempt_failed(client, exchange, Failure::ConnectTimeout),
            Due::Late(reason, cut) => match exchange.core.handle_late(reason, cut) {
                Late::Answer(reason) => self.answer(client, exchange, reason),
                Late::AnswerForInstance(reason, slot) => {
                    self.note_failure(slot, &exchange);
                    self.answer(client, exchange, reason)
                }
                Late::Cut(reason) => self.abandon(client, exchange, Terminal::Cut(reason)),
            },
            Due::ClientLeft => self.abandon(client, exchange, Terminal::ClientLeft),
            Due::AskClient => match client.output.send(&mut client.stream, &mut self.buffers, ARE_YOU_THERE) {
                Flushed::All | Flushed::Some => Step::Wait(Phase::Exchange(exchange)),
                Flushed::Broken => self.abandon(client, exchange, Terminal::ClientLeft),
            },
        }
    }

    /// Tells, once, when a proxy that goes away serves nothing any more.
    fn check_drained(&mut self) {
        if let Drain::Until { ms } = self.drain
            && (self.clients.len() == 0 || self.clock.now_ms() >= ms + 3_000)
        {
            self.drain = Drain::Over;
            self.reporter.tell(Event::Drained);
        }
    }
}
