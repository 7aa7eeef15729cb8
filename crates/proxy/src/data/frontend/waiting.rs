//! Between requests: reading a head, and making an exchange of it.

use gapless_exchange::{Method, Request};
use gapless_http1::{
    Field, Forwarding, Framing, Inbound, RequestContext, RequestHead, Slots, parse_request, write_request,
};
use gapless_routing::{KeySent, OurAnswer, PeerTrust};

use super::client::Client;
use super::refused::{Refused, head_timeout, reject};
use crate::data::drive::asked::{Asked, Protocol};
use crate::data::drive::context::Context;
use crate::data::drive::dispatch::dispatch;
use crate::data::drive::exchange::{Draft, Exchange};
use crate::data::drive::ours;
use crate::data::drive::step::Step;
use crate::data::io::output::Flushed;
use crate::data::io::socket::ReadOutcome;
use crate::data::settings::Settings;

/// Between requests, or in a head that is not whole.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    /// Whether the client's input came with an earlier request and was not looked at since.
    has_leftover: bool,
    /// When the first byte of the head at hand came, in milliseconds of the thread's clock; none between requests. Set once per head, so that no later byte
    /// prolongs it.
    head_began_ms: Option<u64>,
}

impl Waiting {
    /// Behind a request.
    pub(crate) fn behind(client: &Client) -> Self {
        Self { has_leftover: !client.input.is_empty(), head_began_ms: None }
    }

    /// ## Waiting => Waiting | Exchange | Lingering | closed
    pub(crate) fn turn(&mut self, client: &mut Client, cx: &mut Context) -> Step {
        match client.flush(&mut cx.buffers) {
            Flushed::All => {}
            // The client does not take its answers: it gets no further ones.
            Flushed::Some => return Step::Wait,
            Flushed::Broken => return Step::Close,
        }
        if std::mem::take(&mut self.has_leftover) {
            // The next request of a pipeline, or a part of one, came with the one before.
            if let Some(step) = self.offer_input(client, cx) {
                return step;
            }
        }
        let mut read = std::mem::take(&mut cx.scratch.read);
        let step = self.read_head(client, cx, &mut read);
        cx.scratch.read = read;
        step
    }

    fn read_head(&mut self, client: &mut Client, cx: &mut Context, read: &mut [u8]) -> Step {
        loop {
            let count = match client.stream.read(read) {
                ReadOutcome::Bytes(count) => count,
                ReadOutcome::Blocked => {
                    if !client.input.is_empty() {
                        client.stream.await_rest();
                    }
                    return Step::Wait;
                }
                // The end between requests, or inside a head that nobody will complete.
                ReadOutcome::Ended | ReadOutcome::Broken(_) => return Step::Close,
            };
            client.progress_ms = cx.clock.now_ms();
            let bytes = &read[..count];
            let step = if client.input.is_empty() {
                let step = self.offer(client, cx, bytes);
                if step.is_none() {
                    cx.buffers.append(&mut client.input, bytes);
                }
                step
            } else {
                cx.buffers.append(&mut client.input, bytes);
                self.offer_input(client, cx)
            };
            if let Some(step) = step {
                return step;
            }
        }
    }

    /// When to look next at the latest, if nothing happens before.
    #[inline]
    pub(crate) fn look_next_ms(&self, client: &Client, settings: &Settings) -> u64 {
        match self.head_began_ms {
            Some(began_ms) => began_ms.saturating_add(settings.head_timeout_ms).saturating_add(1),
            None => client.progress_ms.saturating_add(settings.keep_alive_ms).saturating_add(1),
        }
    }

    /// Closes a connection that is idle for too long, and answers a head that does not come.
    pub(crate) fn look(&mut self, client: &mut Client, cx: &mut Context) -> Step {
        let now_ms = cx.clock.now_ms();
        let Some(began_ms) = self.head_began_ms else {
            let idle = now_ms.saturating_sub(client.progress_ms) > cx.settings.keep_alive_ms;
            // Where its last answer is still on its way it is not idle.
            let goes_on = !cx.is_cutting() && (!idle || client.is_taking(now_ms, cx.settings.write_stall_ms));
            return if goes_on { Step::Wait } else { Step::Close };
        };
        if !cx.is_cutting() && now_ms.saturating_sub(began_ms) <= cx.settings.head_timeout_ms {
            return Step::Wait;
        }
        let bytes = std::mem::take(&mut client.input);
        let step = head_timeout(Refused { bytes: &bytes, began_ms }, client, cx);
        cx.buffers.take_back(bytes);
        step
    }

    /// [`Waiting::offer`] for what was kept.
    fn offer_input(&mut self, client: &mut Client, cx: &mut Context) -> Option<Step> {
        let input = std::mem::take(&mut client.input);
        let step = self.offer(client, cx, &input);
        match step {
            Some(_) => cx.buffers.take_back(input),
            None => client.input = input,
        }
        step
    }

    /// Reads a head from `bytes`. None when it is not all there. What is left behind the head goes to the client's input.
    fn offer(&mut self, client: &mut Client, cx: &mut Context, bytes: &[u8]) -> Option<Step> {
        let began_ms = *self.head_began_ms.get_or_insert(cx.clock.now_ms());
        let mut slots = Slots::new();
        let head = match parse_request(bytes, &mut slots) {
            Ok(Some(head)) => head,
            Ok(None) => return None,
            Err(reason) => return Some(reject(Refused { bytes, began_ms }, client, cx, reason)),
        };
        cx.buffers.append(&mut client.input, &bytes[head.length..]);
        let mut exchange = begin(client, cx, &head);
        let step = match (cx.settings.body_bytes_max, head.framing) {
            (Some(limit), Framing::Counted(length)) if length > limit => {
                ours::answer(&mut exchange, client, cx, OurAnswer::BodyTooLarge)
            }
            _ => dispatch(&mut exchange, client, cx, &head),
        };
        Some(match step {
            Step::Close => {
                cx.recycle(exchange);
                Step::Close
            }
            _ => Step::Serve(exchange),
        })
    }
}

/// An exchange with nothing sent: the head is rendered for whichever instance will get it.
fn begin(client: &Client, cx: &mut Context, head: &RequestHead<'_, '_>) -> Box<Exchange> {
    let inbound = client.lines.inbound;
    let mut rendered = cx.buffers.lend();
    let forwarding = Forwarding {
        peer_line: &client.lines.peer,
        protocol_line: client.lines.protocol,
        request_id: cx.ids.next(),
        inbound,
    };
    write_request(&mut rendered, head, &forwarding);
    let asked = Asked {
        address: client.address_of(head),
        version: head.version,
        persistence: head.persistence,
        context: if head.method.is_head() { RequestContext::Head } else { RequestContext::Other },
        expects_continue: head.expects_continue,
        upgrade: head.upgrade.map(Protocol::new),
        preview: preview_of(head).map(Into::into),
        trust: match inbound {
            Inbound::Trusted => PeerTrust::Trusted,
            Inbound::Dropped => PeerTrust::Stranger,
        },
    };
    let method = if head.method.is_idempotent() { Method::Idempotent } else { Method::Other };
    let keyed = method == Method::Other && head.lines.find("idempotency-key").is_some();
    let request = Request { method, key: if keyed { KeySent::Yes } else { KeySent::No } };
    let mut exchange = cx.begin_exchange(request, asked, head.framing, rendered);
    if cx.records.is_some() {
        let id = head.kept_request_id(inbound).unwrap_or(cx.ids.last());
        exchange.draft = Some(Box::new(Draft {
            accepted_unix_us: cx.clock.unix_us(),
            method: head.method.as_str().to_owned(),
            host: head.host.to_owned(),
            target: head.target.to_owned(),
            request_id: String::from_utf8_lossy(id).into_owned(),
        }));
    }
    exchange
}

/// The preview that a request names: the line with a token where there are several.
fn preview_of<'b>(head: &RequestHead<'_, 'b>) -> Option<&'b [u8]> {
    let values = || head.lines.values(Field::Preview);
    values().find(|value| value.contains(&b':')).or_else(|| values().next())
}
