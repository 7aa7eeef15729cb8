//! One exchange's turn: carry the request one way and the answer the other, and say what came of it.

use gapless_http1::Reject;
use gapless_routing::{CutReason, OurAnswer, Progress, Terminal};

use super::client::{Client, Flushed, Phase};
use super::drive::Step;
use super::exchange::{Attempt, Exchange, Replay};
use super::kernel::unacknowledged;
use super::settle::dropped_by;
use super::socket;
use super::upstream::{Duty, Upstream};
use super::worker::{Scratch, Worker};

/// A kept connection that ends so soon after it was given a request was being closed already; later, the instance had begun on it.
const CLOSING_WITHIN_MS: u64 = 100;

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

/// How an instance failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    /// It did not take the connection.
    Refused,
    /// It ended the connection in order.
    Ended,
    /// The connection broke.
    Broken,
    /// It sent what is no HTTP.
    Malformed(Reject),
    /// On a kept connection came what cannot be the answer.
    OutOfStep,
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
        match exchange.attempt {
            Attempt::None => self.dispatch_again(client, exchange),
            Attempt::Held if client.stream.is_ended() => {
                self.holds.remove(exchange.hold_number);
                self.end_hold(&mut exchange);
                self.leave_hold(client, exchange)
            }
            Attempt::Held => Step::Wait(Phase::Exchange(exchange)),
            Attempt::Over => self.finish(client, exchange),
            Attempt::On { upstream: key, slot, reused } => {
                let Some(mut upstream) = self.upstreams.take(key) else {
                    tracing::error!("BUG: the connection of an exchange is gone");
                    exchange.attempt = Attempt::Over;
                    self.left_instance(slot, &mut exchange);
                    return self.abandon(client, exchange, Terminal::Cut(CutReason::Internal));
                };
                let before = client.stream.written() + upstream.stream.written();
                let carried = self.carry(client, &mut exchange, &mut upstream, scratch);
                if client.stream.written() + upstream.stream.written() != before {
                    client.progress_ms = self.clock.now_ms();
                }
                self.upstreams.put_back(key, upstream);
                match carried {
                    Carried::Waiting => Step::Wait(Phase::Exchange(exchange)),
                    Carried::Over => {
                        exchange.attempt = Attempt::Over;
                        self.left_instance(slot, &mut exchange);
                        self.check_in(key, client, &exchange);
                        self.finish(client, exchange)
                    }
                    Carried::Switched(first) => self.begin_tunnel(client, exchange, key, slot, &first),
                    Carried::ClientLeft => self.abandon(client, exchange, Terminal::ClientLeft),
                    Carried::BodyRefused(refused) => self.body_refused(client, exchange, refused),
                    Carried::InstanceFailed(failure) => self.instance_failed(client, exchange, slot, reused, failure),
                }
            }
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
        let terminal = Self::whole(&exchange);
        self.settle(client, &mut exchange, terminal);
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
        if exchange.has_begun_answer() {
            return self.abandon(client, exchange, Terminal::Cut(CutReason::ClientMalformed));
        }
        let reason = match refused {
            Refused::TooLong => OurAnswer::BodyTooLarge,
            Refused::Malformed(Reject::TrailersTooLarge) => OurAnswer::HeadTooLarge,
            Refused::Malformed(_) => OurAnswer::BadRequest,
        };
        self.answer(client, exchange, reason)
    }

    /// Whether the instance provably saw nothing of the request: it ended the connection, and when its end was sent its system
    /// had not received a single byte of what we wrote. (Its end carries its acknowledgement, so the count is exact. A broken
    /// connection proves nothing: a reset carries none.)
    fn is_unseen(&mut self, exchange: &Exchange) -> bool {
        let Attempt::On { upstream, .. } = exchange.attempt else { return false };
        let sent = exchange.sending.sent as u64;
        exchange.sending.replay == Replay::Kept
            && self.upstreams.get_mut(upstream).and_then(|upstream| unacknowledged(upstream.stream.socket()))
                >= Some(sent)
    }

    /// How far a request had come when its attempt failed.
    fn progress_of(&mut self, exchange: &Exchange, reused: bool, failure: Failure) -> Progress {
        let ended = matches!(failure, Failure::Ended | Failure::Broken);
        let took_ms = self.clock.now_us().saturating_sub(exchange.attempt_us) / 1_000;
        match failure {
            Failure::Refused => Progress::NeverSent,
            _ if ended && exchange.is_unsent() => Progress::NeverSent,
            Failure::Ended if self.is_unseen(exchange) => Progress::NeverSent,
            // Without its whole head nobody carries a request out, and no more of it will come.
            Failure::OutOfStep if exchange.has_part_of_head_sent() => Progress::NeverSent,
            Failure::OutOfStep => Progress::SentOnKept,
            _ if ended && reused && took_ms <= CLOSING_WITHIN_MS => Progress::SentOnKept,
            _ => Progress::Sent,
        }
    }

    /// The instance failed: another attempt, an answer of ours, or a cut, by how far things had come.
    fn instance_failed(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        slot: usize,
        reused: bool,
        failure: Failure,
    ) -> Step {
        let progress = self.progress_of(&exchange, reused, failure);
        let cut_by = self.cut_by(slot, &exchange);
        if failure == Failure::OutOfStep {
            self.note_surplus(slot);
        }
        self.break_off(&mut exchange);
        if exchange.has_begun_answer() {
            let reason = match failure {
                Failure::Malformed(_) | Failure::OutOfStep => CutReason::InstanceMalformed,
                Failure::Refused | Failure::Ended | Failure::Broken => cut_by,
            };
            self.note_failure(slot, &exchange);
            // What was passed on so far is still delivered; the cut is what the client must see, not a clean end.
            let _ = client.output.flush(&mut client.stream, &mut self.buffers);
            return self.abandon(client, exchange, Terminal::Cut(reason));
        }
        let at = self.instances.slot_of(slot);
        if reused && matches!(failure, Failure::Ended | Failure::Broken | Failure::OutOfStep) {
            // A kept connection that the instance was about to close, or that was not in step, says nothing about how it serves this request.
            exchange.fresh_only = true;
            if progress == Progress::NeverSent {
                exchange.sending.sent = 0;
                exchange.attempt = Attempt::None;
                self.mailbox.counts().series(exchange.series).retries.add(1);
                return Step::Again(Phase::Exchange(exchange));
            }
            exchange.tries.note_sent(None);
        } else {
            self.note_failure(slot, &exchange);
            match (failure, progress) {
                (Failure::Refused, _) => exchange.tries.note_refused(at),
                (_, Progress::NeverSent) => exchange.tries.note_unsent(at),
                _ => exchange.tries.note_sent(at),
            }
        }
        let cause = match failure {
            Failure::Refused => OurAnswer::ConnectFailed,
            Failure::Ended | Failure::Broken => dropped_by(cut_by),
            Failure::OutOfStep => OurAnswer::InstanceMalformed,
            Failure::Malformed(reject) => {
                tracing::debug!(%reject, "instance answered what is no HTTP");
                return self.answer(client, exchange, OurAnswer::InstanceMalformed);
            }
        };
        self.retry_or_answer(client, exchange, progress, cause)
    }
}
