//! From a request to a connection of the instance that will answer it.

use std::net::SocketAddr;

use gapless_http1::{Slots, parse_rendered};
use gapless_model::{HoldLimits, ServiceName};
use gapless_routing::{
    Asker, BodyKept, Draw, Fallback, Intake, KeySent, OurAnswer, Pool, PreviewAsked, Progress, RetryAsk, Slot, choose,
    may_retry,
};

use super::checkout::NoConnection;
use super::client::{Client, Phase};
use super::drive::Step;
use super::exchange::{Attempt, Exchange, Replay};
use super::instances::View;
use super::slab::Key;
use super::worker::Worker;

/// What of a request decides where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) asker: Asker<'a>,
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
                            exchange.tries.note_refused(Some(slot));
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
        let line = |name: &str| head.lines.find(name);
        let question = Question {
            asker: Asker { address: exchange.asked.address, line: &line },
            host: head.host.as_bytes(),
            target: head.target.as_bytes(),
        };
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
            sends: exchange.tries.sends(),
            unsent: exchange.tries.unsent(),
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
        let draw =
            Draw { chance: self.ids.chance(), turn: self.turn_next(), asker: question.asker, now: self.clock.tick() };
        let Some(found) = self.table.find(question.host, question.target) else {
            exchange.series = Self::unmatched();
            return Decision::Ours(OurAnswer::NoRoute);
        };
        let service = found.service;
        exchange.series = found.service_route().series.index();
        let asked = exchange.asked.preview.as_deref().map(|value| service.preview_asked(value, exchange.asked.trust));
        let preview = match (found.preview, asked) {
            (Some(pool), _) => Some(pool),
            (None, Some(PreviewAsked::Reaches(pool))) => Some(pool),
            (None, Some(PreviewAsked::Absent)) => {
                exchange.series = found.service_route().previews.index();
                return Decision::Ours(OurAnswer::NoPreview);
            }
            (None, Some(PreviewAsked::Ignored) | None) => None,
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
        let mut instance = None;
        // Others first; then those that took the connection though they failed the request, for an instance that takes connections
        // serves, and nobody else is to be held for the sake of this request.
        for left_out in [exchange.tries.tried(), exchange.tries.refusing()] {
            instance = choose(pool, &view, left_out, draw);
            let usable = |pool: &Pool| choose(pool, &view, left_out, draw).is_some();
            if instance.is_none()
                && preview.is_none()
                && let Some(other) = service.split_among(draw.chance, draw.now, usable)
            {
                pool = other;
                instance = choose(pool, &view, left_out, draw);
            }
            if instance.is_some() {
                break;
            }
        }
        exchange.series = match preview {
            Some(_) => found.service_route().previews.index(),
            None => pool.series(found.route).index(),
        };
        match instance {
            Some(instance) => {
                if exchange.policy.is_none() || exchange.tries.begun() > 0 {
                    exchange.policy = Some(pool.policy().clone());
                }
                Decision::Instance { slot: instance.slot, serial: instance.serial, address: instance.address }
            }
            // Whoever previews asks of one release alone: the service serves, and nobody waits on a preview's account.
            None if preview.is_some() => Decision::Ours(exchange.failure.unwrap_or(OurAnswer::NoInstance)),
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
        exchange.tries.begin();
        exchange.attempt_us = self.clock.now_us();
        exchange.last_slot = u32::try_from(slot).ok();
        if exchange.tries.begun() == 1 {
            self.retry_budget.deposit();
        }
        let kept = if exchange.fresh_only { None } else { self.check_out(client, slot, exchange) };
        let (upstream, reused) = match kept {
            Some(kept) => (kept.key(), true),
            None => (self.connect(client, slot, serial, address)?, false),
        };
        self.mailbox.counts().in_flight(slot).add(1);
        if let Some(state) = self.instances.get_mut(slot) {
            state.in_flight += 1;
        }
        exchange.attempt = Attempt::On { upstream, slot, reused };
        Ok(())
    }
}
