//! Upgraded connections: bytes are carried as they are, both ways, until either side ends.
//!
//! When the instance ends, what came from it is delivered and the tunnel is over: RFC 9110 §9.3.6 asks that of whoever carries one, and
//! a client that says nothing would otherwise keep it for ever. A client may end its own direction first and is then waited for, for a
//! time: what it asked may still be answered.
//!
//! A tunnel outlives the table that made it. When its instance leaves the table it gets a deadline, and a WebSocket is then
//! ended as a server that restarts ends it: Close 1012 between two frames, so that the client comes back by itself.

use gapless_routing::{CutReason, StatusClass, Terminal};

use super::client::{Client, Flushed, Output, Phase};
use super::drive::Step;
use super::exchange::{Exchange, Protocol};
use super::slab::Key;
use super::socket::{self, ReadOutcome};
use super::upstream::Upstream;
use super::websocket::{CLOSE_SERVICE_RESTART, CLOSE_SERVICE_RESTART_MASKED, Frames};
use super::worker::{Scratch, Worker};

/// Reads per direction and turn.
const READS_MAX: usize = 16;

/// How long a client may take to answer a Close, in milliseconds.
const CLOSE_GRACE_MS: u64 = 2_000;

/// How long an instance may go on when its client has said that nothing more comes from it, in milliseconds.
const HALF_CLOSED_MS: u64 = 30_000;

/// How far the end of a tunnel has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
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
    pub(crate) exchange: Box<Exchange>,
    pub(crate) upstream: Key,
    pub(crate) slot: usize,
    /// Bytes that wait until the instance takes them.
    to_instance: Output,
    /// Where the frames towards the client and towards the instance begin, if these are WebSocket frames.
    frames: Option<(Frames, Frames)>,
    /// When the client said that nothing more comes from it.
    client_ended_ms: Option<u64>,
    instance_ended: bool,
    pub(crate) ending: Ending,
}

/// What a turn of a tunnel comes to.
enum Relayed {
    Waiting,
    More,
    Over(Terminal),
    /// The instance has ended and the client has everything that came from it.
    Left(Terminal),
}

impl Worker {
    /// ## Exchange => Tunnel
    ///
    /// The `101` was sent. `first` came from the instance behind it.
    pub(super) fn begin_tunnel(
        &mut self,
        client: &mut Client,
        mut exchange: Box<Exchange>,
        upstream: Key,
        slot: usize,
        first: &[u8],
    ) -> Step {
        exchange.core.handle_switched();
        self.note_lasting(slot, &mut exchange);
        let websocket = exchange.asked.upgrade.as_ref().is_some_and(Protocol::is_websocket);
        let mut frames = websocket.then(|| (Frames::new(), Frames::new()));
        if let Some((to_client, _)) = &mut frames {
            to_client.advance(first);
        }
        // A broken connection shows again when the tunnel has its turn.
        let _ = client.output.send(&mut client.stream, &mut self.buffers, first);
        let mut to_instance = Output::default();
        let input = std::mem::take(&mut client.input);
        if let Some(upstream) = self.backend.get_mut(upstream) {
            if let Err(error) = socket::probe_silence(upstream.stream.socket()) {
                tracing::debug!(%error, "silence of a tunnel's instance is not probed");
            }
            let _ = to_instance.send(&mut upstream.stream, &mut self.buffers, &input);
        }
        if let Some((_, to_instance)) = &mut frames {
            to_instance.advance(&input);
        }
        self.buffers.take_back(input);
        self.mailbox.counts().tunnels.add(1);
        let in_table = self.backend.instances().get(slot).is_some_and(|state| state.in_table);
        let patience = exchange.core.policy().map_or(0, |policy| policy.tunnel_drain_timeout.0);
        let ending = if in_table { Ending::None } else { Ending::At(self.clock.now_ms() + patience) };
        let tunnel = Tunnel {
            exchange,
            upstream,
            slot,
            to_instance,
            frames,
            client_ended_ms: None,
            instance_ended: false,
            ending,
        };
        Step::Again(Phase::Tunnel(Box::new(tunnel)))
    }

    /// ## Tunnel => closed
    pub(super) fn serve_tunnel(&mut self, client: &mut Client, mut tunnel: Box<Tunnel>, scratch: &mut Scratch) -> Step {
        let Some(mut upstream) = self.backend.take(tunnel.upstream) else {
            return self.end_tunnel(client, tunnel, Terminal::Cut(CutReason::Internal));
        };
        let relayed = self.relay(client, &mut tunnel, &mut upstream, scratch);
        self.backend.put_back(tunnel.upstream, upstream);
        match relayed {
            Relayed::Waiting => Step::Wait(Phase::Tunnel(tunnel)),
            Relayed::More => {
                self.again.push(client.key);
                Step::Wait(Phase::Tunnel(tunnel))
            }
            Relayed::Over(terminal) => self.end_tunnel(client, tunnel, terminal),
            Relayed::Left(terminal) => {
                self.end_tunnel(client, tunnel, terminal);
                // What the client sends now goes nowhere, but is read: a reset would take from it what was just delivered.
                self.linger()
            }
        }
    }

    /// Gives the tunnel its end in the ledger. Both connections are closed.
    #[expect(
        clippy::boxed_local,
        reason = "tunnels are boxed wherever they are, and moving one out of its box is a copy"
    )]
    pub(super) fn end_tunnel(&mut self, client: &mut Client, mut tunnel: Box<Tunnel>, terminal: Terminal) -> Step {
        tunnel.to_instance.discard(&mut self.buffers);
        self.mailbox.counts().tunnels.take(1);
        self.abandon(client, tunnel.exchange, terminal)
    }

    fn relay(
        &mut self,
        client: &mut Client,
        tunnel: &mut Tunnel,
        upstream: &mut Upstream,
        scratch: &mut Scratch,
    ) -> Relayed {
        let up = match self.relay_up(client, tunnel, upstream, scratch) {
            Ok(more) => more,
            Err(terminal) => return Relayed::Over(terminal),
        };
        let down = match self.relay_down(client, tunnel, upstream, scratch) {
            Ok(more) => more,
            Err(terminal) => return Relayed::Over(terminal),
        };
        let told = matches!(tunnel.ending, Ending::Told(_));
        match (tunnel.client_ended_ms, tunnel.instance_ended) {
            (Some(_), _) if told => Relayed::Over(Terminal::Cut(CutReason::TunnelDrainDeadline)),
            (_, true) if client.output.is_empty() => Relayed::Left(self.left_by_instance(tunnel)),
            _ if up || down => Relayed::More,
            _ => Relayed::Waiting,
        }
    }

    /// How a tunnel ends whose instance has ended: well, if either side may end it without a word or somebody said it.
    fn left_by_instance(&self, tunnel: &Tunnel) -> Terminal {
        let abrupt = match &tunnel.frames {
            Some((to_client, to_instance)) => {
                tunnel.client_ended_ms.is_none() && !to_client.has_closed() && !to_instance.has_closed()
            }
            None => false,
        };
        match tunnel.ending {
            Ending::Told(_) => Terminal::Cut(CutReason::TunnelDrainDeadline),
            _ if abrupt => Terminal::Cut(self.dropped(&tunnel.exchange)),
            _ => Terminal::Answered(StatusClass::Switched),
        }
    }

    /// From the client to the instance; whether there may be more at once.
    fn relay_up(
        &mut self,
        client: &mut Client,
        tunnel: &mut Tunnel,
        upstream: &mut Upstream,
        scratch: &mut Scratch,
    ) -> Result<bool, Terminal> {
        let told = matches!(tunnel.ending, Ending::Told(_));
        for _ in 0..READS_MAX {
            match tunnel.to_instance.flush(&mut upstream.stream, &mut self.buffers) {
                Flushed::All => {}
                Flushed::Some => return Ok(false),
                Flushed::Broken if told => {}
                // It may have said something before it went, which is read first.
                Flushed::Broken => return Ok(false),
            }
            if tunnel.client_ended_ms.is_some() {
                return Ok(false);
            }
            match client.stream.read(&mut scratch.read) {
                ReadOutcome::Bytes(count) => {
                    client.progress_ms = self.clock.now_ms();
                    let bytes = &scratch.read[..count];
                    if let Some((_, frames)) = &mut tunnel.frames {
                        frames.advance(bytes);
                    }
                    // Once the end was told, what the client still says has nobody to go to.
                    if !told {
                        let _ = tunnel.to_instance.send(&mut upstream.stream, &mut self.buffers, bytes);
                    }
                }
                ReadOutcome::Blocked => return Ok(false),
                ReadOutcome::Ended => {
                    tunnel.client_ended_ms = Some(self.clock.now_ms());
                    socket::end_sending(upstream.stream.socket());
                }
                ReadOutcome::Broken(_) => return Err(Terminal::ClientLeft),
            }
        }
        Ok(true)
    }

    /// From the instance to the client; whether there may be more at once.
    fn relay_down(
        &mut self,
        client: &mut Client,
        tunnel: &mut Tunnel,
        upstream: &mut Upstream,
        scratch: &mut Scratch,
    ) -> Result<bool, Terminal> {
        for _ in 0..READS_MAX {
            match client.output.flush(&mut client.stream, &mut self.buffers) {
                Flushed::All => {}
                Flushed::Some => return Ok(false),
                Flushed::Broken => return Err(Terminal::ClientLeft),
            }
            if let Ending::Asked(_) = tunnel.ending
                && self.tell_end(client, tunnel, upstream)
            {
                return Ok(false);
            }
            if tunnel.instance_ended || matches!(tunnel.ending, Ending::Told(_)) {
                return Ok(false);
            }
            match upstream.stream.read(&mut scratch.read) {
                ReadOutcome::Bytes(count) => {
                    client.progress_ms = self.clock.now_ms();
                    let mut bytes = &scratch.read[..count];
                    if let Some((frames, _)) = &mut tunnel.frames {
                        if matches!(tunnel.ending, Ending::Asked(_)) {
                            bytes = &bytes[..frames.advance_to_boundary(bytes)];
                        } else {
                            frames.advance(bytes);
                        }
                    }
                    let _ = client.output.send(&mut client.stream, &mut self.buffers, bytes);
                }
                ReadOutcome::Blocked => return Ok(false),
                ReadOutcome::Ended => {
                    tunnel.instance_ended = true;
                    return Ok(false);
                }
                ReadOutcome::Broken(_) => return Err(Terminal::Cut(self.dropped(&tunnel.exchange))),
            }
        }
        Ok(true)
    }

    /// Sends the Close to both sides if the client is between two frames; whether it was sent.
    fn tell_end(&mut self, client: &mut Client, tunnel: &mut Tunnel, upstream: &mut Upstream) -> bool {
        let Some((to_client, to_instance)) = &tunnel.frames else { return false };
        if !to_client.is_at_boundary() {
            return false;
        }
        let _ = client.output.send(&mut client.stream, &mut self.buffers, CLOSE_SERVICE_RESTART);
        if to_instance.is_at_boundary() {
            let _ = tunnel.to_instance.send(&mut upstream.stream, &mut self.buffers, CLOSE_SERVICE_RESTART_MASKED);
        }
        tunnel.ending = Ending::Told(self.clock.now_ms() + CLOSE_GRACE_MS);
        true
    }
}

impl Tunnel {
    /// The time has come to end it: returns whether it can be ended gently, which takes another turn.
    pub(super) fn ask_end(&mut self, now_ms: u64) -> bool {
        if self.frames.is_some() {
            self.ending = Ending::Asked(now_ms + CLOSE_GRACE_MS);
        }
        self.frames.is_some()
    }

    /// Whether its client has ended its direction so long ago that nobody waits for the other.
    pub(super) fn is_left(&self, now_ms: u64) -> bool {
        self.client_ended_ms.is_some_and(|since_ms| now_ms.saturating_sub(since_ms) >= HALF_CLOSED_MS)
    }

    /// When something about its end is due.
    pub(super) fn is_due(&self, now_ms: u64) -> bool {
        let due = match self.ending {
            Ending::None => false,
            Ending::At(ms) | Ending::Asked(ms) | Ending::Told(ms) => now_ms >= ms,
        };
        due || self.is_left(now_ms)
    }
}
