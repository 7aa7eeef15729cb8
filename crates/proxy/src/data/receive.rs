//! The answer on its way to the client.

use gapless_exchange::Failure;
use gapless_http1::{
    BodyDecoder, Delivery, Framing, LAST_CHUNK, Persistence, Piece, Reject, ResponseHead, Slots, Version,
    parse_response, write_chunk, write_interim, write_response, write_switching, write_trailers,
};

use super::carry::{Carried, Flow};
use super::client::{Client, Flushed};
use super::exchange::{Exchange, Receiving};
use super::idle::{ANSWER_BEGINS, Before, Reached, may_answer};
use super::socket::ReadOutcome;
use super::upstream::{After, Alignment, Upstream};
use super::worker::{Drain, READS_PER_TURN, Scratch, Worker};

/// Pieces at least this long are written without being copied behind the head first.
const DIRECT_BYTES_MIN: usize = 16 * 1024;

/// Taken off the time that an instance says it keeps a connection, in milliseconds: the news of its closing takes a while.
const KEEP_ALIVE_MARGIN_MS: u64 = 1_000;

/// What was read of an answer.
enum Digested {
    /// All of it was used.
    All,
    /// So many bytes from the end are the beginning of something that is not whole.
    Left(usize),
    /// The connection is upgraded; so many bytes from the end belong to the tunnel.
    Switched(usize),
}

impl Worker {
    /// Passes on what there is of the answer, as fast as the client takes it.
    #[inline]
    pub(super) fn receive_answer(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        upstream: &mut Upstream,
        scratch: &mut Scratch,
    ) -> Result<Flow, Carried> {
        for _ in 0..READS_PER_TURN {
            if matches!(exchange.receiving, Receiving::Done) {
                return Ok(Flow::Done);
            }
            match client.output.flush(&mut client.stream, &mut self.buffers) {
                Flushed::All => {}
                Flushed::Some => return Ok(Flow::Waits),
                Flushed::Broken => return Err(Carried::ClientLeft),
            }
            let count = match upstream.stream.read(&mut scratch.read) {
                ReadOutcome::Bytes(count) => count,
                ReadOutcome::Blocked => {
                    upstream.stream.await_rest();
                    return Ok(Flow::Waits);
                }
                ReadOutcome::Ended => return self.answer_ended(client, exchange),
                ReadOutcome::Broken(_) => return Err(Carried::InstanceFailed(Failure::Broken)),
            };
            client.progress_ms = self.clock.now_ms();
            scratch.out.clear();
            let kept = std::mem::take(&mut upstream.input);
            let joined;
            let input = if kept.is_empty() {
                &scratch.read[..count]
            } else {
                joined = [&kept[..], &scratch.read[..count]].concat();
                &joined[..]
            };
            if !is_aligned(exchange, upstream, input) {
                return Err(Carried::InstanceFailed(Failure::OutOfStep));
            }
            let digested = self.digest(client, exchange, upstream, input, &mut scratch.out);
            self.buffers.take_back(kept);
            let flushed = client.output.send(&mut client.stream, &mut self.buffers, &scratch.out);
            match digested {
                Ok(Digested::All) => {}
                Ok(Digested::Left(left)) => self.buffers.append(&mut upstream.input, &input[input.len() - left..]),
                Ok(Digested::Switched(left)) => return Err(Carried::Switched(input[input.len() - left..].to_vec())),
                Err(reject) => {
                    tracing::debug!(%reject, "instance answered what is no HTTP");
                    return Err(Carried::InstanceFailed(Failure::Malformed));
                }
            }
            if flushed == Flushed::Broken {
                return Err(Carried::ClientLeft);
            }
        }
        if matches!(exchange.receiving, Receiving::Done) {
            return Ok(Flow::Done);
        }
        self.again.push(client.key);
        Ok(Flow::Waits)
    }

    /// The instance has ended the connection: the end of the answer, or a failure.
    fn answer_ended(&mut self, client: &mut Client, exchange: &mut Exchange) -> Result<Flow, Carried> {
        let Receiving::Body { decoder, delivery } = &exchange.receiving else {
            return Err(Carried::InstanceFailed(Failure::Ended));
        };
        if decoder.finish().is_err() {
            return Err(Carried::InstanceFailed(Failure::Ended));
        }
        let flushed = match delivery.framing {
            Framing::Chunked => client.output.send(&mut client.stream, &mut self.buffers, LAST_CHUNK),
            _ => Flushed::All,
        };
        exchange.end_answer();
        if flushed == Flushed::Broken { Err(Carried::ClientLeft) } else { Ok(Flow::Done) }
    }

    /// Makes of bytes from the instance bytes for the client, in `out`.
    fn digest(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        upstream: &mut Upstream,
        input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Digested, Reject> {
        let mut rest = input;
        loop {
            match &mut exchange.receiving {
                Receiving::Head => {
                    if rest.is_empty() {
                        return Ok(Digested::All);
                    }
                    let mut slots = Slots::new();
                    let Some(head) = parse_response(rest, &mut slots, exchange.asked.context)? else {
                        return Ok(Digested::Left(rest.len()));
                    };
                    rest = &rest[head.length..];
                    if head.is_interim() {
                        pass_interim(exchange, &head, out);
                    } else if head.status == 101 {
                        let offered = exchange.asked.upgrade.as_ref();
                        let agreed = offered.zip(head.upgrade).is_some_and(|(offer, taken)| offer.is(taken));
                        // Bytes of a body behind the 101 would be read as the other protocol's, and those not written yet never be.
                        if !agreed || !exchange.sending.complete || !exchange.is_all_sent() {
                            return Err(Reject::StartLine);
                        }
                        write_switching(out, &head);
                        return Ok(Digested::Switched(rest.len()));
                    } else {
                        self.pass_head(exchange, upstream, &head, out);
                    }
                }
                Receiving::Body { decoder, delivery } => {
                    let (count, piece) = decoder.decode(rest)?;
                    rest = &rest[count..];
                    match piece {
                        Piece::Data(data) => {
                            exchange.body_out += data.len() as u64;
                            if delivery.framing == Framing::Chunked {
                                write_chunk(out, data);
                            } else if data.len() >= DIRECT_BYTES_MIN {
                                // A broken connection is noticed by the caller, who sends `out` next.
                                let _ = client.output.send(&mut client.stream, &mut self.buffers, out);
                                out.clear();
                                let _ = client.output.send(&mut client.stream, &mut self.buffers, data);
                            } else {
                                out.extend_from_slice(data);
                            }
                        }
                        Piece::Trailers(lines) => {
                            if delivery.framing == Framing::Chunked {
                                write_trailers(out, lines);
                            }
                            exchange.end_answer();
                        }
                        Piece::Starved => {
                            return Ok(if rest.is_empty() { Digested::All } else { Digested::Left(rest.len()) });
                        }
                        Piece::End => {
                            if delivery.framing == Framing::Chunked {
                                out.extend_from_slice(LAST_CHUNK);
                            }
                            exchange.end_answer();
                        }
                    }
                }
                Receiving::Done => {
                    if !rest.is_empty() {
                        // Bytes behind the answer belong to no request of ours.
                        upstream.after = After::Surplus;
                    }
                    return Ok(Digested::All);
                }
            }
        }
    }

    /// The head of the final answer.
    fn pass_head(
        &mut self,
        exchange: &mut Exchange,
        upstream: &mut Upstream,
        head: &ResponseHead<'_, '_>,
        out: &mut Vec<u8>,
    ) {
        let asked = &exchange.asked;
        // A client that still waits to be told to go on may send its body or not: nobody would know where its next request begins
        // (RFC 9110 §10.1.1 wants it told).
        let unfinished = !exchange.sending.complete
            && (asked.expects_continue || head.status >= 400 || head.persistence == Persistence::Close);
        let persistence = if asked.persistence == Persistence::Close || self.drain != Drain::No || unfinished {
            Persistence::Close
        } else {
            Persistence::KeepAlive
        };
        let delivery = Delivery::of(head, asked.version, persistence);
        write_response(out, head, delivery, asked.version);
        exchange.close = delivery.persistence == Persistence::Close;
        exchange.core.handle_answer_begun(head.status);
        if head.framing == Framing::None {
            exchange.end_answer();
        } else {
            exchange.receiving = Receiving::Body { decoder: BodyDecoder::new(head.framing), delivery };
        }
        upstream.after = match head.persistence {
            Persistence::KeepAlive => After::Keeps,
            Persistence::Close => After::Closes,
        };
        if let Some(seconds) = head.keep_alive_seconds {
            let kept_ms = (u64::from(seconds) * 1_000).saturating_sub(KEEP_ALIVE_MARGIN_MS);
            upstream.idle_max_ms = kept_ms.min(self.settings.idle_max_ms);
        }
        if matches!(head.framing, Framing::Chunked | Framing::UntilClose) && is_event_stream(head) {
            self.note_lasting(upstream.slot, exchange);
        }
        if let Some(slot) = exchange.core.last_slot() {
            self.note_answer(slot, exchange, head.status);
        }
    }
}

/// Whether what came first on a connection may be the answer to what was asked on it. Between two requests of one client only what costs nothing is
/// looked at: what it might be given in error is its own.
#[inline]
fn is_aligned(exchange: &Exchange, upstream: &mut Upstream, first: &[u8]) -> bool {
    let Alignment::Unproven { before, written } = upstream.alignment else { return true };
    let since = |bytes: u64| bytes.saturating_sub(written);
    let reached = Reached {
        head: exchange.sending.head_bytes as u64,
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

/// Whether the answer is a stream of events (the HTML standard's `text/event-stream`), which ends when somebody tires of it.
fn is_event_stream(head: &ResponseHead<'_, '_>) -> bool {
    const TYPE: &[u8] = b"text/event-stream";
    head.lines.find("content-type").and_then(|kind| kind.split_at_checked(TYPE.len())).is_some_and(|(kind, rest)| {
        kind.eq_ignore_ascii_case(TYPE) && matches!(rest.trim_ascii_start().first(), None | Some(b';'))
    })
}

/// An interim answer goes to whoever understands it. `100` only goes to a client that waits for it, and once.
fn pass_interim(exchange: &mut Exchange, head: &ResponseHead<'_, '_>, out: &mut Vec<u8>) {
    if exchange.asked.version == Version::Http10 {
        return;
    }
    if head.status == 100 && !std::mem::take(&mut exchange.asked.expects_continue) {
        return;
    }
    write_interim(out, head);
}
