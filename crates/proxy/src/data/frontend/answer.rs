//! The proxy's own answers, as text.

use std::fmt::{Display, Write as _};

use gapless_http1::{RequestContext, reason_phrase};
use gapless_routing::Fallback;

/// An answer of ours, as text.
pub(crate) struct Answer<'a> {
    pub(crate) status: u16,
    /// The key of the reason, for people and programs.
    pub(crate) reason: &'a str,
    pub(crate) detail: Option<&'a dyn Display>,
    pub(crate) close: bool,
    /// The request was `HEAD`: no body.
    pub(crate) head: bool,
}

impl Answer<'_> {
    pub(crate) fn render(&self) -> String {
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

/// The answer that a service's operator wants given while no release has weight.
pub(crate) fn render_fallback(fallback: &Fallback, close: bool, context: RequestContext) -> String {
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
    if context == RequestContext::Other {
        text.push_str(&fallback.body);
    }
    text
}
