//! Requests that wait while no instance may serve them: in order, so many at most, so long at most.

use gapless_exchange::{HoldAsk, Holding};
use gapless_model::{HoldLimits, ServiceName};
use gapless_routing::{OurAnswer, Terminal};

use super::context::Context;
use super::exchange::Exchange;
use super::holds::WaitsFor;
use super::step::Step;
use super::{ours, outcome};
use crate::data::frontend::answer::Answer;
use crate::data::frontend::client::Client;

/// The reason that a client is told when it has ended its side and so does not wait.
const LEFT_HOLD: &str = "client_left";

/// Why a request is to wait.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) service: ServiceName,
    pub(crate) limits: HoldLimits,
    /// The answer when it may not wait any more.
    pub(crate) cause: OurAnswer,
}

/// Lets a request wait, or answers when it may not wait any more.
pub(crate) fn hold(exchange: &mut Exchange, client: &mut Client, cx: &mut Context, wish: &Wish) -> Step {
    let Wish { service, limits, cause } = wish;
    if client.stream.is_ended() {
        return leave(exchange, client, cx);
    }
    let place = exchange.core.handle_no_instance(&HoldAsk {
        limits: *limits,
        waiting_max: (limits.requests_max as usize).div_ceil(cx.threads),
        waiting: cx.holds.waiting_of(service),
        number: cx.holds.number_next(),
        now_ms: cx.clock.now_ms(),
    });
    let waits_for = if exchange.core.failure().is_some() { WaitsFor::Connection } else { WaitsFor::Table };
    if place == Holding::Refused {
        return ours::answer(exchange, client, cx, *cause);
    }
    cx.holds.insert(service, place, client.key, waits_for);
    cx.counts().holding.add(1);
    Step::Wait
}

/// A client that has ended its side does not wait: nearly always it is gone, a place in the hold is worth more, and no instance has
/// seen its request. One that still reads is told so.
pub(crate) fn leave(exchange: &mut Exchange, client: &mut Client, cx: &mut Context) -> Step {
    end(exchange, cx);
    let step = outcome::give_up(exchange, client, cx, Terminal::ClientLeft);
    let answer = Answer { status: 503, reason: LEFT_HOLD, detail: None, close: true, head: false };
    let _ = client.send(&mut cx.buffers, answer.render().as_bytes());
    step
}

/// A held request is held no more, for whatever reason: counts how long it was.
pub(crate) fn end(exchange: &mut Exchange, cx: &mut Context) {
    if let Some(number) = exchange.core.place_held() {
        cx.holds.remove(number);
        let_go(exchange, cx);
    }
}

/// As [`end`], for one that is out of its queue already.
pub(crate) fn let_go(exchange: &mut Exchange, cx: &Context) {
    cx.counts().holding.take(1);
    exchange.core.handle_let_go(cx.clock.now_ms());
}
