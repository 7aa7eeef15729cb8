//! What was no request: it is answered, counted and written to the access log like one.

use gapless_http1::Reject;
use gapless_routing::{OurAnswer, Series, Terminal};

use super::answer::Answer;
use super::client::Client;
use crate::data::drive::context::Context;
use crate::data::drive::step::Step;
use crate::data::io::output::Flushed;
use crate::seam::AccessRecord;

/// Bytes of a refused head in which its request line is looked for. Longer ones are recorded as far as that.
const START_LINE_BYTES_MAX: usize = 2_048;

/// What came instead of a head.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Refused<'b> {
    pub(crate) bytes: &'b [u8],
    /// When the first of them came, in milliseconds of the thread's clock.
    pub(crate) began_ms: u64,
}

/// The bytes are no request we serve: say so and close, for nobody knows where the next one would begin.
pub(crate) fn reject(head: Refused<'_>, client: &mut Client, cx: &mut Context, reject: Reject) -> Step {
    let reason = match reject.status() {
        400 => OurAnswer::BadRequest,
        431 => OurAnswer::HeadTooLarge,
        _ => OurAnswer::NotServed,
    };
    let answer =
        Answer { status: reject.status(), reason: reason.key(), detail: Some(&reject), close: true, head: false };
    refuse(head, client, cx, (reason, &answer))
}

/// The head did not come in time.
pub(crate) fn head_timeout(head: Refused<'_>, client: &mut Client, cx: &mut Context) -> Step {
    let reason = OurAnswer::ClientTooSlow;
    let answer = Answer { status: reason.status(), reason: reason.key(), detail: None, close: true, head: false };
    refuse(head, client, cx, (reason, &answer))
}

fn refuse(
    head: Refused<'_>,
    client: &mut Client,
    cx: &mut Context,
    (reason, answer): (OurAnswer, &Answer<'_>),
) -> Step {
    let terminal = Terminal::AnsweredByUs(reason);
    cx.counts().series(Series::UNMATCHED.index()).ended(terminal);
    let duration_us = cx.clock.now_us().saturating_sub(head.began_ms * 1_000);
    if cx.records.is_some() {
        let (method, target) = start_line(head.bytes);
        cx.record(AccessRecord {
            accepted_unix_us: cx.clock.unix_us().saturating_sub(duration_us),
            client: client.peer,
            method,
            host: String::new(),
            target,
            instance: None,
            status: Some(answer.status),
            terminal,
            attempts: 0,
            held_us: 0,
            duration_us,
            body_in: 0,
            body_out: 0,
            request_id: String::new(),
        });
    }
    match client.send(&mut cx.buffers, answer.render().as_bytes()) {
        Flushed::All | Flushed::Some => Step::Linger,
        Flushed::Broken => Step::Close,
    }
}

/// Method and target as far as there are any in what was no request.
fn start_line(bytes: &[u8]) -> (String, String) {
    let bytes = &bytes[..bytes.len().min(START_LINE_BYTES_MAX)];
    let line = bytes.trim_ascii_start().split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ').map(|word| String::from_utf8_lossy(word).into_owned());
    (words.next().unwrap_or_default(), words.next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::start_line;

    #[test]
    fn a_refused_request_is_recorded_as_far_as_it_can_be_read() {
        for (bytes, method, target) in [
            (&b"GET /x HTTP/1.1\r\nHost a"[..], "GET", "/x"),
            (b"\r\n\r\nPOST /y", "POST", "/y"),
            (b"GET", "GET", ""),
            (b"", "", ""),
            (b"\x16\x03\x01\xff", "\u{16}\u{3}\u{1}\u{fffd}", ""),
        ] {
            assert_eq!(start_line(bytes), (method.to_owned(), target.to_owned()));
        }
        assert_eq!(start_line(&[b'a'; 5_000]).0.len(), super::START_LINE_BYTES_MAX);
    }
}
