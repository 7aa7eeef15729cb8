//! All connections of one thread's clients.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use gapless_model::Millis;
use rustix::event::epoll::EventFlags;

use super::connection::{Connection, Turn};
use super::context::Context;
use super::tunnel::{EndWithin, Tunnel};
use crate::data::frontend::client::Client;
use crate::data::io::poller::{Poller, Token};
use crate::data::io::slab::{Key, Slab};

/// Clients that make a burst worth looking after: fewer hold little.
const BURST_MIN: usize = 256;

/// The connections.
#[derive(Debug)]
pub(crate) struct Clients {
    poller: Poller,
    connections: Slab<Connection>,
    /// The most there were since the memory of a burst was given back.
    peak: usize,
}

impl Clients {
    /// None.
    pub(crate) fn new(poller: Poller) -> Self {
        Self { poller, connections: Slab::new(), peak: 0 }
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// Takes a connection in that was just accepted.
    pub(crate) fn admit(&mut self, socket: OwnedFd, peer: SocketAddr, cx: &Context) {
        let (settings, now_ms) = (&cx.settings, cx.clock.now_ms());
        let accepted = |key| Connection::accepted(Client::accepted(key, socket, peer, settings, now_ms));
        let key = self.connections.insert_with(accepted);
        cx.counts().connections.add(1);
        let connection = self.connections.get(key);
        let watched = connection.map(|connection| self.poller.watch(&connection.client.stream, Token::Client(key)));
        if !matches!(watched, Some(Ok(()))) {
            self.connections.release(key);
            cx.counts().connections.take(1);
            return;
        }
        self.arm(key, cx);
    }

    /// Takes the news of a connection, and gives it its turn.
    pub(crate) fn hear(&mut self, key: Key, flags: EventFlags, cx: &mut Context) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.client.stream.note(flags);
            self.drive(key, cx);
        }
    }

    /// Gives a connection its turn.
    pub(crate) fn drive(&mut self, key: Key, cx: &mut Context) {
        self.with(key, cx, |connection, cx| connection.turn(cx));
    }

    /// Gives those their turn whose requests are held no more.
    pub(crate) fn let_go(&mut self, keys: Vec<Key>, cx: &mut Context) {
        for key in keys {
            self.with(key, cx, |connection, cx| {
                connection.let_go(cx);
                connection.turn(cx)
            });
        }
    }

    /// Does what is due for any of them. Those that nothing can be due for yet are not looked at.
    pub(crate) fn look(&mut self, cx: &mut Context) {
        let due = self.connections.take_due(cx.clock.now_ms());
        let due = if cx.is_cutting() { self.keys() } else { due };
        for key in due {
            self.with(key, cx, |connection, cx| connection.look(cx));
        }
    }

    /// Has all of them looked at in time though settings have changed.
    pub(crate) fn arm_all(&mut self, cx: &Context) {
        for key in self.keys() {
            self.arm(key, cx);
        }
    }

    /// Has a connection looked at in time.
    fn arm(&mut self, key: Key, cx: &Context) {
        if let Some(connection) = self.connections.get_mut(key) {
            let look_ms = connection.look_next_ms(cx);
            self.connections.arm(key, look_ms);
        }
    }

    fn tunnel(&mut self, key: Key) -> Option<&mut Tunnel> {
        self.connections.get_mut(key)?.tunnel_mut()
    }

    fn keys(&self) -> Vec<Key> {
        let mut keys = Vec::new();
        self.connections.keys_where(&mut keys, |_| true);
        keys
    }

    /// Takes a connection out for as long as it has its turn.
    #[inline]
    fn with(&mut self, key: Key, cx: &mut Context, turn: impl FnOnce(&mut Connection, &mut Context) -> Turn) {
        let Some(mut connection) = self.connections.take(key) else { return };
        match turn(&mut connection, cx) {
            Turn::Waits => {}
            Turn::More => cx.again.push(key),
            Turn::Over => {
                connection.close(cx);
                self.connections.release(key);
                cx.counts().connections.take(1);
                return;
            }
        }
        self.connections.arm(key, connection.look_next_ms(cx));
        self.connections.put_back(key, connection);
    }

    /// Gives tunnels through the instances for which `wanted` holds a time to end, spread evenly, unless they have one that is sooner.
    /// Without `within` the time is the service's own.
    pub(crate) fn end_tunnels(&mut self, within: Option<Millis>, cx: &Context, wanted: impl Fn(usize) -> bool) {
        let mut keys = self.keys();
        keys.retain(|&key| self.tunnel(key).and_then(|tunnel| tunnel.slot()).is_some_and(&wanted));
        let (count, now_ms) = (keys.len() as u64, cx.clock.now_ms());
        for (index, key) in (0..).zip(keys) {
            if let Some(tunnel) = self.tunnel(key) {
                tunnel.end_within(&EndWithin { within, now_ms, place: (index, count) });
            }
            self.arm(key, cx);
        }
    }

    /// Gives everything that is served its end in the ledger: the thread ends.
    pub(crate) fn cut(&mut self, cx: &mut Context) {
        for key in self.keys() {
            self.with(key, cx, |connection, cx| {
                connection.cut(cx);
                Turn::Over
            });
        }
    }

    /// Whether a burst is over: most of the clients that there were are gone. Told once.
    pub(crate) fn is_burst_over(&mut self) -> bool {
        self.peak = self.peak.max(self.len());
        let is_over = self.peak >= BURST_MIN && self.len() < self.peak / 4;
        if is_over {
            self.peak = self.len();
        }
        is_over
    }
}
