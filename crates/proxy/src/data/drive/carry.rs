//! One exchange's turn: carry the request one way and the answer the other, and say what came of it.

use gapless_exchange::{Failure, Todo};
use gapless_http1::{Inbound, Reject};
use gapless_routing::{CutReason, OurAnswer, Terminal};

use super::context::Context;
use super::dispatch::dispatch_again;
use super::exchange::Exchange;
use super::failed::attempt_failed;
use super::flow::{Carried, Flow, Refused};
use super::receiving::Answering;
use super::sending::Uploading;
use super::step::Step;
use super::{hold, ours, outcome};
use crate::data::backend::idle::Speaker;
use crate::data::backend::upstream::{Duty, Upstream};
use crate::data::frontend::client::Client;
use crate::data::io::output::Flushed;

/// ## Exchange => Waiting | Exchange | Tunnel | Lingering | closed
pub(crate) fn turn(exchange: &mut Exchange, client: &mut Client, cx: &mut Context) -> Step {
    match exchange.core.poll() {
        Todo::Carry => {}
        Todo::Route => return dispatch_again(exchange, client, cx),
        Todo::Wait if client.stream.is_ended() => return hold::leave(exchange, client, cx),
        Todo::Wait => return Step::Wait,
        Todo::Deliver => return finish(exchange, client, cx),
        Todo::Tunnel | Todo::Forget => {
            tracing::error!("BUG: an exchange has its turn that is none");
            return outcome::give_up(exchange, client, cx, Terminal::Cut(CutReason::Internal));
        }
    }
    let taken = exchange.core.attempt().map(|attempt| attempt.carrier());
    let Some((key, mut upstream)) = taken.and_then(|key| Some((key, cx.backend.take(key)?))) else {
        tracing::error!("BUG: the connection of an exchange is gone");
        return outcome::give_up(exchange, client, cx, Terminal::Cut(CutReason::Internal));
    };
    let before = client.stream.written() + upstream.stream.written();
    let carried = carry(exchange, client, &mut upstream, cx);
    if client.stream.written() + upstream.stream.written() != before {
        client.progress_ms = cx.clock.now_ms();
    }
    cx.backend.put_back(key, upstream);
    match carried {
        Ok(()) => Step::Wait,
        Err(Carried::Over) => {
            if let Some(left) = exchange.core.handle_exchanged() {
                let speaker = if client.lines.inbound == Inbound::Trusted { Speaker::Proxy } else { Speaker::Client };
                cx.backend.keep(&left, client.key, &exchange.finished(speaker), cx.clock.now_ms());
            }
            finish(exchange, client, cx)
        }
        Err(Carried::Switched(first)) => Step::Switch(first),
        Err(Carried::ClientLeft) => outcome::give_up(exchange, client, cx, Terminal::ClientLeft),
        Err(Carried::BodyRefused(refused)) => body_refused(exchange, client, cx, refused),
        Err(Carried::InstanceFailed(failure)) => attempt_failed(exchange, client, cx, failure),
    }
}

/// Carries both ways until both wait.
///
/// # Errors
/// What ends the carrying.
fn carry(
    exchange: &mut Exchange,
    client: &mut Client,
    upstream: &mut Upstream,
    cx: &mut Context,
) -> Result<(), Carried> {
    if let Duty::Connecting { client: key } = upstream.duty {
        if !upstream.stream.is_writable() {
            return if client.stream.is_hung_up() { Err(Carried::ClientLeft) } else { Ok(()) };
        }
        upstream.stream.connect_outcome().map_err(|_| Carried::InstanceFailed(Failure::Refused))?;
        upstream.duty = Duty::Busy { client: key };
        cx.holds.release_all();
    }
    let unsent = !(exchange.sending.complete && exchange.sending.is_all_sent());
    exchange.receiving.overtaken = upstream.stream.is_readable() && unsent;
    let sent = send(exchange, client, upstream, cx)?;
    let received = receive(exchange, client, upstream, cx)?;
    if sent == Flow::More || received == Flow::More {
        cx.again.push(client.key);
    }
    let is_over = match (sent, received) {
        (Flow::Done, Flow::Done) => true,
        // The answer is whole and the instance takes no more: the rest of the request is of no use to anybody.
        (_, Flow::Done) => upstream.stream.is_ended() || upstream.stream.is_hung_up() || exchange.receiving.close,
        _ => false,
    };
    match is_over {
        true => Err(Carried::Over),
        false if client.stream.is_hung_up() => Err(Carried::ClientLeft),
        false => Ok(()),
    }
}

#[inline]
fn send(
    exchange: &mut Exchange,
    client: &mut Client,
    upstream: &mut Upstream,
    cx: &mut Context,
) -> Result<Flow, Carried> {
    let Exchange { core, asked, sending, .. } = exchange;
    let replay_bytes_max = if core.has_begun_answer() {
        None
    } else {
        Some(core.policy().map_or(0, |policy| policy.replay_bytes_max as usize))
    };
    sending.advance(&mut Uploading {
        core,
        asked,
        client,
        instance: &mut upstream.stream,
        read: &mut cx.scratch.read,
        buffers: &mut cx.buffers,
        now_ms: cx.clock.now_ms(),
        replay_bytes_max,
        body_bytes_max: cx.settings.body_bytes_max,
    })
}

#[inline]
fn receive(
    exchange: &mut Exchange,
    client: &mut Client,
    upstream: &mut Upstream,
    cx: &mut Context,
) -> Result<Flow, Carried> {
    let Exchange { core, asked, sending, receiving, .. } = exchange;
    let had_begun = core.has_begun_answer();
    let (persistence, idle_max_ms, now_ms) = (cx.persistence(), cx.settings.idle_max_ms, cx.clock.now_ms());
    let (buffers, counts) = (&mut cx.buffers, cx.reporter.counts());
    let mut answering =
        Answering { core, asked, sending, client, upstream, buffers, counts, now_ms, persistence, idle_max_ms };
    let received = receiving.advance(&mut answering, &mut cx.scratch);
    if let (false, true, Some(slot)) = (had_begun, core.has_begun_answer(), core.last_slot()) {
        cx.note_answer(slot, core);
    }
    received
}

/// The instance is done with. When the client has taken everything, the request has its end.
fn finish(exchange: &mut Exchange, client: &mut Client, cx: &mut Context) -> Step {
    match client.flush(&mut cx.buffers) {
        Flushed::All => {}
        Flushed::Some => return Step::Wait,
        Flushed::Broken => return outcome::give_up(exchange, client, cx, Terminal::ClientLeft),
    }
    if let Some(terminal) = exchange.core.handle_delivered() {
        outcome::record(exchange, client, cx, terminal);
    }
    client.progress_ms = cx.clock.now_ms();
    let close = exchange.receiving.close || !exchange.sending.complete;
    if close { Step::Linger } else { Step::AwaitRequest }
}

fn body_refused(exchange: &mut Exchange, client: &mut Client, cx: &mut Context, refused: Refused) -> Step {
    if exchange.core.has_begun_answer() {
        return outcome::give_up(exchange, client, cx, Terminal::Cut(CutReason::ClientMalformed));
    }
    let reason = match refused {
        Refused::TooLong => OurAnswer::BodyTooLarge,
        Refused::Malformed(Reject::TrailersTooLarge) => OurAnswer::HeadTooLarge,
        Refused::Malformed(_) => OurAnswer::BadRequest,
    };
    ours::answer(exchange, client, cx, reason)
}
