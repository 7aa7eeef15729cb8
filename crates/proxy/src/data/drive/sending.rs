//! The request on its way to the instance.

use gapless_exchange::{Reached, Upload};
use gapless_http1::{BodyDecoder, Framing, LAST_CHUNK, Piece, write_chunk, write_trailers};
use gapless_routing::BodyKept;

use super::asked::{Asked, Core};
use super::flow::{Carried, Flow, READS_PER_TURN, Refused};
use crate::data::frontend::client::Client;
use crate::data::io::buffers::Buffers;
use crate::data::io::socket::{ReadOutcome, WriteOutcome};
use crate::data::io::stream::Stream;

/// Bytes of a body that may wait for the instance to take them.
const PENDING_MAX: usize = 64 * 1024;

/// A request on its way to an instance.
#[derive(Debug)]
pub(crate) struct Sending {
    /// The rendered head, and the body as it is rendered for the instance. What was sent stays here as long as it may have
    /// to be sent again.
    pub(crate) buffer: Vec<u8>,
    /// Bytes of `buffer` that the present instance was sent.
    pub(crate) sent: usize,
    /// Whether everything that was sent to the present instance is still in `buffer`.
    kept: BodyKept,
    /// Where the body ends.
    decoder: BodyDecoder,
    /// Whether the body is sent as chunks.
    pub(crate) chunked: bool,
    /// Whether the whole body was received from the client.
    pub(crate) complete: bool,
    /// When it was, in milliseconds of the thread's clock.
    complete_ms: u64,
    /// Bytes of the body that were received.
    pub(crate) body_bytes: u64,
    /// Bytes of the head in `buffer`.
    pub(crate) head_bytes: usize,
}

/// What a request's turn is given.
pub(crate) struct Uploading<'u> {
    pub(crate) core: &'u mut Core,
    pub(crate) asked: &'u Asked,
    pub(crate) client: &'u mut Client,
    pub(crate) instance: &'u mut Stream,
    /// Room to read into.
    pub(crate) read: &'u mut [u8],
    pub(crate) buffers: &'u mut Buffers,
    pub(crate) now_ms: u64,
    /// Bytes of the body that are kept for another attempt; none where no other can follow.
    pub(crate) replay_bytes_max: Option<usize>,
    /// Bytes of the longest body, or none for no bound.
    pub(crate) body_bytes_max: Option<u64>,
}

impl Sending {
    /// Of no request.
    pub(crate) fn blank() -> Self {
        Self {
            buffer: Vec::new(),
            sent: 0,
            kept: BodyKept::Whole,
            decoder: BodyDecoder::new(Framing::None),
            chunked: false,
            complete: false,
            complete_ms: 0,
            body_bytes: 0,
            head_bytes: 0,
        }
    }

    /// A request of which `head` was rendered, and of which nothing was sent. In place, as the whole exchange.
    pub(crate) fn reset(&mut self, head: Vec<u8>, framing: Framing, now_ms: u64) {
        self.head_bytes = head.len();
        self.buffer = head;
        self.sent = 0;
        self.kept = BodyKept::Whole;
        self.decoder = BodyDecoder::new(framing);
        self.chunked = framing == Framing::Chunked;
        self.complete = framing == Framing::None;
        self.complete_ms = now_ms;
        self.body_bytes = 0;
    }

    /// Whether everything that there is of the request was sent.
    pub(crate) fn is_all_sent(&self) -> bool {
        self.sent == self.buffer.len()
    }

    /// Whether the present instance was sent nothing of the request. (A buffer that was emptied was sent.)
    pub(crate) fn is_unsent(&self) -> bool {
        self.sent == 0 && self.kept == BodyKept::Whole
    }

    /// How much of the request an instance can have seen, by what was written.
    pub(crate) fn reached(&self) -> Reached {
        match self.kept {
            BodyKept::Whole if self.sent == 0 => Reached::Nothing,
            BodyKept::Whole if self.sent < self.head_bytes => Reached::PartOfHead,
            BodyKept::Whole | BodyKept::Dropped => Reached::Some,
        }
    }

    /// Whether all that was taken of its body is at hand.
    pub(crate) fn body_kept(&self) -> BodyKept {
        self.kept
    }

    /// Whether the client waits with its body for a `100 Continue` that the instance has not sent.
    fn awaits_continue(&self, asked: &Asked) -> bool {
        asked.expects_continue && !self.complete && self.body_bytes == 0
    }

    /// How far its body has come.
    pub(crate) fn upload(&self, asked: &Asked) -> Upload {
        match self.complete {
            true => Upload::Whole { at_ms: self.complete_ms },
            false if !self.is_all_sent() => Upload::AwaitsInstance,
            false if self.awaits_continue(asked) => Upload::AwaitsContinue,
            false => Upload::AwaitsClient { bytes: self.body_bytes },
        }
    }

    /// The head, as it was rendered.
    pub(crate) fn head(&self) -> &[u8] {
        self.buffer.get(..self.head_bytes).unwrap_or_default()
    }

    /// Sends what there is of the request, reading more of its body as the instance takes it.
    #[inline]
    pub(crate) fn advance(&mut self, on: &mut Uploading<'_>) -> Result<Flow, Carried> {
        for _ in 0..READS_PER_TURN {
            while !self.is_all_sent() {
                match on.instance.write(&self.buffer[self.sent..]) {
                    WriteOutcome::Bytes(count) => self.sent += count,
                    WriteOutcome::Blocked => break,
                    // The instance takes no more. It may have answered before it closed, so what it sent is read first.
                    WriteOutcome::Broken(_) => return Ok(Flow::Waits),
                }
            }
            if self.complete {
                return Ok(if self.is_all_sent() { Flow::Done } else { Flow::Waits });
            }
            self.bound_replay(on.replay_bytes_max);
            if self.buffer.len() - self.sent >= PENDING_MAX || self.take_body(on)? == Taken::Nothing {
                return Ok(Flow::Waits);
            }
        }
        Ok(Flow::More)
    }

    /// Forgets what was sent when it is more than is kept for another attempt, or when no other attempt can follow.
    fn bound_replay(&mut self, most: Option<usize>) {
        let sent = self.sent.saturating_sub(self.head_bytes);
        if self.kept == BodyKept::Whole && most.is_none_or(|most| sent > most) {
            self.kept = BodyKept::Dropped;
        }
        if self.kept == BodyKept::Dropped && self.sent > 0 {
            if self.sent == self.buffer.len() {
                self.buffer.clear();
            } else if self.sent >= PENDING_MAX {
                self.buffer.drain(..self.sent);
            } else {
                return;
            }
            self.sent = 0;
        }
    }

    /// Takes more of the body from the client.
    fn take_body(&mut self, on: &mut Uploading<'_>) -> Result<Taken, Carried> {
        if !on.client.input.is_empty() {
            let input = std::mem::take(&mut on.client.input);
            let used = self.take_pieces(&input, on.body_bytes_max, on.now_ms).map_err(Carried::BodyRefused)?;
            if used > 0 {
                on.buffers.append(&mut on.client.input, &input[used..]);
                on.buffers.take_back(input);
                return Ok(Taken::Something);
            }
            // The beginning of trailers: more is needed behind it.
            on.client.input = input;
        }
        let count = match on.client.stream.read(on.read) {
            ReadOutcome::Bytes(count) => count,
            ReadOutcome::Blocked => {
                on.client.stream.await_rest();
                // Time counts against the client only where it was told to go on and its instance has taken what came.
                if self.is_all_sent() && !self.awaits_continue(on.asked) {
                    on.core.handle_body_awaited(on.now_ms);
                }
                return Ok(Taken::Nothing);
            }
            ReadOutcome::Ended | ReadOutcome::Broken(_) => return Err(Carried::ClientLeft),
        };
        on.core.handle_body_received(on.now_ms);
        let bytes = &on.read[..count];
        if on.client.input.is_empty() {
            on.client.progress_ms = on.now_ms;
            let used = self.take_pieces(bytes, on.body_bytes_max, on.now_ms).map_err(Carried::BodyRefused)?;
            on.buffers.append(&mut on.client.input, &bytes[used..]);
        } else {
            on.client.input.extend_from_slice(bytes);
        }
        Ok(Taken::Something)
    }

    /// Renders the pieces of the body that `input` begins with; returns how many bytes they took.
    fn take_pieces(&mut self, input: &[u8], most: Option<u64>, now_ms: u64) -> Result<usize, Refused> {
        let mut used = 0;
        let mut trailed = false;
        loop {
            let (count, piece) = self.decoder.decode(&input[used..]).map_err(Refused::Malformed)?;
            used += count;
            match piece {
                Piece::Data(data) => {
                    self.body_bytes += data.len() as u64;
                    if most.is_some_and(|most| self.body_bytes > most) {
                        return Err(Refused::TooLong);
                    }
                    if self.chunked {
                        write_chunk(&mut self.buffer, data);
                    } else {
                        self.buffer.extend_from_slice(data);
                    }
                }
                Piece::Trailers(lines) => {
                    write_trailers(&mut self.buffer, lines);
                    trailed = true;
                }
                Piece::Starved => return Ok(used),
                Piece::End => {
                    if self.chunked && !trailed {
                        self.buffer.extend_from_slice(LAST_CHUNK);
                    }
                    self.complete = true;
                    self.complete_ms = now_ms;
                    return Ok(used);
                }
            }
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taken {
    Something,
    Nothing,
}
