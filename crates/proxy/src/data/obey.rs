//! What the control side orders, and new connections.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use gapless_http1::Inbound;
use gapless_model::Millis;
use gapless_routing::{CutReason, Table, Terminal};

use super::client::{Client, Output, PeerLines, Phase};
use super::poller::Token;
use super::progress::Taken;
use super::slab::Key;
use super::socket;
use super::stream::Stream;
use super::tunnel::Ending;
use super::worker::{Course, Drain, Listener, Scratch, Worker};
use crate::seam::{Command, Event};

/// Connections accepted in one turn, so that those that are there already have theirs.
const ACCEPTS_PER_TURN: usize = 64;

/// The ends of tunnels through an instance that leaves are spread over the last part of their drain time, one so-manieth of it.
const ENDS_SPREAD_OVER: u64 = 4;

impl Worker {
    /// Carries out every order that waits.
    pub(super) fn obey(&mut self, scratch: &mut Scratch) -> Course {
        for command in self.mailbox.take() {
            match command {
                Command::Install(table) => self.install(table),
                Command::Listen(listener) => self.listen(listener.into()),
                Command::StopListening => self.close_listeners(),
                Command::SetHealth { instance, health } => {
                    self.backend.set_health(&instance, health);
                    self.holds.release_all();
                    self.backend.tell_panics(&self.table, self.clock.tick());
                }
                Command::Settings { settings, records } => {
                    (self.settings, self.records) = (settings, records);
                    self.backend.set(Arc::clone(&self.settings));
                }
                Command::DistrustFraming { service, release } => {
                    self.backend.distrust_framing(&service, release);
                }
                Command::DrainTunnels { instance, within } => {
                    let wanted = |worker: &Self, slot: usize| {
                        worker.backend.instances().get(slot).is_some_and(|state| state.id == instance)
                    };
                    self.end_tunnels(Some(within), wanted);
                }
                Command::Drain { within } => self.begin_drain(within),
                Command::Stop => {
                    self.cut_all();
                    return Course::Stop;
                }
            }
        }
        self.release_held(scratch);
        Course::On
    }

    fn install(&mut self, table: Arc<Table>) {
        if table.version() < self.table.version() {
            return;
        }
        let version = table.version();
        self.table = table;
        self.backend.follow(&self.table, self.clock.now_us());
        self.end_tunnels(None, |worker, slot| worker.backend.instances().get(slot).is_none_or(|state| !state.in_table));
        self.holds.release_all();
        self.mailbox.acknowledge(version);
        self.reporter.tell(Event::Applied(version));
    }

    /// Gives tunnels of the instances for which `wanted` holds a time to end, spread evenly, unless they have one that is sooner.
    /// Without `within` the time is the service's own.
    fn end_tunnels(&mut self, within: Option<Millis>, wanted: impl Fn(&Self, usize) -> bool) {
        let mut keys: Vec<Key> = Vec::new();
        self.clients.keys_where(
            &mut keys,
            |client| matches!(&client.phase, Phase::Tunnel(tunnel) if wanted(self, tunnel.slot)),
        );
        let count = keys.len() as u64;
        for (index, key) in keys.into_iter().enumerate() {
            let now_ms = self.clock.now_ms();
            let Some(client) = self.clients.get_mut(key) else { continue };
            let Phase::Tunnel(tunnel) = &mut client.phase else { continue };
            let own = || tunnel.exchange.core.policy().map_or(0, |policy| policy.tunnel_drain_timeout.0);
            let within_ms = within.map_or_else(own, |within| within.0);
            // A tunnel lives until near its deadline; only the ends themselves are spread, so that clients do not come back all at once.
            let spread_ms = if within.is_some() { within_ms } else { within_ms / ENDS_SPREAD_OVER };
            let at_ms = now_ms + within_ms - spread_ms + spread_ms * (index as u64 + 1) / count;
            match tunnel.ending {
                Ending::None => tunnel.ending = Ending::At(at_ms),
                Ending::At(ms) if within.is_some() && at_ms < ms => tunnel.ending = Ending::At(at_ms),
                Ending::At(_) | Ending::Asked(_) | Ending::Told(_) => {}
            }
        }
    }

    /// Gives everything that is served its end in the ledger: the thread ends.
    fn cut_all(&mut self) {
        let mut keys = Vec::new();
        self.clients.keys_where(&mut keys, |_| true);
        for key in keys {
            let Some(mut client) = self.clients.take(key) else { continue };
            match std::mem::replace(&mut client.phase, Phase::Waiting) {
                Phase::Exchange(mut exchange) => {
                    self.end_hold(&mut exchange);
                    self.abandon(&client, exchange, Terminal::Cut(CutReason::Quitting));
                }
                Phase::Tunnel(tunnel) => {
                    self.end_tunnel(&mut client, tunnel, Terminal::Cut(CutReason::Quitting));
                }
                Phase::Waiting | Phase::Lingering { .. } => {}
            }
            self.forget_client(key, &mut client);
        }
    }

    fn begin_drain(&mut self, within: Millis) {
        self.close_listeners();
        self.drain = Drain::Until { ms: self.clock.now_ms() + within.0 };
        self.end_tunnels(Some(within), |_, _| true);
    }

    fn close_listeners(&mut self) {
        for listener in &mut self.listeners {
            // Another process may hold the same socket, so closing it here does not take it out of the queue.
            if let Some(socket) = listener.socket.take()
                && !listener.paused
            {
                let _ = self.poller.forget(&socket);
            }
            listener.paused = false;
        }
    }

    fn listen(&mut self, socket: OwnedFd) {
        if let Err(error) = socket::prepare_listener(&socket) {
            tracing::error!(%error, "listening socket cannot be prepared");
            return;
        }
        let free = self.listeners.iter().position(|listener| listener.socket.is_none());
        let index = free.unwrap_or_else(|| {
            self.listeners.push(Listener { socket: None, paused: false });
            self.listeners.len() - 1
        });
        self.listeners[index] = Listener { socket: Some(socket), paused: false };
        if let Err(error) = self.register_listener(index) {
            tracing::error!(%error, "listening socket cannot be watched");
        }
    }

    /// Accepts what waits.
    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            if self.clients.len() >= self.settings.connections_max {
                return self.pause_listener(index);
            }
            let Some(socket) = self.listeners.get(index).and_then(|listener| listener.socket.as_ref()) else { return };
            match socket::accept(socket) {
                Ok(Some((socket, peer))) => {
                    let trusted = self.settings.trusted_peers.iter().any(|network| network.holds(peer.ip()));
                    let lines = PeerLines {
                        peer: format!("X-Forwarded-For: {}\r\n", peer.ip().to_canonical())
                            .into_bytes()
                            .into_boxed_slice(),
                        protocol: b"X-Forwarded-Proto: http\r\n",
                        inbound: if trusted { Inbound::Trusted } else { Inbound::Dropped },
                    };
                    let progress_ms = self.clock.now_ms();
                    let key = self.clients.insert_with(|key| Client {
                        key,
                        stream: Stream::connected(socket),
                        peer,
                        lines,
                        input: Vec::new(),
                        has_leftover: false,
                        said_end: false,
                        output: Output::default(),
                        phase: Phase::Waiting,
                        progress_ms,
                        head_began_ms: None,
                        taken: Taken::default(),
                    });
                    self.mailbox.counts().connections.add(1);
                    self.crash_point.accepted();
                    let client = self.clients.get(key);
                    let registered = client.map(|client| self.poller.watch(client.stream.socket(), Token::Client(key)));
                    if !matches!(registered, Some(Ok(()))) {
                        self.clients.release(key);
                        self.mailbox.counts().connections.take(1);
                    }
                }
                Ok(None) => return,
                Err(error) => {
                    tracing::warn!(%error, "connection not accepted");
                    return self.pause_listener(index);
                }
            }
        }
    }

    /// Stops looking at a listening socket until the next sweep: it would be reported without end.
    fn pause_listener(&mut self, index: usize) {
        let Some(listener) = self.listeners.get_mut(index) else { return };
        if let Some(socket) = &listener.socket
            && self.poller.forget(socket).is_ok()
        {
            listener.paused = true;
        }
    }

    /// Looks at paused listening sockets again.
    pub(super) fn resume_listeners(&mut self) {
        if self.clients.len() >= self.settings.connections_max {
            return;
        }
        for index in 0..self.listeners.len() {
            if self.listeners[index].paused && self.register_listener(index).is_ok() {
                self.listeners[index].paused = false;
            }
        }
    }
}
