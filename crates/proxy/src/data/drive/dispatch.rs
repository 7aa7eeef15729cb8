//! From a request to a connection of the instance that will answer it.

use std::net::SocketAddr;

use gapless_exchange::{Connection, Decision, Failure, Method, RouteQuery, route};
use gapless_http1::{RequestHead, Slots, parse_rendered};
use gapless_routing::{Asker, Draw, OurAnswer, Slot};

use super::context::Context;
use super::exchange::Exchange;
use super::hold::{Wish, hold};
use super::step::Step;
use super::{failed, ours};
use crate::data::backend::connections::{Assignment, Link, NoConnection, Wants};
use crate::data::frontend::client::Client;
use crate::data::io::slab::Key;

/// An instance that was chosen.
#[derive(Debug, Clone, Copy)]
struct Chosen {
    slot: Slot,
    serial: u64,
    address: SocketAddr,
}

/// Finds an instance for the request and gives it a connection, trying others while connections are refused at once.
pub(crate) fn dispatch(
    exchange: &mut Exchange,
    client: &mut Client,
    cx: &mut Context,
    head: &RequestHead<'_, '_>,
) -> Step {
    let (wish, cause) = loop {
        match decide(exchange, cx, head) {
            Decision::Instance { slot, serial, address } => {
                match assign(exchange, client.key, cx, Chosen { slot, serial, address }) {
                    Ok(()) => return Step::Again,
                    Err(NoConnection::Exhausted) => return ours::answer(exchange, client, cx, OurAnswer::Overloaded),
                    Err(NoConnection::Refused) => {
                        if let Err(reason) = refused(exchange, cx, slot) {
                            return ours::answer(exchange, client, cx, reason);
                        }
                    }
                }
            }
            Decision::Hold { service, limits } => break ((service, limits), OurAnswer::HoldFull),
            Decision::Exhausted { service, limits } => {
                break ((service, limits), exchange.core.failure().unwrap_or(OurAnswer::ConnectFailed));
            }
            Decision::Fallback(fallback) => return ours::fall_back(exchange, client, cx, &fallback),
            Decision::Ours(reason) => return ours::answer(exchange, client, cx, reason),
        }
    };
    let (service, limits) = wish;
    hold(exchange, client, cx, &Wish { service, limits, cause })
}

/// As [`dispatch`], for a request whose head was read in an earlier turn.
pub(crate) fn dispatch_again(exchange: &mut Exchange, client: &mut Client, cx: &mut Context) -> Step {
    // The rendered head has everything that routing looks at, but for what is not forwarded, which the exchange keeps.
    let head = exchange.sending.head().to_vec();
    let mut slots = Slots::new();
    let Ok(Some(head)) = parse_rendered(&head, &mut slots) else {
        tracing::error!("BUG: a rendered head does not parse");
        return ours::answer(exchange, client, cx, OurAnswer::Internal);
    };
    dispatch(exchange, client, cx, &head)
}

/// The instance takes no connection.
///
/// # Errors
/// What the client is answered where no other instance may be tried.
fn refused(exchange: &mut Exchange, cx: &mut Context, slot: Slot) -> Result<(), OurAnswer> {
    cx.note_failure(slot, &exchange.core);
    let failed = failed::what_failed(exchange, cx, Failure::Refused);
    exchange.core.handle_refused(slot, &failed, &mut cx.retry_budget).map_err(|(reason, refused)| {
        tracing::debug!(?refused, "connection refused, request not tried again");
        reason
    })?;
    cx.counts().series(exchange.core.series().index()).retries.add(1);
    Ok(())
}

/// Asks the routing table.
#[inline]
fn decide(exchange: &mut Exchange, cx: &mut Context, head: &RequestHead<'_, '_>) -> Decision {
    let Exchange { core, asked, .. } = exchange;
    let line = |name: &str| head.lines.find(name);
    let asker = Asker { address: asked.address, line: &line };
    let draw = Draw { chance: cx.ids.chance(), turn: cx.choice_next(), asker, now: cx.clock.tick() };
    let query = RouteQuery {
        host: head.host.as_bytes(),
        target: head.target.as_bytes(),
        preview: asked.preview.as_deref(),
        trust: asked.trust,
        draw,
    };
    let view = cx.backend.view(cx.clock.now_us(), draw.now);
    route(core, &cx.table, &view, &query, |service| cx.holds.has_waiting(service))
}

/// Gives the request a connection of the instance: an idle one that is surely open, or a new one.
fn assign(exchange: &mut Exchange, client: Key, cx: &mut Context, chosen: Chosen) -> Result<(), NoConnection> {
    let core = &mut exchange.core;
    if core.tries().begun() == 0 {
        cx.retry_budget.deposit();
    }
    let wants = match (core.wants_new_connection(), core.request().method) {
        (true, _) => Wants::New,
        (false, Method::Idempotent) => Wants::Any,
        (false, Method::Other) => Wants::Recent,
    };
    let Chosen { slot, serial, address } = chosen;
    let now_ms = cx.clock.now_ms();
    let assigned = cx.backend.assign(&Assignment { client, slot, serial, address, wants, now_ms })?;
    core.handle_assigned(slot, assigned.carrier, assigned.connection, cx.clock.now_us());
    if assigned.connection == Connection::New && assigned.link == Link::Up {
        // It takes connections.
        cx.holds.release_all();
    }
    Ok(())
}
