//! The ledger: every request gets exactly one end.

use gapless_histogram::bucket_of_us;
use gapless_model::{InstanceId, Millis};
use gapless_routing::{CutReason, OurAnswer, Series, StatusClass, Terminal};

use super::client::Client;
use super::exchange::{Attempt, Exchange};
use super::worker::Worker;
use crate::seam::AccessRecord;

impl Worker {
    /// Writes the end of a request into the ledger.
    pub(super) fn settle(&mut self, client: &Client, exchange: &mut Exchange, terminal: Terminal) {
        debug_assert!(!exchange.settled, "BUG: two ends of one request in the ledger");
        exchange.settled = true;
        self.count_hold(exchange);
        let duration_us = self.clock.now_us().saturating_sub(exchange.accepted_us);
        let cells = self.mailbox.counts().series(exchange.series);
        cells.ended(terminal);
        if matches!(terminal, Terminal::Answered(_)) {
            cells.latency[bucket_of_us(duration_us)].add(1);
        }
        if let Some(draft) = exchange.draft.take() {
            let record = AccessRecord {
                accepted_unix_us: draft.accepted_unix_us,
                client: client.peer,
                method: draft.method,
                host: draft.host,
                target: draft.target,
                instance: self.last_instance(exchange),
                status: (exchange.status != 0).then_some(exchange.status),
                terminal,
                attempts: exchange.tries.begun(),
                held_us: exchange.held_ms * 1_000,
                duration_us,
                body_in: exchange.sending.body_bytes,
                body_out: exchange.body_out,
                request_id: draft.request_id,
            };
            self.record(record);
        }
    }

    /// Hands a record to the access log. What does not fit is dropped and counted.
    pub(super) fn record(&self, record: AccessRecord) {
        if self.records.as_ref().is_some_and(|records| records.try_send(record).is_err()) {
            self.mailbox.counts().dropped.add(1);
        }
    }

    /// How an answer that was given whole ends in the ledger.
    pub(super) fn whole(exchange: &Exchange) -> Terminal {
        match exchange.ours {
            Some(reason) => Terminal::AnsweredByUs(reason),
            None => Terminal::Answered(StatusClass::of(exchange.status)),
        }
    }

    /// Why an answer that had begun was cut when its instance dropped it. Asked before the exchange leaves the instance: then nobody knows
    /// any more whether it lasted.
    pub(super) fn cut_by(&self, slot: usize, exchange: &Exchange) -> CutReason {
        let patience = exchange.policy.as_ref().map_or(Millis::ZERO, |policy| match exchange.lasting {
            true => policy.drain_timeout.max(policy.tunnel_drain_timeout),
            false => policy.drain_timeout,
        });
        if self.drain_is_over(slot, patience) { CutReason::DrainDeadline } else { CutReason::InstanceClosed }
    }

    /// Whether an instance left the table so long ago that whoever waits for its requests waits no more: it is stopped with what it
    /// still has, and that is our doing. (Nobody begins to wait before this table is in use, so the time is up here no later than
    /// there.)
    pub(super) fn drain_is_over(&self, slot: usize, patience: Millis) -> bool {
        let left_ms = self.instances.get(slot).and_then(|state| state.left_ms);
        left_ms.is_some_and(|left_ms| self.clock.now_ms() >= left_ms.saturating_add(patience.0))
    }

    fn last_instance(&self, exchange: &Exchange) -> Option<InstanceId> {
        let slot = match exchange.attempt {
            Attempt::On { slot, .. } => slot,
            _ => usize::try_from(exchange.last_slot?).ok()?,
        };
        self.instances.get(slot).map(|state| state.id.clone())
    }

    /// The series for what no service was found for.
    pub(super) fn unmatched() -> usize {
        Series::UNMATCHED.index()
    }
}

/// What a request is answered that its instance dropped without an answer, by why an answer would have been cut.
pub(super) fn dropped_by(cut_by: CutReason) -> OurAnswer {
    match cut_by {
        CutReason::DrainDeadline => OurAnswer::DrainDeadline,
        _ => OurAnswer::InstanceClosed,
    }
}
