//! The answer on its way to the client.

use gapless_exchange::Failure;
use gapless_http1::{
    BodyDecoder, Delivery, Framing, LAST_CHUNK, Persistence, Piece, Reject, ResponseHead, Slots, Version,
    parse_response, write_chunk, write_interim, write_response, write_switching, write_trailers,
};

use super::asked::{Asked, Core, note_lasting};
use super::flow::{Carried, Flow, READS_PER_TURN};
use super::sending::Sending;
use crate::data::backend::idle::{ANSWER_BEGINS, Before, Reached, RequestEnd, may_answer};
use crate::data::backend::upstream::{After, Alignment, Upstream};
use crate::data::frontend::client::Client;
use crate::data::io::buffers::{Buffers, Scratch};
use crate::data::io::output::Flushed;
use crate::data::io::socket::ReadOutcome;
use crate::seam::WorkerCounts;

/// Pieces at least this long are written without being copied behind the head first.
const DIRECT_BYTES_MIN: usize = 16 * 1024;

/// Taken off the time that an instance says it keeps a connection, in milliseconds: the news of its closing takes a while.
const KEEP_ALIVE_MARGIN_MS: u64 = 1_000;

/// An answer on its way to the client.
#[derive(Debug)]
pub(crate) struct Receiving {
    part: Part,
    /// Whether the request was wholly written when its answer ended.
    pub(crate) request_end: RequestEnd,
    /// Bytes from the instance waited before the last bytes of the request were written in this turn: its answer may have ended
    /// before them.
    pub(crate) overtaken: bool,
    /// Whether the client's connection ends with this answer.
    pub(crate) close: bool,
    /// Bytes of the answer's body that were passed on.
    pub(crate) body_bytes: u64,
}

/// How much of an answer has come.
#[derive(Debug)]
enum Part {
    /// No final head yet.
    Head,
    /// The head was passed on, the body follows.
    Body {
        /// Where the body ends.
        decoder: BodyDecoder,
        /// How the client is told.
        delivery: Delivery,
    },
    /// The whole answer was received. It may still wait to be taken by the client.
    Done,
}

/// What an answer's turn is given.
pub(crate) struct Answering<'a> {
    pub(crate) core: &'a mut Core,
    pub(crate) asked: &'a mut Asked,
    pub(crate) sending: &'a Sending,
    pub(crate) client: &'a mut Client,
    pub(crate) upstream: &'a mut Upstream,
    pub(crate) buffers: &'a mut Buffers,
    pub(crate) counts: &'a WorkerCounts,
    pub(crate) now_ms: u64,
    /// Whether we would keep the client's connection.
    pub(crate) persistence: Persistence,
    /// How long the instance's connection is kept idle at most.
    pub(crate) idle_max_ms: u64,
}

/// What was read of an answer.
enum Digested {
    /// All of it was used.
    All,
    /// So many bytes from the end are the beginning of something that is not whole.
    Left(usize),
    /// The connection is upgraded; so many bytes from the end belong to the tunnel.
    Switched(usize),
}

impl Receiving {
    /// Nothing of an answer.
    pub(crate) fn new() -> Self {
        let (part, request_end) = (Part::Head, RequestEnd::AfterAnswers);
        Self { part, request_end, overtaken: false, close: false, body_bytes: 0 }
    }

    /// Whether the client is told the end of the answer by the end of the connection alone.
    pub(crate) fn ends_by_closing(&self) -> bool {
        matches!(&self.part, Part::Body { delivery, .. } if delivery.framing == Framing::UntilClose)
    }

    /// The client was answered otherwise: nothing more comes from an instance.
    pub(crate) fn replaced(&mut self, close: bool) {
        (self.part, self.close) = (Part::Done, close);
    }

    /// Passes on what there is of the answer, as fast as the client takes it.
    #[inline]
    pub(crate) fn advance(&mut self, on: &mut Answering<'_>, scratch: &mut Scratch) -> Result<Flow, Carried> {
        for _ in 0..READS_PER_TURN {
            if self.is_whole() {
                return Ok(Flow::Done);
            }
            match on.client.flush(on.buffers) {
                Flushed::All => {}
                Flushed::Some => return Ok(Flow::Waits),
                Flushed::Broken => return Err(Carried::ClientLeft),
            }
            let count = match on.upstream.stream.read(&mut scratch.read) {
                ReadOutcome::Bytes(count) => count,
                ReadOutcome::Blocked => {
                    on.upstream.stream.await_rest();
                    return Ok(Flow::Waits);
                }
                ReadOutcome::Ended => return self.ended(on),
                ReadOutcome::Broken(_) => return Err(Carried::InstanceFailed(Failure::Broken)),
            };
            on.client.progress_ms = on.now_ms;
            self.pass_on(on, &scratch.read[..count], &mut scratch.out)?;
        }
        Ok(if self.is_whole() { Flow::Done } else { Flow::More })
    }

    fn is_whole(&self) -> bool {
        matches!(self.part, Part::Done)
    }

    /// Passes on what was read.
    #[inline]
    fn pass_on(&mut self, on: &mut Answering<'_>, read: &[u8], out: &mut Vec<u8>) -> Result<(), Carried> {
        out.clear();
        let kept = std::mem::take(&mut on.upstream.input);
        let joined;
        let input = if kept.is_empty() {
            read
        } else {
            joined = [&kept[..], read].concat();
            &joined[..]
        };
        if !is_aligned(on.sending.head_bytes, on.upstream, input) {
            return Err(Carried::InstanceFailed(Failure::OutOfStep));
        }
        let digested = self.digest(on, input, out);
        on.buffers.take_back(kept);
        let flushed = on.client.send(on.buffers, out);
        match digested {
            Ok(Digested::All) => {}
            Ok(Digested::Left(left)) => on.buffers.append(&mut on.upstream.input, &input[input.len() - left..]),
            Ok(Digested::Switched(left)) => return Err(Carried::Switched(input[input.len() - left..].to_vec())),
            Err(reject) => {
                tracing::debug!(%reject, "instance answered what is no HTTP");
                return Err(Carried::InstanceFailed(Failure::Malformed));
            }
        }
        if flushed == Flushed::Broken { Err(Carried::ClientLeft) } else { Ok(()) }
    }

    /// The instance has ended the connection: the end of the answer, or a failure.
    fn ended(&mut self, on: &mut Answering<'_>) -> Result<Flow, Carried> {
        let Part::Body { decoder, delivery } = &self.part else {
            return Err(Carried::InstanceFailed(Failure::Ended));
        };
        if decoder.finish().is_err() {
            return Err(Carried::InstanceFailed(Failure::Ended));
        }
        let flushed = match delivery.framing {
            Framing::Chunked => on.client.send(on.buffers, LAST_CHUNK),
            _ => Flushed::All,
        };
        self.end(on);
        if flushed == Flushed::Broken { Err(Carried::ClientLeft) } else { Ok(Flow::Done) }
    }

    /// The answer was received whole.
    fn end(&mut self, on: &mut Answering<'_>) {
        self.part = Part::Done;
        on.core.handle_answer_whole();
        let whole = on.sending.complete && on.sending.is_all_sent() && !self.overtaken;
        self.request_end = if whole { RequestEnd::BeforeAnswers } else { RequestEnd::AfterAnswers };
    }

    /// Makes of bytes from the instance bytes for the client, in `out`.
    fn digest(&mut self, on: &mut Answering<'_>, input: &[u8], out: &mut Vec<u8>) -> Result<Digested, Reject> {
        let mut rest = input;
        loop {
            match &mut self.part {
                Part::Head => {
                    if rest.is_empty() {
                        return Ok(Digested::All);
                    }
                    let mut slots = Slots::new();
                    let Some(head) = parse_response(rest, &mut slots, on.asked.context)? else {
                        return Ok(Digested::Left(rest.len()));
                    };
                    rest = &rest[head.length..];
                    if head.is_interim() {
                        pass_interim(on.asked, &head, out);
                    } else if head.status == 101 {
                        let agreed =
                            on.asked.upgrade.as_ref().zip(head.upgrade).is_some_and(|(offer, taken)| offer.is(taken));
                        // Bytes of a body behind the 101 would be read as the other protocol's, and those not written yet never be.
                        if !agreed || !on.sending.complete || !on.sending.is_all_sent() {
                            return Err(Reject::StartLine);
                        }
                        write_switching(out, &head);
                        return Ok(Digested::Switched(rest.len()));
                    } else {
                        self.pass_head(on, &head, out);
                    }
                }
                Part::Body { decoder, delivery } => {
                    let (count, piece) = decoder.decode(rest)?;
                    rest = &rest[count..];
                    match piece {
                        Piece::Starved if rest.is_empty() => return Ok(Digested::All),
                        Piece::Starved => return Ok(Digested::Left(rest.len())),
                        Piece::Data(data) => {
                            self.body_bytes += data.len() as u64;
                            pass_data(on, delivery.framing, data, out);
                        }
                        Piece::Trailers(lines) => {
                            if delivery.framing == Framing::Chunked {
                                write_trailers(out, lines);
                            }
                            self.end(on);
                        }
                        Piece::End => {
                            if delivery.framing == Framing::Chunked {
                                out.extend_from_slice(LAST_CHUNK);
                            }
                            self.end(on);
                        }
                    }
                }
                Part::Done => {
                    if !rest.is_empty() {
                        // Bytes behind the answer belong to no request of ours.
                        on.upstream.after = After::Surplus;
                    }
                    return Ok(Digested::All);
                }
            }
        }
    }

    /// The head of the final answer.
    fn pass_head(&mut self, on: &mut Answering<'_>, head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
        let asked = &*on.asked;
        // A client that still waits to be told to go on may send its body or not: nobody would know where its next request begins
        // (RFC 9110 §10.1.1 wants it told).
        let unfinished = !on.sending.complete
            && (asked.expects_continue || head.status >= 400 || head.persistence == Persistence::Close);
        let persistence =
            if asked.persistence == Persistence::Close || unfinished { Persistence::Close } else { on.persistence };
        let delivery = Delivery::of(head, asked.version, persistence);
        write_response(out, head, delivery, asked.version);
        self.close = delivery.persistence == Persistence::Close;
        on.core.handle_answer_begun(head.status);
        if head.framing == Framing::None {
            self.end(on);
        } else {
            self.part = Part::Body { decoder: BodyDecoder::new(head.framing), delivery };
        }
        on.upstream.after = match head.persistence {
            Persistence::KeepAlive => After::Keeps,
            Persistence::Close => After::Closes,
        };
        if let Some(seconds) = head.keep_alive_seconds {
            let kept_ms = (u64::from(seconds) * 1_000).saturating_sub(KEEP_ALIVE_MARGIN_MS);
            on.upstream.idle_max_ms = kept_ms.min(on.idle_max_ms);
        }
        if matches!(head.framing, Framing::Chunked | Framing::UntilClose) && is_event_stream(head) {
            // Before the client sees any of it.
            note_lasting(on.core, on.counts);
        }
    }
}

/// Whether what came first on a connection may be the answer to what was asked on it. Between two requests of one client only what costs nothing is
/// looked at: what it might be given in error is its own.
#[inline]
fn is_aligned(head_bytes: usize, upstream: &mut Upstream, first: &[u8]) -> bool {
    let Alignment::Unproven { before, written } = upstream.alignment else { return true };
    let since = |bytes: u64| bytes.saturating_sub(written);
    let reached = Reached {
        head: head_bytes as u64,
        written: since(upstream.stream.written()),
        acknowledged: match before {
            Before::Own => None,
            Before::Others => upstream.stream.acknowledged().map(since),
        },
    };
    if !may_answer(first, reached) {
        return false;
    }
    if first.len() >= ANSWER_BEGINS.len() {
        upstream.alignment = Alignment::Aligned;
    }
    true
}

/// A piece of the answer's body.
#[inline]
fn pass_data(on: &mut Answering<'_>, framing: Framing, data: &[u8], out: &mut Vec<u8>) {
    if framing == Framing::Chunked {
        write_chunk(out, data);
    } else if data.len() >= DIRECT_BYTES_MIN {
        // A broken connection is noticed by the caller, who sends `out` next.
        let _ = on.client.send(on.buffers, out);
        out.clear();
        let _ = on.client.send(on.buffers, data);
    } else {
        out.extend_from_slice(data);
    }
}

/// Whether the answer is a stream of events (the HTML standard's `text/event-stream`), which ends when somebody tires of it.
fn is_event_stream(head: &ResponseHead<'_, '_>) -> bool {
    const TYPE: &[u8] = b"text/event-stream";
    head.lines.find("content-type").and_then(|kind| kind.split_at_checked(TYPE.len())).is_some_and(|(kind, rest)| {
        kind.eq_ignore_ascii_case(TYPE) && matches!(rest.trim_ascii_start().first(), None | Some(b';'))
    })
}

/// An interim answer goes to whoever understands it. `100` only goes to a client that waits for it, and once.
fn pass_interim(asked: &mut Asked, head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
    if asked.version == Version::Http10 {
        return;
    }
    if head.status == 100 && !std::mem::take(&mut asked.expects_continue) {
        return;
    }
    write_interim(out, head);
}
