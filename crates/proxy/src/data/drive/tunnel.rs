//! Upgraded connections: bytes are carried as they are, both ways, until either side ends.
//!
//! When the instance ends, what came from it is delivered and the tunnel is over: RFC 9110 §9.3.6 asks that of whoever carries one, and
//! a client that says nothing would otherwise keep it for ever. A client may end its own direction first and is then waited for, for a
//! time: what it asked may still be answered.
//!
//! A tunnel outlives the table that made it. When its instance leaves the table it gets a deadline, and a WebSocket is then
//! ended as a server that restarts ends it: Close 1012 between two frames, so that the client comes back by itself.

use gapless_model::Millis;
use gapless_routing::{CutReason, StatusClass, Terminal};

use super::asked::{Protocol, note_lasting};
use super::context::Context;
use super::exchange::Exchange;
use super::outcome;
use super::step::Step;
use super::websocket::{CLOSE_SERVICE_RESTART, CLOSE_SERVICE_RESTART_MASKED, Frames};
use crate::data::backend::upstream::Upstream;
use crate::data::frontend::client::Client;
use crate::data::io::buffers::Buffers;
use crate::data::io::output::{Flushed, Output};
use crate::data::io::slab::NEVER_MS;
use crate::data::io::socket::ReadOutcome;

/// Reads per direction and turn.
const READS_MAX: usize = 16;

/// How long a client may take to answer a Close, in milliseconds.
const CLOSE_GRACE_MS: u64 = 2_000;

/// How long an instance may go on when its client has said that nothing more comes from it, in milliseconds.
const HALF_CLOSED_MS: u64 = 30_000;

/// The ends of tunnels through an instance that leaves are spread over the last part of their drain time, one so-manieth of it.
const ENDS_SPREAD_OVER: u64 = 4;

/// How far the end of a tunnel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// It has no end yet.
    None,
    /// It ends at this time, in milliseconds of the thread's clock.
    At(u64),
    /// It ends at the next boundary between frames; at this time in any case.
    Asked(u64),
    /// The Close was sent; at this time the connection is closed in any case.
    Told(u64),
}

/// An upgraded connection.
#[derive(Debug)]
pub(crate) struct Tunnel {
    /// The request that became it; its end in the ledger is the tunnel's.
    exchange: Box<Exchange>,
    /// Bytes that wait until the instance takes them.
    to_instance: Output,
    /// Where the frames towards the client and towards the instance begin, if these are WebSocket frames.
    frames: Option<(Frames, Frames)>,
    /// When the client said that nothing more comes from it.
    client_ended_ms: Option<u64>,
    instance_ended: bool,
    ending: Ending,
}

/// One of several tunnels that are to end, and within which time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EndWithin {
    /// None for the time of its service.
    pub(crate) within: Option<Millis>,
    pub(crate) now_ms: u64,
    /// Which of them it is, from 0, and how many there are.
    pub(crate) place: (u64, u64),
}

/// What a turn's reading and writing is given.
struct Relay<'r> {
    client: &'r mut Client,
    upstream: &'r mut Upstream,
    buffers: &'r mut Buffers,
    /// Room to read into.
    read: &'r mut [u8],
    now_ms: u64,
    /// Why it is cut where the instance drops it now.
    dropped: CutReason,
}

/// What a turn of a tunnel comes to.
enum Relayed {
    Waiting,
    More,
    Over(Terminal),
    /// The instance has ended and the client has everything that came from it.
    Left(Terminal),
}

impl Tunnel {
    /// ## Exchange => Tunnel
    ///
    /// The `101` was sent. `first` came from the instance behind it.
    pub(crate) fn begin(mut exchange: Box<Exchange>, client: &mut Client, cx: &mut Context, first: &[u8]) -> Self {
        exchange.core.handle_switched();
        note_lasting(&mut exchange.core, cx.counts());
        let websocket = exchange.asked.upgrade.as_ref().is_some_and(Protocol::is_websocket);
        let mut frames = websocket.then(|| (Frames::new(), Frames::new()));
        // A broken connection shows again when the tunnel has its turn.
        let _ = client.send(&mut cx.buffers, first);
        let mut to_instance = Output::default();
        let input = std::mem::take(&mut client.input);
        let attempt = exchange.core.attempt();
        if let Some(upstream) = attempt.and_then(|attempt| cx.backend.get_mut(attempt.carrier())) {
            if let Err(error) = upstream.stream.probe_silence() {
                tracing::debug!(%error, "silence of a tunnel's instance is not probed");
            }
            let _ = to_instance.send(&mut upstream.stream, &mut cx.buffers, &input);
        }
        if let Some((to_client, to_instance)) = &mut frames {
            to_client.advance(first);
            to_instance.advance(&input);
        }
        cx.buffers.take_back(input);
        cx.counts().tunnels.add(1);
        let state = attempt.and_then(|attempt| cx.backend.instances().get(attempt.slot().index()));
        let in_table = state.is_some_and(|state| state.in_table);
        let mut tunnel =
            Self { exchange, to_instance, frames, client_ended_ms: None, instance_ended: false, ending: Ending::None };
        if !in_table {
            tunnel.ending = Ending::At(cx.clock.now_ms() + tunnel.patience_ms());
        }
        tunnel
    }

    /// ## Tunnel => Lingering | closed
    pub(crate) fn turn(&mut self, client: &mut Client, cx: &mut Context) -> Step {
        let carrier = self.exchange.core.attempt().map(|attempt| attempt.carrier());
        let Some((key, mut upstream)) = carrier.and_then(|key| Some((key, cx.backend.take(key)?))) else {
            return self.end(client, cx, Terminal::Cut(CutReason::Internal));
        };
        let relayed = self.relay(&mut Relay {
            dropped: cx.dropped(&self.exchange.core),
            client,
            upstream: &mut upstream,
            buffers: &mut cx.buffers,
            read: &mut cx.scratch.read,
            now_ms: cx.clock.now_ms(),
        });
        cx.backend.put_back(key, upstream);
        match relayed {
            Relayed::Waiting => Step::Wait,
            Relayed::More => {
                cx.again.push(client.key);
                Step::Wait
            }
            Relayed::Over(terminal) => self.end(client, cx, terminal),
            Relayed::Left(terminal) => {
                self.end(client, cx, terminal);
                // What the client sends now goes nowhere, but is read: a reset would take from it what was just delivered.
                Step::Linger
            }
        }
    }

    /// Gives it its end in the ledger. Both connections are to be closed.
    pub(crate) fn end(&mut self, client: &mut Client, cx: &mut Context, terminal: Terminal) -> Step {
        self.to_instance.discard(&mut cx.buffers);
        cx.counts().tunnels.take(1);
        outcome::give_up(&mut self.exchange, client, cx, terminal)
    }

    /// The request that became it, which has its end.
    pub(crate) fn into_exchange(self) -> Box<Exchange> {
        self.exchange
    }

    /// The instance's index.
    pub(crate) fn slot(&self) -> Option<usize> {
        self.exchange.core.attempt().map(|attempt| attempt.slot().index())
    }

    /// Ends it where its time is up, gently if that is possible.
    pub(crate) fn look(&mut self, client: &mut Client, cx: &mut Context) -> Step {
        let now_ms = cx.clock.now_ms();
        if cx.is_cutting() && !matches!(self.ending, Ending::Asked(_) | Ending::Told(_)) || self.is_due(now_ms) {
            return if self.is_left(now_ms) {
                self.end(client, cx, Terminal::Answered(StatusClass::Switched))
            } else if matches!(self.ending, Ending::None | Ending::At(_)) && self.frames.is_some() {
                self.ending = Ending::Asked(now_ms + CLOSE_GRACE_MS);
                Step::Again
            } else {
                self.end(client, cx, Terminal::Cut(CutReason::TunnelDrainDeadline))
            };
        }
        let most_ms = self.exchange.core.policy().map_or(cx.settings.write_stall_ms, |policy| policy.idle_timeout.0);
        if !client.output.is_empty() && client.still_ms(now_ms, most_ms) > most_ms {
            return self.end(client, cx, Terminal::Cut(CutReason::ClientStalled));
        }
        Step::Wait
    }

    /// When to look next at the latest, if nothing happens before.
    pub(crate) fn look_next_ms(&self, client: &Client, now_ms: u64) -> u64 {
        let ending_ms = match self.ending {
            Ending::None => NEVER_MS,
            Ending::At(ms) | Ending::Asked(ms) | Ending::Told(ms) => ms,
        };
        let left_ms = self.client_ended_ms.map_or(NEVER_MS, |since_ms| since_ms + HALF_CLOSED_MS);
        // What it takes is looked at each time.
        if client.output.is_empty() { ending_ms.min(left_ms) } else { now_ms }
    }

    /// Gives it a time to end, unless it has one that is sooner.
    pub(crate) fn end_within(&mut self, wanted: &EndWithin) {
        let EndWithin { within, now_ms, place: (index, count) } = *wanted;
        let within_ms = within.map_or_else(|| self.patience_ms(), |within| within.0);
        // A tunnel lives until near its deadline; only the ends themselves are spread, so that clients do not come back all at once.
        let spread_ms = if within.is_some() { within_ms } else { within_ms / ENDS_SPREAD_OVER };
        let at_ms = now_ms + within_ms - spread_ms + spread_ms * (index + 1) / count;
        match self.ending {
            Ending::None => self.ending = Ending::At(at_ms),
            Ending::At(ms) if within.is_some() && at_ms < ms => self.ending = Ending::At(at_ms),
            Ending::At(_) | Ending::Asked(_) | Ending::Told(_) => {}
        }
    }

    /// How long it may go on when its instance leaves.
    fn patience_ms(&self) -> u64 {
        self.exchange.core.policy().map_or(0, |policy| policy.tunnel_drain_timeout.0)
    }

    /// Whether its client has ended its direction so long ago that nobody waits for the other.
    fn is_left(&self, now_ms: u64) -> bool {
        self.client_ended_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= HALF_CLOSED_MS)
    }

    /// Whether something about its end is due.
    fn is_due(&self, now_ms: u64) -> bool {
        let due = match self.ending {
            Ending::None => false,
            Ending::At(ms) | Ending::Asked(ms) | Ending::Told(ms) => now_ms >= ms,
        };
        due || self.is_left(now_ms)
    }

    fn relay(&mut self, on: &mut Relay<'_>) -> Relayed {
        let relayed = self.relay_up(on).and_then(|up| Ok((up, self.relay_down(on)?)));
        let (up, down) = match relayed {
            Ok(more) => more,
            Err(terminal) => return Relayed::Over(terminal),
        };
        let told = matches!(self.ending, Ending::Told(_));
        match (self.client_ended_ms, self.instance_ended) {
            (Some(_), _) if told => Relayed::Over(Terminal::Cut(CutReason::TunnelDrainDeadline)),
            (_, true) if on.client.output.is_empty() => Relayed::Left(self.left_by_instance(on.dropped)),
            _ if up || down => Relayed::More,
            _ => Relayed::Waiting,
        }
    }

    /// How a tunnel ends whose instance has ended: well, if either side may end it without a word or somebody said it.
    fn left_by_instance(&self, dropped: CutReason) -> Terminal {
        let abrupt = match &self.frames {
            Some((to_client, to_instance)) => {
                self.client_ended_ms.is_none() && !to_client.has_closed() && !to_instance.has_closed()
            }
            None => false,
        };
        match self.ending {
            Ending::Told(_) => Terminal::Cut(CutReason::TunnelDrainDeadline),
            _ if abrupt => Terminal::Cut(dropped),
            _ => Terminal::Answered(StatusClass::Switched),
        }
    }

    /// From the client to the instance; whether there may be more at once.
    fn relay_up(&mut self, on: &mut Relay<'_>) -> Result<bool, Terminal> {
        let told = matches!(self.ending, Ending::Told(_));
        for _ in 0..READS_MAX {
            match self.to_instance.flush(&mut on.upstream.stream, on.buffers) {
                Flushed::All => {}
                Flushed::Some => return Ok(false),
                Flushed::Broken if told => {}
                // It may have said something before it went, which is read first.
                Flushed::Broken => return Ok(false),
            }
            if self.client_ended_ms.is_some() {
                return Ok(false);
            }
            match on.client.stream.read(on.read) {
                ReadOutcome::Bytes(count) => {
                    on.client.progress_ms = on.now_ms;
                    let bytes = &on.read[..count];
                    if let Some((_, frames)) = &mut self.frames {
                        frames.advance(bytes);
                    }
                    // Once the end was told, what the client still says has nobody to go to.
                    if !told {
                        let _ = self.to_instance.send(&mut on.upstream.stream, on.buffers, bytes);
                    }
                }
                ReadOutcome::Blocked => return Ok(false),
                ReadOutcome::Ended => {
                    self.client_ended_ms = Some(on.now_ms);
                    on.upstream.stream.end_sending();
                }
                ReadOutcome::Broken(_) => return Err(Terminal::ClientLeft),
            }
        }
        Ok(true)
    }

    /// From the instance to the client; whether there may be more at once.
    fn relay_down(&mut self, on: &mut Relay<'_>) -> Result<bool, Terminal> {
        for _ in 0..READS_MAX {
            match on.client.flush(on.buffers) {
                Flushed::All => {}
                Flushed::Some => return Ok(false),
                Flushed::Broken => return Err(Terminal::ClientLeft),
            }
            if let Ending::Asked(_) = self.ending
                && self.tell_end(on)
            {
                return Ok(false);
            }
            if self.instance_ended || matches!(self.ending, Ending::Told(_)) {
                return Ok(false);
            }
            match on.upstream.stream.read(on.read) {
                ReadOutcome::Bytes(count) => {
                    on.client.progress_ms = on.now_ms;
                    let mut bytes = &on.read[..count];
                    if let Some((frames, _)) = &mut self.frames {
                        if matches!(self.ending, Ending::Asked(_)) {
                            bytes = &bytes[..frames.advance_to_boundary(bytes)];
                        } else {
                            frames.advance(bytes);
                        }
                    }
                    let _ = on.client.send(on.buffers, bytes);
                }
                ReadOutcome::Blocked => return Ok(false),
                ReadOutcome::Ended => {
                    self.instance_ended = true;
                    return Ok(false);
                }
                ReadOutcome::Broken(_) => return Err(Terminal::Cut(on.dropped)),
            }
        }
        Ok(true)
    }

    /// Sends the Close to both sides if the client is between two frames; whether it was sent.
    fn tell_end(&mut self, on: &mut Relay<'_>) -> bool {
        let Some((to_client, to_instance)) = &self.frames else { return false };
        if !to_client.is_at_boundary() {
            return false;
        }
        let _ = on.client.send(on.buffers, CLOSE_SERVICE_RESTART);
        if to_instance.is_at_boundary() {
            let _ = self.to_instance.send(&mut on.upstream.stream, on.buffers, CLOSE_SERVICE_RESTART_MASKED);
        }
        self.ending = Ending::Told(on.now_ms + CLOSE_GRACE_MS);
        true
    }
}
