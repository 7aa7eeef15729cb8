//! The ledger: every request gets exactly one end.

use gapless_exchange::Delivery;
use gapless_histogram::bucket_of_us;
use gapless_routing::Terminal;

use super::context::Context;
use super::exchange::Exchange;
use super::step::Step;
use crate::data::frontend::client::Client;
use crate::seam::{AccessRecord, SeriesCells};

/// Writes the end of a request into the ledger.
pub(crate) fn record(exchange: &mut Exchange, client: &Client, cx: &Context, terminal: Terminal) {
    let core = &exchange.core;
    let duration_us = cx.clock.now_us().saturating_sub(core.accepted_us());
    let cells = cx.counts().series(core.series().index());
    if core.was_held() {
        count_hold(cells, core.held_ms() * 1_000);
    }
    cells.ended(terminal);
    if matches!(terminal, Terminal::Answered(_)) {
        cells.latency[bucket_of_us(duration_us)].add(1);
    }
    if let Some(draft) = exchange.draft.take() {
        let state = core.last_slot().and_then(|slot| cx.backend.instances().get(slot.index()));
        cx.record(AccessRecord {
            accepted_unix_us: draft.accepted_unix_us,
            client: client.peer,
            method: draft.method,
            host: draft.host,
            target: draft.target,
            instance: state.map(|state| state.id.clone()),
            status: Some(core.status()).filter(|status| *status != 0),
            terminal,
            attempts: core.tries().begun(),
            held_us: core.held_ms() * 1_000,
            duration_us,
            body_in: exchange.sending.body_bytes,
            body_out: exchange.receiving.body_bytes,
            request_id: draft.request_id,
        });
    }
}

/// Counts the whole wait of a request that was held.
fn count_hold(cells: &SeriesCells, held_us: u64) {
    cells.held.add(1);
    cells.held_longest_us.raise(held_us);
    cells.held_us[bucket_of_us(held_us)].add(1);
}

/// Gives up a request: its attempt is broken off, the ledger gets its end, its connection is closed by the caller.
pub(crate) fn give_up(exchange: &mut Exchange, client: &Client, cx: &mut Context, terminal: Terminal) -> Step {
    let delivery = if client.output.is_empty() { Delivery::Taken } else { Delivery::Outstanding };
    if let Some((left, terminal)) = exchange.core.give_up(terminal, delivery) {
        if let Some(left) = left {
            cx.backend.close(&left);
        }
        if matches!(terminal, Terminal::Cut(_)) && exchange.receiving.ends_by_closing() {
            // A clean end would say that the answer is whole.
            client.stream.reset_on_close();
        }
        record(exchange, client, cx, terminal);
    }
    Step::Close
}
