//! What was no request: it is answered, counted and written to the access log like one.

use gapless_http1::Reject;
use gapless_routing::{OurAnswer, Series, Terminal};

use super::answer::Answer;
use super::client::Client;
use super::drive::Step;
use super::worker::Worker;
use crate::seam::AccessRecord;

/// Bytes of a refused head in which its request line is looked for. Longer ones are recorded as far as that.
const START_LINE_BYTES_MAX: usize = 2_048;

impl Worker {
    /// The bytes are no request we serve: say so and close, for nobody knows where the next one would begin.
    pub(super) fn reject(&mut self, client: &mut Client, bytes: &[u8], reject: Reject) -> Step {
        let reason = match reject.status() {
            400 => OurAnswer::BadRequest,
            431 => OurAnswer::HeadTooLarge,
            _ => OurAnswer::NotServed,
        };
        let text =
            Answer { status: reject.status(), reason: reason.key(), detail: Some(&reject), close: true, head: false };
        self.refuse(client, bytes, reason, &text)
    }

    /// The head did not come in time.
    pub(super) fn head_timeout(&mut self, client: &mut Client) -> Step {
        let reason = OurAnswer::ClientTooSlow;
        let answer = Answer { status: reason.status(), reason: reason.key(), detail: None, close: true, head: false };
        let bytes = std::mem::take(&mut client.input);
        let step = self.refuse(client, &bytes, reason, &answer);
        self.buffers.take_back(bytes);
        step
    }

    fn refuse(&mut self, client: &mut Client, bytes: &[u8], reason: OurAnswer, answer: &Answer<'_>) -> Step {
        let terminal = Terminal::AnsweredByUs(reason);
        self.mailbox.counts().series(Series::UNMATCHED.index()).ended(terminal);
        let began_ms = client.head_began_ms.take().unwrap_or(self.clock.now_ms());
        let duration_us = self.clock.now_us().saturating_sub(began_ms * 1_000);
        if self.records.is_some() {
            let (method, target) = start_line(bytes);
            self.record(AccessRecord {
                accepted_unix_us: self.clock.unix_us().saturating_sub(duration_us),
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
        self.say_and_linger(client, answer)
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
