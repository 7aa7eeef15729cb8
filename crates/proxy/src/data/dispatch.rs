//! From a request to a connection of the instance that will answer it.

use std::net::SocketAddr;

use gapless_exchange::{Connection, Decision, Excuse, Failed, Failure, Method, Next, RouteQuery, route};
use gapless_http1::{Slots, parse_rendered};
use gapless_routing::{Asker, CutReason, Draw, OurAnswer, Slot, Terminal};

use super::backend::{Assignment, Link, NoConnection, Wants};
use super::client::{Client, Phase};
use super::drive::Step;
use super::exchange::Exchange;
use super::instances::Verdict;
use super::worker::Worker;

/// What of a request's head decides where it goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub(super) asker: Asker<'a>,
    pub(super) host: &'a [u8],
    pub(super) target: &'a [u8],
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
                    match self.assign(client, &mut exchange, slot, serial, address) {
                        Ok(()) => return Step::Again(Phase::Exchange(exchange)),
                        Err(NoConnection::Exhausted) => return self.answer(client, exchange, OurAnswer::Overloaded),
                        Err(NoConnection::Refused) => {
                            self.note_failure(slot, &exchange);
                            let failed = self.failed(&exchange, Failure::Refused);
                            if let Err((reason, refused)) =
                                exchange.core.handle_refused(slot, &failed, &mut self.retry_budget)
                            {
                                tracing::debug!(?refused, "connection refused, request not tried again");
                                return self.answer(client, exchange, reason);
                            }
                            self.mailbox.counts().series(exchange.core.series().index()).retries.add(1);
                        }
                    }
                }
                Decision::Hold { service, limits } => {
                    return self.hold(client, exchange, &service, limits, OurAnswer::HoldFull);
                }
                Decision::Exhausted { service, limits } => {
                    let cause = exchange.core.failure().unwrap_or(OurAnswer::ConnectFailed);
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

    /// The instance failed the request: it is to be routed again, or what its client's connection comes to.
    pub(super) fn attempt_failed(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        failure: Failure,
    ) -> Step {
        let slot = exchange.core.attempt().map(|attempt| attempt.slot());
        let failed = self.failed(&exchange, failure);
        if let (Failure::OutOfStep, Some(slot)) = (failure, slot) {
            self.backend.note_surplus(slot.index());
        }
        match exchange.core.handle_failed(&failed, &mut self.retry_budget) {
            Some(Next::Retry { left, excuse, replay }) => {
                self.backend.close(&left);
                self.note_excuse(left.slot(), excuse, &exchange);
                let cells = self.mailbox.counts().series(exchange.core.series().index());
                cells.retries.add(1);
                if replay {
                    cells.replays.add(1);
                }
                exchange.sending.sent = 0;
                Step::Again(Phase::Exchange(exchange))
            }
            Some(Next::Answer { left, excuse, reason, refused }) => {
                self.backend.close(&left);
                self.note_excuse(left.slot(), excuse, &exchange);
                if let Some(refused) = refused {
                    tracing::debug!(%refused, cause = reason.key(), "attempt failed, request not tried again");
                }
                self.answer(client, exchange, reason)
            }
            Some(Next::Cut(reason)) => {
                if let Some(slot) = slot {
                    self.note_failure(slot, &exchange);
                }
                // What was passed on so far is still delivered; the cut is what the client must see, not a clean end.
                let _ = client.output.flush(&mut client.stream, &mut self.buffers);
                self.abandon(client, exchange, Terminal::Cut(reason))
            }
            None => {
                tracing::error!("BUG: an attempt failed that there is not");
                self.abandon(client, exchange, Terminal::Cut(CutReason::Internal))
            }
        }
    }

    /// What is known of a failed attempt.
    fn failed(&mut self, exchange: &Exchange, failure: Failure) -> Failed {
        Failed {
            failure,
            reached: self.reached(exchange),
            body: exchange.body_kept(),
            dropped: self.dropped(exchange),
            now_us: self.clock.now_us(),
            now: self.clock.tick(),
        }
    }

    fn note_excuse(&mut self, slot: Slot, excuse: Excuse, exchange: &Exchange) {
        match excuse {
            Excuse::None => self.note_failure(slot, exchange),
            Excuse::KeptConnection => {}
        }
    }

    /// Asks the routing table.
    #[inline]
    fn decide(&mut self, exchange: &mut Exchange, question: &Question<'_>) -> Decision {
        let draw =
            Draw { chance: self.ids.chance(), turn: self.turn_next(), asker: question.asker, now: self.clock.tick() };
        let Exchange { core, asked, .. } = exchange;
        let query = RouteQuery {
            host: question.host,
            target: question.target,
            preview: asked.preview.as_deref(),
            trust: asked.trust,
            draw,
        };
        let view = self.backend.view(self.clock.now_us(), draw.now);
        route(core, &self.table, &view, &query, |service| self.holds.has_waiting(service))
    }

    /// Gives the request a connection of the instance: an idle one that is surely open, or a new one.
    fn assign(
        &mut self,
        client: &Client,
        exchange: &mut Exchange,
        slot: Slot,
        serial: u64,
        address: SocketAddr,
    ) -> Result<(), NoConnection> {
        if exchange.core.tries().begun() == 0 {
            self.retry_budget.deposit();
        }
        let wants = match (exchange.core.wants_new_connection(), exchange.core.request().method) {
            (true, _) => Wants::New,
            (false, Method::Idempotent) => Wants::Any,
            (false, Method::Other) => Wants::Recent,
        };
        let now_ms = self.clock.now_ms();
        let assigned = self.backend.assign(&Assignment { client: client.key, slot, serial, address, wants, now_ms })?;
        exchange.core.handle_assigned(slot, assigned.carrier, assigned.connection, self.clock.now_us());
        if assigned.connection == Connection::New && assigned.link == Link::Up {
            // It takes connections.
            self.holds.release_all();
        }
        Ok(())
    }

    /// The instance has begun to answer.
    #[inline]
    pub(super) fn note_answer(&mut self, slot: Slot, exchange: &Exchange, status: u16) {
        if status >= 500 {
            return self.note_failure(slot, exchange);
        }
        let at_us = self.clock.now_us();
        let began_us = exchange.core.attempt().map_or(at_us, |attempt| attempt.began_us());
        let verdict = Verdict::Answered { at_us, latency_us: at_us.saturating_sub(began_us) };
        self.backend.judge(slot.index(), verdict, self.clock.tick());
    }

    /// The instance has failed a request.
    pub(super) fn note_failure(&mut self, slot: Slot, exchange: &Exchange) {
        let eject_after = exchange.core.policy().map_or(0, |policy| policy.eject_after_failures);
        self.backend.judge(slot.index(), Verdict::Failed { eject_after }, self.clock.tick());
    }
}
