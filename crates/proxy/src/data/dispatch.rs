//! From a request to a connection of the instance that will answer it.

use std::net::SocketAddr;

use gapless_http1::{Slots, parse_rendered};
use gapless_model::{HoldLimits, ServiceName};
use gapless_routing::{
    BodyKept, Draw, Fallback, Intake, KeySent, OurAnswer, Pool, Progress, RetryAsk, Slot, choose, may_retry,
};
use rustix::io::Errno;

use super::client::{Client, Phase};
use super::drive::Step;
use super::exchange::{Attempt, Exchange, Replay};
use super::instances::View;
use super::slab::Key;
use super::socket::{self, Connected};
use super::stream::Stream;
use super::upstream::{Duty, Upstream};
use super::worker::{EVERYTHING, Token, Worker};

/// How old an idle connection may be that carries a request which must not be sent twice: the longer one is idle, the likelier
/// the instance is closing it at this moment.
const UNREPEATABLE_IDLE_MAX_MS: u64 = 1_000;

/// What of a request decides where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) host: &'a [u8],
    pub(super) target: &'a [u8],
}

/// Where a request goes.
enum Decision {
    Instance {
        slot: Slot,
        serial: u64,
        address: SocketAddr,
    },
    Hold {
        service: ServiceName,
        limits: HoldLimits,
    },
    /// Every instance was tried.
    Exhausted {
        service: ServiceName,
        limits: HoldLimits,
    },
    Fallback(Fallback),
    Ours(OurAnswer),
}

/// Why a connection could not be begun.
enum NoConnection {
    /// The instance refuses.
    Refused,
    /// We have no socket, port or memory for it.
    Exhausted,
}

impl Worker {
    /// Finds an instance for the request and gives it a connection, trying others while connections are refused at once.
    pub(super) fn dispatch(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        question: &Question<'_>,
    ) -> Step {
        loop {
            match self.decide(&mut exchange, question) {
                Decision::Instance { slot, serial, address } => {
                    match self.attempt(client.key, &mut exchange, slot, serial, address) {
                        Ok(()) => return Step::Again(Phase::Exchange(exchange)),
                        Err(NoConnection::Exhausted) => return self.answer(client, exchange, OurAnswer::Overloaded),
                        Err(NoConnection::Refused) => {
                            self.note_failure(slot.index(), &exchange);
                            exchange.tried.push(slot);
                            exchange.failure = Some(OurAnswer::ConnectFailed);
                            if let Some(refused) = self.refuse_retry(&mut exchange, Progress::NeverSent) {
                                tracing::debug!(%refused, "connection refused, request not tried again");
                                return self.answer(client, exchange, OurAnswer::ConnectFailed);
                            }
                        }
                    }
                }
                Decision::Hold { service, limits } => {
                    return self.hold(client, exchange, &service, limits, OurAnswer::HoldFull);
                }
                Decision::Exhausted { service, limits } => {
                    let cause = exchange.failure.unwrap_or(OurAnswer::ConnectFailed);
                    return self.hold(client, exchange, &service, limits, cause);
                }
                Decision::Fallback(fallback) => return self.answer_fallback(client, exchange, &fallback),
                Decision::Ours(reason) => return self.answer(client, exchange, reason),
            }
        }
    }

    /// As [`Worker::dispatch`], for a request whose head was read in an earlier turn.
    pub(super) fn dispatch_again(&mut self, client: &mut Client, exchange: Box<Exchange>) -> Step {
        // The rendered head has everything that routing looks at, but for what is not forwarded, which the exchange keeps.
        let head = exchange.sending.buffer.get(..exchange.sending.head_bytes).unwrap_or_default().to_vec();
        let mut slots = Slots::new();
        let Ok(Some(head)) = parse_rendered(&head, &mut slots) else {
            tracing::error!("BUG: a rendered head does not parse");
            return self.answer(client, exchange, OurAnswer::Internal);
        };
        let question = Question { host: head.host.as_bytes(), target: head.target.as_bytes() };
        self.dispatch(client, exchange, &question)
    }

    /// An attempt has failed before an answer began: tries again if that is allowed, else answers with `cause`.
    pub(super) fn retry_or_answer(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        progress: Progress,
        cause: OurAnswer,
    ) -> Step {
        exchange.failure = Some(cause);
        match self.refuse_retry(&mut exchange, progress) {
            None => {
                exchange.sending.sent = 0;
                exchange.attempt = Attempt::None;
                Step::Again(Phase::Exchange(exchange))
            }
            Some(refused) => {
                tracing::debug!(%refused, cause = cause.key(), "attempt failed, request not tried again");
                self.answer(client, exchange, cause)
            }
        }
    }

    /// None when the request may be tried once more, which is counted; else the rule that forbids it.
    fn refuse_retry(&mut self, exchange: &mut Exchange, progress: Progress) -> Option<gapless_routing::RetryRefused> {
        let policy = exchange.policy.as_ref()?;
        let ask = RetryAsk {
            method: if exchange.asked.idempotent { b"GET" } else { b"POST" },
            idempotency_key: if exchange.asked.has_key { KeySent::Yes } else { KeySent::No },
            progress,
            body: if exchange.sending.replay == Replay::Kept { BodyKept::Whole } else { BodyKept::Dropped },
            retries: exchange.attempts.saturating_sub(1),
        };
        match may_retry(&ask, policy, &mut self.retry_budget, self.clock.tick()) {
            Ok(permit) => {
                let cells = self.mailbox.counts().series(exchange.series);
                cells.retries.add(1);
                if permit.is_replay() {
                    cells.replays.add(1);
                }
                None
            }
            Err(refused) => Some(refused),
        }
    }

    /// Asks the routing table.
    #[inline]
    fn decide(&mut self, exchange: &mut Exchange, question: &Question<'_>) -> Decision {
        let draw = Draw {
            chance: self.ids.chance(),
            turn: self.turn_next(),
            key: exchange.accepted_us,
            now: self.clock.tick(),
        };
        let Some(found) = self.table.find(question.host, question.target) else {
            exchange.series = Self::unmatched();
            return Decision::Ours(OurAnswer::NoRoute);
        };
        let service = found.service;
        exchange.series = found.service_route().series.index();
        let preview = match (found.preview, exchange.asked.preview.as_deref()) {
            (Some(pool), _) => Some(pool),
            (None, Some(label)) => match service.preview(label) {
                Some(pool) => Some(pool),
                None => return Decision::Ours(OurAnswer::NoPreview),
            },
            (None, None) => None,
        };
        let held = || (service.name().clone(), service.hold());
        if preview.is_none() {
            let queued = exchange.hold_number == 0 && self.holds.has_waiting(service.name());
            if service.intake() == Intake::Hold || queued {
                if exchange.asked.idempotent && service.answers_health(question.target, draw.now) {
                    return Decision::Ours(OurAnswer::HeldHealth);
                }
                let (service, limits) = held();
                return Decision::Hold { service, limits };
            }
        }
        let view = View { instances: &self.instances, now_us: self.clock.now_us(), now: draw.now };
        let usable = |pool: &Pool| choose(pool, &view, &exchange.tried, draw).is_some();
        let pool = match preview {
            Some(pool) => Some(pool),
            None => service.split(draw.chance, draw.now),
        };
        let Some(mut pool) = pool else {
            return match service.fallback() {
                Some(fallback) => Decision::Fallback(fallback.clone()),
                None => Decision::Ours(OurAnswer::NoInstance),
            };
        };
        let mut instance = choose(pool, &view, &exchange.tried, draw);
        if instance.is_none()
            && preview.is_none()
            && let Some(other) = service.split_among(draw.chance, draw.now, usable)
        {
            pool = other;
            instance = choose(pool, &view, &exchange.tried, draw);
        }
        exchange.series = pool.series(found.route).index();
        match instance {
            Some(instance) => {
                if exchange.policy.is_none() || exchange.attempts > 0 {
                    exchange.policy = Some(pool.policy().clone());
                }
                Decision::Instance { slot: instance.slot, serial: instance.serial, address: instance.address }
            }
            None => {
                let (service, limits) = held();
                Decision::Exhausted { service, limits }
            }
        }
    }

    /// Gives the request a connection of the instance: an idle one that is surely open, or a new one.
    fn attempt(
        &mut self,
        client: Key,
        exchange: &mut Exchange,
        slot: Slot,
        serial: u64,
        address: SocketAddr,
    ) -> Result<(), NoConnection> {
        let slot = slot.index();
        exchange.attempts = exchange.attempts.saturating_add(1);
        exchange.attempt_us = self.clock.now_us();
        exchange.last_slot = u32::try_from(slot).ok();
        if exchange.attempts == 1 {
            self.retry_budget.deposit();
        }
        let reused = if exchange.fresh_only { None } else { self.check_out(client, slot, exchange.asked.idempotent) };
        let (upstream, reused) = match reused {
            Some(key) => (key, true),
            None => (self.connect(client, slot, serial, address)?, false),
        };
        self.mailbox.counts().in_flight(slot).add(1);
        if let Some(state) = self.instances.get_mut(slot) {
            state.in_flight += 1;
        }
        exchange.attempt = Attempt::On { upstream, slot, reused };
        Ok(())
    }

    /// Takes an idle connection out of the pool, the one used last.
    #[inline]
    fn check_out(&mut self, client: Key, slot: usize, idempotent: bool) -> Option<Key> {
        let now_ms = self.clock.now_ms();
        loop {
            let key = self.instances.get_mut(slot)?.idle.pop()?;
            let Some(upstream) = self.upstreams.get_mut(key) else { continue };
            let Duty::Idle { since_ms } = upstream.duty else { continue };
            let idle_ms = now_ms.saturating_sub(since_ms);
            let unsure = !idempotent && idle_ms > UNREPEATABLE_IDLE_MAX_MS;
            if unsure || idle_ms >= upstream.idle_max_ms {
                // Those below it are older still: they will be swept.
                self.close_upstream(key);
                return None;
            }
            if !idempotent && !socket::is_quiet(upstream.stream.socket()) {
                self.close_upstream(key);
                continue;
            }
            upstream.duty = Duty::Busy { client };
            upstream.keeps = false;
            return Some(key);
        }
    }

    fn connect(&mut self, client: Key, slot: usize, serial: u64, address: SocketAddr) -> Result<Key, NoConnection> {
        let (stream, duty) = match socket::begin_connect(address) {
            Ok(Connected::Now(socket)) => {
                self.holds.release_all();
                (Stream::connected(socket), Duty::Busy { client })
            }
            Ok(Connected::Pending(socket)) => (Stream::connecting(socket), Duty::Connecting { client }),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL) => {
                return Err(NoConnection::Exhausted);
            }
            Err(_) => return Err(NoConnection::Refused),
        };
        let idle_max_ms = self.settings.idle_max_ms;
        let key = self.upstreams.insert_with(|_| Upstream {
            stream,
            slot,
            serial,
            duty,
            input: Vec::new(),
            answered: 0,
            keeps: false,
            idle_max_ms,
        });
        self.mailbox.counts().upstream_connections.add(1);
        let registered = match self.upstreams.get_mut(key) {
            Some(upstream) => rustix::event::epoll::add(
                &self.epoll,
                upstream.stream.socket(),
                Token::Upstream(key).to_data(),
                EVERYTHING,
            ),
            None => Ok(()),
        };
        if registered.is_err() {
            self.close_upstream(key);
            return Err(NoConnection::Exhausted);
        }
        Ok(key)
    }
}
