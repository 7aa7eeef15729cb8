//! The request on its way to the instance.

use gapless_http1::{LAST_CHUNK, Piece, write_chunk, write_trailers};

use super::carry::{Carried, Flow, Refused};
use super::client::Client;
use super::exchange::{Exchange, Replay};
use super::socket::{ReadOutcome, WriteOutcome};
use super::upstream::Upstream;
use super::worker::{READS_PER_TURN, Scratch, Worker};

/// Bytes of a body that may wait for the instance to take them.
const PENDING_MAX: usize = 64 * 1024;

impl Worker {
    /// Sends what there is of the request, reading more of its body as the instance takes it.
    #[inline]
    pub(super) fn send_request(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        upstream: &mut Upstream,
        scratch: &mut Scratch,
    ) -> Result<Flow, Carried> {
        for _ in 0..READS_PER_TURN {
            while !exchange.is_all_sent() {
                match upstream.stream.write(&exchange.sending.buffer[exchange.sending.sent..]) {
                    WriteOutcome::Bytes(count) => exchange.sending.sent += count,
                    WriteOutcome::Blocked => break,
                    // The instance takes no more. It may have answered before it closed, so what it sent is read first.
                    WriteOutcome::Broken(_) => return Ok(Flow::Waits),
                }
            }
            if exchange.sending.complete {
                return Ok(if exchange.is_all_sent() { Flow::Done } else { Flow::Waits });
            }
            self.bound_replay(exchange);
            if exchange.sending.buffer.len() - exchange.sending.sent >= PENDING_MAX {
                return Ok(Flow::Waits);
            }
            if self.take_body(client, exchange, scratch)? == Taken::Nothing {
                return Ok(Flow::Waits);
            }
        }
        self.again.push(client.key);
        Ok(Flow::Waits)
    }

    /// Forgets what was sent when it is more than is kept for another attempt, or when no other attempt can follow.
    fn bound_replay(&mut self, exchange: &mut Exchange) {
        let most = exchange.core.policy().map_or(0, |policy| policy.replay_bytes_max as usize);
        let sending = &mut exchange.sending;
        let kept = sending.sent.saturating_sub(sending.head_bytes);
        if sending.replay == Replay::Kept && (kept > most || exchange.core.has_begun_answer()) {
            sending.replay = Replay::Dropped;
        }
        if sending.replay == Replay::Dropped && sending.sent > 0 {
            if sending.sent == sending.buffer.len() {
                sending.buffer.clear();
            } else if sending.sent >= PENDING_MAX {
                sending.buffer.drain(..sending.sent);
            } else {
                return;
            }
            sending.sent = 0;
        }
    }

    /// Takes more of the body from the client.
    fn take_body(
        &mut self,
        client: &mut Client,
        exchange: &mut Exchange,
        scratch: &mut Scratch,
    ) -> Result<Taken, Carried> {
        if client.input.is_empty() {
            let count = match client.stream.read(&mut scratch.read) {
                ReadOutcome::Bytes(count) => count,
                ReadOutcome::Blocked => return Ok(self.await_body(client, exchange)),
                ReadOutcome::Ended | ReadOutcome::Broken(_) => return Err(Carried::ClientLeft),
            };
            exchange.core.handle_body_received(self.clock.now_ms());
            client.progress_ms = self.clock.now_ms();
            let used = self.take_pieces(exchange, &scratch.read[..count]).map_err(Carried::BodyRefused)?;
            self.buffers.append(&mut client.input, &scratch.read[used..count]);
            return Ok(Taken::Something);
        }
        let input = std::mem::take(&mut client.input);
        let used = self.take_pieces(exchange, &input).map_err(Carried::BodyRefused)?;
        if used == 0 {
            // The beginning of trailers: more is needed behind it.
            client.input = input;
            let count = match client.stream.read(&mut scratch.read) {
                ReadOutcome::Bytes(count) => count,
                ReadOutcome::Blocked => return Ok(self.await_body(client, exchange)),
                ReadOutcome::Ended | ReadOutcome::Broken(_) => return Err(Carried::ClientLeft),
            };
            exchange.core.handle_body_received(self.clock.now_ms());
            client.input.extend_from_slice(&scratch.read[..count]);
            return Ok(Taken::Something);
        }
        self.buffers.append(&mut client.input, &input[used..]);
        self.buffers.take_back(input);
        Ok(Taken::Something)
    }

    /// Nothing of the body is there. Time counts against the client only where it was told to go on and its instance has taken what came.
    fn await_body(&mut self, client: &mut Client, exchange: &mut Exchange) -> Taken {
        client.stream.await_rest();
        if exchange.is_all_sent() && !exchange.awaits_continue() {
            exchange.core.handle_body_awaited(self.clock.now_ms());
        }
        Taken::Nothing
    }

    /// Renders the pieces of the body that `input` begins with; returns how many bytes they took.
    fn take_pieces(&mut self, exchange: &mut Exchange, input: &[u8]) -> Result<usize, Refused> {
        let sending = &mut exchange.sending;
        let mut used = 0;
        let mut trailed = false;
        loop {
            let (count, piece) = sending.decoder.decode(&input[used..]).map_err(Refused::Malformed)?;
            used += count;
            match piece {
                Piece::Data(data) => {
                    sending.body_bytes += data.len() as u64;
                    if self.settings.body_bytes_max.is_some_and(|most| sending.body_bytes > most) {
                        return Err(Refused::TooLong);
                    }
                    if sending.chunked {
                        write_chunk(&mut sending.buffer, data);
                    } else {
                        sending.buffer.extend_from_slice(data);
                    }
                }
                Piece::Trailers(lines) => {
                    write_trailers(&mut sending.buffer, lines);
                    trailed = true;
                }
                Piece::Starved => return Ok(used),
                Piece::End => {
                    if sending.chunked && !trailed {
                        sending.buffer.extend_from_slice(LAST_CHUNK);
                    }
                    sending.complete = true;
                    exchange.complete_ms = self.clock.now_ms();
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
