//! Between requests: reading a head, and making an exchange of it.

use gapless_exchange::{Method, Request};
use gapless_http1::{
    Field, Forwarding, Framing, Inbound, RequestContext, RequestHead, Slots, parse_request, write_request,
};
use gapless_routing::{Asker, KeySent, OurAnswer, PeerTrust};

use super::client::{Client, Flushed, Phase};
use super::dispatch::Question;
use super::drive::Step;
use super::exchange::{Asked, Draft, Exchange, Protocol};
use super::socket::ReadOutcome;
use super::worker::{Scratch, Worker};

impl Worker {
    /// ## Waiting => Waiting | Exchange | Lingering | closed
    pub(super) fn serve_waiting(&mut self, client: &mut Client, scratch: &mut Scratch) -> Step {
        match client.output.flush(&mut client.stream, &mut self.buffers) {
            Flushed::All => {}
            // The client does not take its answers: it gets no further ones.
            Flushed::Some => return Step::Wait(Phase::Waiting),
            Flushed::Broken => return Step::Close,
        }
        if client.has_leftover {
            // The next request of a pipeline, or a part of one, came with the one before.
            client.has_leftover = false;
            if let Some(step) = self.offer_input(client) {
                return step;
            }
        }
        loop {
            let count = match client.stream.read(&mut scratch.read) {
                ReadOutcome::Bytes(count) => count,
                ReadOutcome::Blocked => {
                    if !client.input.is_empty() {
                        client.stream.await_rest();
                    }
                    return Step::Wait(Phase::Waiting);
                }
                // The end between requests, or inside a head that nobody will complete.
                ReadOutcome::Ended | ReadOutcome::Broken(_) => return Step::Close,
            };
            client.progress_ms = self.clock.now_ms();
            client.head_began_ms.get_or_insert(client.progress_ms);
            if client.input.is_empty() {
                if let Some(step) = self.offer(client, &scratch.read[..count]) {
                    return step;
                }
                self.buffers.append(&mut client.input, &scratch.read[..count]);
            } else {
                self.buffers.append(&mut client.input, &scratch.read[..count]);
                if let Some(step) = self.offer_input(client) {
                    return step;
                }
            }
        }
    }

    /// [`Worker::offer`] for what was kept.
    fn offer_input(&mut self, client: &mut Client) -> Option<Step> {
        let input = std::mem::take(&mut client.input);
        client.head_began_ms.get_or_insert(self.clock.now_ms());
        let step = self.offer(client, &input);
        match step {
            Some(_) => self.buffers.take_back(input),
            None => client.input = input,
        }
        step
    }

    /// Reads a head from `bytes`. None when it is not all there. What is left behind the head goes to the client's input.
    fn offer(&mut self, client: &mut Client, bytes: &[u8]) -> Option<Step> {
        let mut slots = Slots::new();
        let head = match parse_request(bytes, &mut slots) {
            Ok(Some(head)) => head,
            Ok(None) => return None,
            Err(reject) => return Some(self.reject(client, bytes, reject)),
        };
        let rest = &bytes[head.length..];
        self.buffers.append(&mut client.input, rest);
        let exchange = self.begin(client, &head);
        if let (Some(limit), Framing::Counted(length)) = (self.settings.body_bytes_max, head.framing)
            && length > limit
        {
            return Some(self.answer(client, exchange, OurAnswer::BodyTooLarge));
        }
        let line = |name: &str| head.lines.find(name);
        let question = Question {
            asker: Asker { address: exchange.asked.address, line: &line },
            host: head.host.as_bytes(),
            target: head.target.as_bytes(),
        };
        Some(self.dispatch(client, exchange, &question))
    }

    /// An exchange with nothing sent: the head is rendered for whichever instance will get it.
    fn begin(&mut self, client: &mut Client, head: &RequestHead<'_, '_>) -> Box<Exchange> {
        client.head_began_ms = None;
        let mut buffer = self.buffers.lend();
        let forwarding = Forwarding {
            peer_line: &client.lines.peer,
            protocol_line: client.lines.protocol,
            request_id: self.ids.next(),
            inbound: client.lines.inbound,
        };
        write_request(&mut buffer, head, &forwarding);
        let asked = Asked {
            address: client.address_of(head),
            version: head.version,
            persistence: head.persistence,
            context: if head.method.is_head() { RequestContext::Head } else { RequestContext::Other },
            expects_continue: head.expects_continue,
            upgrade: head.upgrade.map(Protocol::new),
            preview: preview_of(head).map(Into::into),
            trust: match client.lines.inbound {
                Inbound::Trusted => PeerTrust::Trusted,
                Inbound::Dropped => PeerTrust::Stranger,
            },
        };
        let method = if head.method.is_idempotent() { Method::Idempotent } else { Method::Other };
        let keyed = method == Method::Other && head.lines.find("idempotency-key").is_some();
        let request = Request { method, key: if keyed { KeySent::Yes } else { KeySent::No } };
        let mut exchange = self.new_exchange(request, asked, head.framing, buffer);
        if self.records.is_some() {
            let id = head.kept_request_id(client.lines.inbound).unwrap_or(self.ids.last());
            exchange.draft = Some(Box::new(Draft {
                accepted_unix_us: self.clock.unix_us(),
                method: head.method.as_str().to_owned(),
                host: head.host.to_owned(),
                target: head.target.to_owned(),
                request_id: String::from_utf8_lossy(id).into_owned(),
            }));
        }
        exchange
    }
}

/// The preview that a request names: the line with a token where there are several.
fn preview_of<'b>(head: &RequestHead<'_, 'b>) -> Option<&'b [u8]> {
    let values = || head.lines.values(Field::Preview);
    values().find(|value| value.contains(&b':')).or_else(|| values().next())
}
