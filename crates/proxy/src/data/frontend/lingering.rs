//! After the last answer.

use super::client::Client;
use crate::data::drive::context::Context;
use crate::data::drive::step::Step;
use crate::data::io::output::Flushed;
use crate::data::io::socket::ReadOutcome;

/// How much a client may send after its last answer.
const LINGER_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How long it may go on sending, in milliseconds.
const LINGER_MS: u64 = 5_000;

/// The last answer was given and our end of the connection is closed. What the client still sends is read and thrown
/// away, so that the system does not reset the connection before the answer was read.
#[derive(Debug)]
pub(crate) struct Lingering {
    /// Bytes that are still put up with.
    patience: u64,
    /// Until when, in milliseconds of the thread's clock.
    until_ms: u64,
    our_end: OurEnd,
}

/// Whether the client was told that nothing more comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OurEnd {
    Untold,
    Told,
}

impl Lingering {
    /// From now on.
    pub(crate) fn begin(now_ms: u64) -> Self {
        Self { patience: LINGER_BYTES_MAX, until_ms: now_ms + LINGER_MS, our_end: OurEnd::Untold }
    }

    /// ## Lingering => closed
    pub(crate) fn turn(&mut self, client: &mut Client, cx: &mut Context) -> Step {
        match client.flush(&mut cx.buffers) {
            Flushed::All => {}
            Flushed::Some => return Step::Wait,
            Flushed::Broken => return Step::Close,
        }
        if self.our_end == OurEnd::Untold {
            self.our_end = OurEnd::Told;
            client.stream.end_sending();
        }
        loop {
            match client.stream.read(&mut cx.scratch.read) {
                ReadOutcome::Bytes(count) if count as u64 <= self.patience => self.patience -= count as u64,
                ReadOutcome::Blocked => return Step::Wait,
                ReadOutcome::Bytes(_) | ReadOutcome::Ended | ReadOutcome::Broken(_) => return Step::Close,
            }
        }
    }

    /// When to look next at the latest.
    pub(crate) fn look_next_ms(&self) -> u64 {
        self.until_ms
    }

    /// Closes the connection when its time is up and the client takes nothing of what it was sent.
    pub(crate) fn look(&self, client: &mut Client, cx: &Context) -> Step {
        let now_ms = cx.clock.now_ms();
        let goes_on = now_ms < self.until_ms || (!cx.is_cutting() && client.is_taking(now_ms, LINGER_MS));
        if goes_on { Step::Wait } else { Step::Close }
    }
}
