//! The ledger: every request gets exactly one end.

use gapless_histogram::bucket_of_us;
use gapless_routing::{CutReason, Terminal};

use super::client::Client;
use super::exchange::Exchange;
use super::worker::Worker;
use crate::seam::AccessRecord;

impl Worker {
    /// Writes the end of a request into the ledger.
    pub(super) fn record_outcome(&mut self, client: &Client, exchange: &mut Exchange, terminal: Terminal) {
        self.count_hold(exchange);
        let duration_us = self.clock.now_us().saturating_sub(exchange.core.accepted_us());
        let core = &exchange.core;
        let cells = self.mailbox.counts().series(core.series().index());
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
                instance: core
                    .last_slot()
                    .and_then(|slot| self.backend.instances().get(slot.index()))
                    .map(|state| state.id.clone()),
                status: Some(core.status()).filter(|status| *status != 0),
                terminal,
                attempts: core.tries().begun(),
                held_us: core.held_ms() * 1_000,
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

    /// Why an answer is cut that its instance drops now. Asked before the exchange leaves the instance: then nobody knows any more whether it lasted.
    pub(super) fn dropped(&self, exchange: &Exchange) -> CutReason {
        let patience = exchange.core.drain_patience();
        let over = exchange
            .core
            .attempt()
            .is_some_and(|attempt| self.backend.drain_is_over(attempt.slot().index(), patience, self.clock.now_ms()));
        if over { CutReason::DrainDeadline } else { CutReason::InstanceClosed }
    }
}
