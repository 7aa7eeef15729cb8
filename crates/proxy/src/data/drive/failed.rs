//! An attempt that failed: what is known of it, and what follows.

use gapless_exchange::{Excuse, Failed, Failure, Next, Reached};
use gapless_routing::{BodyKept, CutReason, Slot, Terminal};

use super::context::Context;
use super::exchange::Exchange;
use super::step::Step;
use super::{ours, outcome};
use crate::data::frontend::client::Client;

/// The instance failed the request: it is to be routed again, or what its client's connection comes to.
pub(crate) fn attempt_failed(exchange: &mut Exchange, client: &mut Client, cx: &mut Context, failure: Failure) -> Step {
    let slot = exchange.core.attempt().map(|attempt| attempt.slot());
    let failed = what_failed(exchange, cx, failure);
    if let (Failure::OutOfStep, Some(slot)) = (failure, slot) {
        cx.backend.note_surplus(slot.index());
    }
    match exchange.core.handle_failed(&failed, &mut cx.retry_budget) {
        Some(Next::Retry { left, excuse, replay }) => {
            cx.backend.close(&left);
            note_excuse(left.slot(), excuse, exchange, cx);
            let cells = cx.counts().series(exchange.core.series().index());
            cells.retries.add(1);
            if replay {
                cells.replays.add(1);
            }
            exchange.sending.sent = 0;
            Step::Again
        }
        Some(Next::Answer { left, excuse, reason, refused }) => {
            cx.backend.close(&left);
            note_excuse(left.slot(), excuse, exchange, cx);
            if let Some(refused) = refused {
                tracing::debug!(%refused, cause = reason.key(), "attempt failed, request not tried again");
            }
            ours::answer(exchange, client, cx, reason)
        }
        Some(Next::Cut(reason)) => {
            if let Some(slot) = slot {
                cx.note_failure(slot, &exchange.core);
            }
            // What was passed on so far is still delivered; the cut is what the client must see, not a clean end.
            let _ = client.flush(&mut cx.buffers);
            outcome::give_up(exchange, client, cx, Terminal::Cut(reason))
        }
        None => {
            tracing::error!("BUG: an attempt failed that there is not");
            outcome::give_up(exchange, client, cx, Terminal::Cut(CutReason::Internal))
        }
    }
}

/// What is known of a failed attempt.
pub(crate) fn what_failed(exchange: &Exchange, cx: &Context, failure: Failure) -> Failed {
    Failed {
        failure,
        reached: reached(exchange, cx),
        body: exchange.sending.body_kept(),
        dropped: cx.dropped(&exchange.core),
        now_us: cx.clock.now_us(),
        now: cx.clock.tick(),
    }
}

/// How much of the request its instance can have seen. Where it ended the connection, its end carries its acknowledgement, so what its system had
/// received by then is known exactly. (A broken connection proves nothing: a reset carries none.)
fn reached(exchange: &Exchange, cx: &Context) -> Reached {
    let Exchange { core, sending, .. } = exchange;
    let reached = sending.reached();
    let Some(attempt) = core.attempt() else { return reached };
    let unacknowledged = || cx.backend.get(attempt.carrier()).and_then(|upstream| upstream.stream.unacknowledged());
    let kept = sending.body_kept() == BodyKept::Whole;
    match reached {
        Reached::Some if kept && unacknowledged() >= Some(sending.sent as u64) => Reached::Unseen,
        _ => reached,
    }
}

fn note_excuse(slot: Slot, excuse: Excuse, exchange: &Exchange, cx: &mut Context) {
    match excuse {
        Excuse::None => cx.note_failure(slot, &exchange.core),
        Excuse::KeptConnection => {}
    }
}
