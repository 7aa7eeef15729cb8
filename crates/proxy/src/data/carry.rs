//! One exchange's turn: carry the request one way and the answer the other, and say what came of it.

use gapless_exchange::{Failure, Reached, Todo};
use gapless_http1::{Inbound, Reject};
use gapless_routing::{BodyKept, CutReason, OurAnswer, Terminal};

use super::client::{Client, Flushed, Phase};
use super::drive::Step;
use super::exchange::Exchange;
use super::idle::Speaker;
use super::socket;
use super::upstream::{Duty, Upstream};
use super::worker::{Scratch, Worker};

/// What a turn of an exchange comes to.
#[derive(Debug)]
pub(super) enum Carried {
    /// Both sides wait for news.
    Waiting,
    /// Nothing is left to do with the instance.
    Over,
    /// The connection was upgraded. These bytes came behind the head and are the first of the tunnel.
    Switched(Vec<u8>),
    /// The client is gone.
    ClientLeft,
    /// The client's body is not passed on.
    BodyRefused(Refused),
    /// The instance failed.
    InstanceFailed(Failure),
}

/// Why a client's body is not passed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// It is framed wrongly.
    Malformed(Reject),
    /// It is longer than allowed.
    TooLong,
}

/// Whether a direction is done, or waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    Waits,
    Done,
}

impl Worker {
    /// ## Exchange => Waiting | Exchange | Tunnel | Lingering | closed
    pub(super) fn serve_exchange(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        scratch: &mut Scratch,
    ) -> Step {
        let attempt = match exchange.core.poll() {
            Todo::Carry => exchange.core.attempt().map(|attempt| (attempt.carrier(), attempt.slot().index())),
            Todo::Route => return self.dispatch_again(client, exchange),
            Todo::Wait if client.stream.is_ended() => {
                self.end_hold(&mut exchange);
                return self.leave_hold(client, exchange);
            }
            Todo::Wait => return Step::Wait(Phase::Exchange(exchange)),
            Todo::Deliver => return self.finish(client, exchange),
            Todo::Tunnel | Todo::Forget => None,
        };
        let Some((key, slot)) = attempt else {
            tracing::error!("BUG: an exchange has its turn that is none");
            return self.abandon(client, exchange, Terminal::Cut(CutReason::Internal));
        };
        let Some(mut upstream) = self.backend.take(key) else {
            tracing::error!("BUG: the connection of an exchange is gone");
            return self.abandon(client, exchange, Terminal::Cut(CutReason::Internal));
        };
        let before = client.stream.written() + upstream.stream.written();
        let carried = self.carry(client, &mut exchange, &mut upstream, scratch);
        if client.stream.written() + upstream.stream.written() != before {
            client.progress_ms = self.clock.now_ms();
        }
        self.backend.put_back(key, upstream);
        match carried {
            Carried::Waiting => Step::Wait(Phase::Exchange(exchange)),
            Carried::Over => {
                if let Some(left) = exchange.core.handle_exchanged() {
                    let speaker =
                        if client.lines.inbound == Inbound::Trusted { Speaker::Proxy } else { Speaker::Client };
                    self.backend.keep(&left, client.key, &exchange.finished(speaker), self.clock.now_ms());
                }
                self.finish(client, exchange)
            }
            Carried::Switched(first) => self.begin_tunnel(client, exchange, key, slot, &first),
            Carried::ClientLeft => self.abandon(client, exchange, Terminal::ClientLeft),
            Carried::BodyRefused(refused) => self.body_refused(client, exchange, refused),
            Carried::InstanceFailed(failure) => self.attempt_failed(client, exchange, failure),
        }
    }

    /// Carries both ways until both wait.
    fn carry(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        upstream: &mut Upstream,
        scratch: &mut Scratch,
    ) -> Carried {
        if let Duty::Connecting { client: key } = upstream.duty {
            if !upstream.stream.is_writable() {
                return if client.stream.is_hung_up() { Carried::ClientLeft } else { Carried::Waiting };
            }
            if socket::connect_outcome(upstream.stream.socket()).is_err() {
                return Carried::InstanceFailed(Failure::Refused);
            }
            upstream.duty = Duty::Busy { client: key };
            self.holds.release_all();
        }
        exchange.overtaken = upstream.stream.is_readable() && !(exchange.sending.complete && exchange.is_all_sent());
        let sent = match self.send_request(client, exchange, upstream, scratch) {
            Ok(flow) => flow,
            Err(carried) => return carried,
        };
        let received = match self.receive_answer(client, exchange, upstream, scratch) {
            Ok(flow) => flow,
            Err(carried) => return carried,
        };
        match (sent, received) {
            (Flow::Done, Flow::Done) => Carried::Over,
            // The answer is whole and the instance takes no more: the rest of the request is of no use to anybody.
            (Flow::Waits, Flow::Done)
                if upstream.stream.is_ended() || upstream.stream.is_hung_up() || exchange.close =>
            {
                Carried::Over
            }
            _ if client.stream.is_hung_up() => Carried::ClientLeft,
            _ => Carried::Waiting,
        }
    }

    /// The instance is done with. When the client has taken everything, the request has its end.
    fn finish(&mut self, client: &mut Client, mut exchange: Box<Exchange>) -> Step {
        match client.output.flush(&mut client.stream, &mut self.buffers) {
            Flushed::All => {}
            Flushed::Some => return Step::Wait(Phase::Exchange(exchange)),
            Flushed::Broken => return self.abandon(client, exchange, Terminal::ClientLeft),
        }
        if let Some(terminal) = exchange.core.handle_delivered() {
            self.record_outcome(client, &mut exchange, terminal);
        }
        let incomplete = !exchange.sending.complete;
        let close = exchange.close || incomplete;
        self.recycle(exchange);
        client.progress_ms = self.clock.now_ms();
        if !close {
            client.has_leftover = !client.input.is_empty();
            return Step::Again(Phase::Waiting);
        }
        self.linger()
    }

    fn body_refused(&mut self, client: &mut Client, exchange: Box<Exchange>, refused: Refused) -> Step {
        if exchange.core.has_begun_answer() {
            return self.abandon(client, exchange, Terminal::Cut(CutReason::ClientMalformed));
        }
        let reason = match refused {
            Refused::TooLong => OurAnswer::BodyTooLarge,
            Refused::Malformed(Reject::TrailersTooLarge) => OurAnswer::HeadTooLarge,
            Refused::Malformed(_) => OurAnswer::BadRequest,
        };
        self.answer(client, exchange, reason)
    }

    /// How much of the request its instance can have seen. Where it ended the connection, its end carries its acknowledgement, so what its system had
    /// received by then is known exactly. (A broken connection proves nothing: a reset carries none.)
    pub(super) fn reached(&mut self, exchange: &Exchange) -> Reached {
        let reached = exchange.reached();
        let Some(attempt) = exchange.core.attempt() else { return reached };
        let unacknowledged =
            || self.backend.get(attempt.carrier()).and_then(|upstream| upstream.stream.unacknowledged());
        let kept = exchange.body_kept() == BodyKept::Whole;
        match reached {
            Reached::Some if kept && unacknowledged() >= Some(exchange.sending.sent as u64) => Reached::Unseen,
            _ => reached,
        }
    }
}
