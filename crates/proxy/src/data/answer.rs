//! The proxy's own answers.

use std::fmt::{Display, Write as _};

use gapless_exchange::Left;
use gapless_http1::{Persistence, RequestContext, Version, reason_phrase};
use gapless_routing::{Fallback, OurAnswer};

use super::client::{Client, Flushed, Phase};
use super::drive::Step;
use super::exchange::{Exchange, Receiving};
use super::slab::Key;
use super::worker::{Drain, Worker};

/// An answer of ours, as text.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    /// The key of the reason, for people and programs.
    pub(super) reason: &'a str,
    pub(super) detail: Option<&'a dyn Display>,
    pub(super) close: bool,
    /// The request was `HEAD`: no body.
    pub(super) head: bool,
}

impl Answer<'_> {
    pub(super) fn render(&self) -> String {
        let mut body = format!("{}: {}", reason_phrase(self.status), self.reason);
        if let Some(detail) = self.detail {
            let _ = write!(body, ": {detail}");
        }
        body.push('\n');
        let mut text = String::with_capacity(256 + body.len());
        let _ = write!(
            text,
            "HTTP/1.1 {} {}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nX-Gapless-Reason: {}\r\n",
            self.status,
            reason_phrase(self.status),
            body.len(),
            self.reason
        );
        if self.status == 503 {
            text.push_str("Retry-After: 1\r\n");
        }
        text.push_str(if self.close { "Connection: close\r\n\r\n" } else { "\r\n" });
        if !self.head {
            text.push_str(&body);
        }
        text
    }
}

impl Worker {
    /// Answers a request ourselves. Its attempt, if there is one, is broken off.
    ///
    /// The connection goes on if the whole request was received; otherwise nobody would know where the next begins.
    pub(super) fn answer(&mut self, client: &mut Client, mut exchange: Box<Exchange>, reason: OurAnswer) -> Step {
        let close = self.must_close(&exchange);
        let head = exchange.asked.context == RequestContext::Head;
        let answer = Answer { status: reason.status(), reason: reason.key(), detail: None, close, head };
        let text = answer.render();
        let left = exchange.core.handle_answered_by_us(reason, reason.status());
        self.answer_with(client, exchange, left, text.as_bytes(), close)
    }

    /// The answer that the service's operator wants given while no release has weight.
    pub(super) fn answer_fallback(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        fallback: &Fallback,
    ) -> Step {
        let close = self.must_close(&exchange);
        let mut text = format!(
            "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n",
            fallback.status,
            reason_phrase(fallback.status),
            fallback.content_type,
            fallback.body.len()
        );
        if let Some(seconds) = fallback.retry_after_s {
            let _ = write!(text, "Retry-After: {seconds}\r\n");
        }
        text.push_str(if close { "Connection: close\r\n\r\n" } else { "\r\n" });
        if exchange.asked.context == RequestContext::Other {
            text.push_str(&fallback.body);
        }
        let left = exchange.core.handle_answered_by_us(OurAnswer::Fallback, fallback.status);
        self.answer_with(client, exchange, left, text.as_bytes(), close)
    }

    fn must_close(&self, exchange: &Exchange) -> bool {
        !exchange.sending.complete
            || exchange.asked.persistence == Persistence::Close
            || exchange.asked.version == Version::Http10
            || self.drain != Drain::No
    }

    fn answer_with(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        left: Option<Left<Key>>,
        text: &[u8],
        close: bool,
    ) -> Step {
        if let Some(left) = left {
            self.backend.close(&left);
        }
        exchange.receiving = Receiving::Done;
        exchange.close = close;
        // What is not taken now is flushed by the exchange's own turn; so is a broken connection noticed there.
        let _ = client.output.send(&mut client.stream, &mut self.buffers, text);
        Step::Again(Phase::Exchange(exchange))
    }

    /// Answers what was no request, and ends the connection.
    pub(super) fn say_and_linger(&mut self, client: &mut Client, answer: &Answer<'_>) -> Step {
        match client.output.send(&mut client.stream, &mut self.buffers, answer.render().as_bytes()) {
            Flushed::All | Flushed::Some => self.linger(),
            Flushed::Broken => Step::Close,
        }
    }
}
