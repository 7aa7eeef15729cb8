//! What is late. Looked at a few times a second for all connections together, so that no request arms a timer.

use gapless_routing::{CutReason, OurAnswer, Progress, Terminal};

use super::answer::Answer;
use super::client::{Client, Phase};
use super::drive::Step;
use super::exchange::{Attempt, Exchange, Receiving, Replay};
use super::slab::Key;
use super::tunnel::Ending;
use super::upstream::Duty;
use super::worker::{Drain, Scratch, Worker};
use crate::seam::Event;

/// How long a client that has ended its side is waited for: it may have ended only the one direction, which is legal and rare,
/// or be gone without telling, which is common.
const HALF_CLOSED_MS: u64 = 30_000;

/// What is due for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    /// Close it; nobody loses anything.
    Close,
    /// Its head did not come in time.
    HeadTimeout,
    /// Its request is answered by us, if nothing was answered yet, or else cut.
    Answer(OurAnswer, CutReason),
    /// It waited as long as it may.
    HoldTimeout,
    /// Its instance does not take the connection.
    ConnectTimeout,
    /// The client is gone.
    ClientLeft,
    /// Something about the end of a tunnel.
    Tunnel,
}

impl Worker {
    pub(super) fn sweep(&mut self, scratch: &mut Scratch) {
        let mut keys = Vec::new();
        self.clients.keys_where(&mut keys, |client| self.due(client) != Due::Nothing);
        for key in keys {
            self.overdue(key, scratch);
        }
        self.sweep_idle();
        self.probe_held(scratch);
        self.compare_peers();
        self.note_returns();
        self.resume_listeners();
        self.check_drained();
    }

    /// What is due for a connection now.
    fn due(&self, client: &Client) -> Due {
        let now_ms = self.clock.now_ms();
        let still_ms = now_ms.saturating_sub(client.progress_ms);
        let stalled = !client.output.is_empty() && still_ms > self.settings.write_stall_ms;
        let cut = matches!(self.drain, Drain::Until { ms } if now_ms >= ms);
        match &client.phase {
            Phase::Waiting if stalled => Due::Close,
            Phase::Waiting if client.input.is_empty() && (cut || still_ms > self.settings.keep_alive_ms) => Due::Close,
            Phase::Waiting if client.input.is_empty() => Due::Nothing,
            Phase::Waiting if now_ms.saturating_sub(client.head_began_ms) > self.settings.head_timeout_ms || cut => {
                Due::HeadTimeout
            }
            Phase::Waiting => Due::Nothing,
            Phase::Exchange(_) if cut => Due::Answer(OurAnswer::Quitting, CutReason::Quitting),
            Phase::Exchange(_) if stalled => Due::Answer(OurAnswer::ClientTooSlow, CutReason::ClientStalled),
            Phase::Exchange(exchange) => self.due_exchange(client, exchange, now_ms, still_ms),
            Phase::Tunnel(tunnel) if cut && !matches!(tunnel.ending, Ending::Asked(_) | Ending::Told(_)) => Due::Tunnel,
            Phase::Tunnel(tunnel) if tunnel.is_due(now_ms) => Due::Tunnel,
            Phase::Tunnel(_) => Due::Nothing,
            Phase::Lingering { until_ms, .. } if now_ms >= *until_ms => Due::Close,
            Phase::Lingering { .. } => Due::Nothing,
        }
    }

    fn due_exchange(&self, client: &Client, exchange: &Exchange, now_ms: u64, still_ms: u64) -> Due {
        let Some(policy) = &exchange.policy else {
            return match exchange.attempt {
                Attempt::Held if now_ms >= exchange.held_until_ms => Due::HoldTimeout,
                _ => Due::Nothing,
            };
        };
        let attempt_ms = exchange.attempt_us / 1_000;
        match (&exchange.attempt, &exchange.receiving) {
            (Attempt::Held, _) if now_ms >= exchange.held_until_ms => Due::HoldTimeout,
            (Attempt::Held | Attempt::None | Attempt::Over, _) => Due::Nothing,
            (Attempt::On { reused: false, .. }, Receiving::Head)
                // Where what was sent is no longer kept, `sent` counts from the last bytes that were dropped.
                if exchange.is_unsent()
                    && exchange.sending.replay == Replay::Kept
                    && now_ms.saturating_sub(attempt_ms) > policy.connect_timeout.0 =>
            {
                Due::ConnectTimeout
            }
            (Attempt::On { .. }, Receiving::Head) if exchange.sending.complete => {
                let since_ms = now_ms.saturating_sub(exchange.complete_ms.max(attempt_ms));
                if since_ms > policy.response_timeout.0 {
                    Due::Answer(OurAnswer::ResponseTimeout, CutReason::InstanceStalled)
                } else if client.stream.is_ended() && since_ms > HALF_CLOSED_MS {
                    Due::ClientLeft
                } else {
                    Due::Nothing
                }
            }
            (Attempt::On { .. }, _) if !exchange.sending.complete => {
                if !exchange.is_all_sent() {
                    return if still_ms > policy.idle_timeout.0 {
                        Due::Answer(OurAnswer::ResponseTimeout, CutReason::InstanceStalled)
                    } else {
                        Due::Nothing
                    };
                }
                let taken_ms = now_ms.saturating_sub(exchange.accepted_us / 1_000);
                let slow = taken_ms > self.settings.body_grace_ms
                    && exchange.sending.body_bytes < self.settings.body_rate_min * taken_ms / 1_000;
                if slow { Due::Answer(OurAnswer::ClientTooSlow, CutReason::ClientStalled) } else { Due::Nothing }
            }
            (Attempt::On { .. }, _) if client.output.is_empty() && still_ms > policy.idle_timeout.0 => {
                Due::Answer(OurAnswer::ResponseTimeout, CutReason::InstanceStalled)
            }
            (Attempt::On { .. }, _) => Due::Nothing,
        }
    }

    /// Does what is due for one connection.
    fn overdue(&mut self, key: Key, scratch: &mut Scratch) {
        let Some(mut client) = self.clients.take(key) else { return };
        let due = self.due(&client);
        let phase = std::mem::replace(&mut client.phase, Phase::Waiting);
        let step = match (due, phase) {
            (Due::HeadTimeout, Phase::Waiting) => self.head_timeout(&mut client),
            (Due::Tunnel, Phase::Tunnel(mut tunnel)) => {
                if matches!(tunnel.ending, Ending::None | Ending::At(_)) && tunnel.ask_end(self.clock.now_ms()) {
                    Step::Again(Phase::Tunnel(tunnel))
                } else {
                    self.end_tunnel(&mut client, tunnel, Terminal::Cut(CutReason::TunnelDrainDeadline))
                }
            }
            (due, Phase::Exchange(exchange)) => self.overdue_exchange(&mut client, exchange, due),
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

    fn overdue_exchange(&mut self, client: &mut Client, mut exchange: Box<Exchange>, due: Due) -> Step {
        if exchange.attempt == Attempt::Held {
            self.holds.remove(exchange.hold_number);
            self.end_hold(&mut exchange);
        }
        match due {
            Due::HoldTimeout => {
                let cause = exchange.failure.unwrap_or(OurAnswer::HoldTimeout);
                self.answer(client, exchange, cause)
            }
            Due::ConnectTimeout => {
                if let Attempt::On { slot, .. } = exchange.attempt {
                    self.note_failure(slot, &exchange);
                    exchange.tried.extend(self.instances.slot_of(slot));
                }
                self.break_off(&mut exchange);
                self.retry_or_answer(client, exchange, Progress::NeverSent, OurAnswer::ConnectTimeout)
            }
            Due::Answer(reason, _) if !exchange.has_begun_answer() => {
                if let (OurAnswer::ResponseTimeout, Attempt::On { slot, .. }) = (reason, exchange.attempt) {
                    self.note_failure(slot, &exchange);
                }
                self.answer(client, exchange, reason)
            }
            Due::Answer(_, reason) => self.abandon(client, exchange, Terminal::Cut(reason)),
            Due::ClientLeft => self.abandon(client, exchange, Terminal::ClientLeft),
            Due::Nothing | Due::Close | Due::HeadTimeout | Due::Tunnel => Step::Wait(Phase::Exchange(exchange)),
        }
    }

    fn head_timeout(&mut self, client: &mut Client) -> Step {
        let reason = OurAnswer::ClientTooSlow;
        self.mailbox.counts().series(Self::unmatched()).ended(Terminal::AnsweredByUs(reason));
        let answer = Answer { status: reason.status(), reason: reason.key(), detail: None, close: true, head: false };
        self.say_and_linger(client, &answer)
    }

    /// Closes connections to instances that were idle for too long.
    fn sweep_idle(&mut self) {
        let now_ms = self.clock.now_ms();
        let mut late = Vec::new();
        self.upstreams.keys_where(&mut late, |upstream| {
            matches!(upstream.duty, Duty::Idle { since_ms } if now_ms.saturating_sub(since_ms) >= upstream.idle_max_ms)
        });
        let closed = !late.is_empty();
        for key in late {
            self.close_upstream(key);
        }
        // Numbers of connections that are gone are skipped when one is taken; here they are cleared away.
        let upstreams = &mut self.upstreams;
        for (_, state) in self.instances.iter_mut() {
            if closed || state.idle.len() > 64 {
                state.idle.retain(|&key| upstreams.get_mut(key).is_some());
            }
        }
    }

    /// Tells, once, when a proxy that goes away serves nothing any more.
    fn check_drained(&mut self) {
        if let Drain::Until { ms } = self.drain
            && (self.clients.len() == 0 || self.clock.now_ms() >= ms + 3_000)
        {
            self.drain = Drain::Over;
            self.tell(Event::Drained);
        }
    }
}
