//! Requests that we answer ourselves.

use gapless_exchange::Left;
use gapless_http1::{Persistence, RequestContext, Version};
use gapless_routing::{Fallback, OurAnswer};

use super::context::Context;
use super::exchange::Exchange;
use super::step::Step;
use crate::data::frontend::answer::{Answer, render_fallback};
use crate::data::frontend::client::Client;
use crate::data::io::slab::Key;

/// Answers a request ourselves. Its attempt, if there is one, is broken off.
///
/// The connection goes on if the whole request was received; otherwise nobody would know where the next begins.
pub(crate) fn answer(exchange: &mut Exchange, client: &mut Client, cx: &mut Context, reason: OurAnswer) -> Step {
    let close = must_close(exchange, cx);
    let head = exchange.asked.context == RequestContext::Head;
    let text = Answer { status: reason.status(), reason: reason.key(), detail: None, close, head }.render();
    let left = exchange.core.handle_answered_by_us(reason, reason.status());
    answer_with(exchange, client, cx, &Ours { left, text, close })
}

/// The answer that the service's operator wants given while no release has weight.
pub(crate) fn fall_back(exchange: &mut Exchange, client: &mut Client, cx: &mut Context, fallback: &Fallback) -> Step {
    let close = must_close(exchange, cx);
    let text = render_fallback(fallback, close, exchange.asked.context);
    let left = exchange.core.handle_answered_by_us(OurAnswer::Fallback, fallback.status);
    answer_with(exchange, client, cx, &Ours { left, text, close })
}

fn must_close(exchange: &Exchange, cx: &Context) -> bool {
    !exchange.sending.complete
        || exchange.asked.persistence == Persistence::Close
        || exchange.asked.version == Version::Http10
        || cx.persistence() == Persistence::Close
}

struct Ours {
    /// The attempt that is broken off.
    left: Option<Left<Key>>,
    text: String,
    close: bool,
}

fn answer_with(exchange: &mut Exchange, client: &mut Client, cx: &mut Context, ours: &Ours) -> Step {
    if let Some(left) = &ours.left {
        cx.backend.close(left);
    }
    exchange.receiving.replaced(ours.close);
    // What is not taken now is flushed by the exchange's own turn; so is a broken connection noticed there.
    let _ = client.send(&mut cx.buffers, ours.text.as_bytes());
    Step::Again
}
