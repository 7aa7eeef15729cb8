//! Connections to instances: kept ones go in and out by one check each, others are made.

use std::net::SocketAddr;

use gapless_http1::{Inbound, Persistence};
use rustix::io::Errno;

use super::client::Client;
use super::exchange::Exchange;
use super::idle::{InStep, OutOfStep, RequestBody, Speaker, is_surplus, rest_after};
use super::instances::FramingSeen;
use super::slab::Key;
use super::socket::{self, Connected, Silence};
use super::stream::Stream;
use super::upstream::{After, Alignment, Duty, Upstream};
use super::worker::{EVERYTHING, Token, Worker};
use crate::seam::Event;

/// How old an idle connection may be that carries a request which must not be sent twice: the longer one is idle, the likelier
/// the instance is closing it at this moment.
const UNREPEATABLE_IDLE_MAX_MS: u64 = 1_000;

/// Why a connection could not be begun.
pub(super) enum NoConnection {
    /// The instance refuses.
    Refused,
    /// We have no socket, port or memory for it.
    Exhausted,
}

impl Worker {
    /// The exchange is over: its connection waits for another request, or is closed.
    #[inline]
    pub(super) fn check_in(&mut self, key: Key, client: &Client, exchange: &Exchange) {
        let now_ms = self.clock.now_ms();
        let Some(upstream) = self.upstreams.get_mut(key) else { return };
        let (slot, serial) = (upstream.slot, upstream.serial);
        let persistence = match upstream.after {
            After::Keeps if upstream.input.is_empty() => Persistence::KeepAlive,
            After::Keeps | After::Closes => Persistence::Close,
            After::Surplus => {
                self.note_surplus(slot);
                return self.close_upstream(key);
            }
        };
        let speaker = if client.lines.inbound == Inbound::Trusted { Speaker::Proxy } else { Speaker::Client };
        let finished = exchange.finished(persistence, speaker);
        let Some(rest) = rest_after(&finished) else {
            return self.close_upstream(key);
        };
        if finished.request_body == RequestBody::Sent && upstream.stream.unacknowledged().is_some_and(|bytes| bytes > 0)
        {
            // It answered before it had the whole body: an answer carries the acknowledgement of all that came before it.
            return self.close_upstream(key);
        }
        upstream.duty = Duty::Idle { since_ms: now_ms };
        if upstream.stream.is_readable() {
            // Something was told while the connection was busy. Nothing will be told of it again.
            match upstream.stream.listen() {
                Silence::Quiet => {}
                Silence::Bytes | Silence::Over => return self.close_idle(key),
            }
        }
        let most = self.settings.idle_per_instance_max;
        match self.instances.get_mut(slot) {
            Some(state)
                if state.in_table
                    && state.serial == serial
                    && state.framing == FramingSeen::Exact
                    && state.idle.has_room(rest, now_ms, most) =>
            {
                state.idle.insert(key, rest, client.key, now_ms);
            }
            _ => self.close_upstream(key),
        }
    }

    /// Takes a kept connection that this client may have, whatever its request: nothing stands on it, not even its end.
    #[inline]
    pub(super) fn check_out(&mut self, client: Key, slot: usize, exchange: &Exchange) -> Option<InStep> {
        let now_ms = self.clock.now_ms();
        loop {
            let candidate = self.instances.get_mut(slot)?.idle.take(client, now_ms)?;
            let Some(upstream) = self.upstreams.get_mut(candidate.key()) else { continue };
            let Duty::Idle { since_ms } = upstream.duty else { continue };
            let idle_ms = now_ms.saturating_sub(since_ms);
            let unsure = !exchange.core.request().is_idempotent() && idle_ms > UNREPEATABLE_IDLE_MAX_MS;
            if unsure || idle_ms >= upstream.idle_max_ms {
                // Those below it are older still: they will be swept.
                self.close_upstream(candidate.key());
                return None;
            }
            let before = candidate.before();
            match candidate.prove(&mut upstream.stream) {
                Ok(kept) => {
                    upstream.alignment = Alignment::Unproven { before, written: upstream.stream.written() };
                    upstream.duty = Duty::Busy { client };
                    upstream.after = After::Closes;
                    return Some(kept);
                }
                Err(OutOfStep(key)) => self.close_idle(key),
            }
        }
    }

    /// Closes an idle connection on which something stands, and remembers of the instance if that can only be surplus.
    pub(super) fn close_idle(&mut self, key: Key) {
        let now_ms = self.clock.now_ms();
        if let Some(upstream) = self.upstreams.get_mut(key)
            && let Duty::Idle { since_ms } = upstream.duty
            && is_surplus(upstream.stream.listen(), now_ms.saturating_sub(since_ms))
        {
            let slot = upstream.slot;
            self.note_surplus(slot);
        }
        self.close_upstream(key);
    }

    /// The instance sent bytes behind an answer. Where they had come a moment later they would have been another client's answer, so
    /// no connection to its release carries a second request from now on. The other threads hear of it by way of the control side.
    pub(super) fn note_surplus(&mut self, slot: usize) {
        let Some(state) = self.instances.get(slot).filter(|state| state.framing == FramingSeen::Exact) else { return };
        let instance = state.id.clone();
        for key in self.instances.distrust_framing(&instance.service, instance.release) {
            self.close_upstream(key);
        }
        self.tell(Event::OutOfStep { instance });
    }

    /// Begins a connection of its own.
    ///
    /// # Errors
    /// [`NoConnection`].
    pub(super) fn connect(
        &mut self,
        client: Key,
        slot: usize,
        serial: u64,
        address: SocketAddr,
    ) -> Result<Key, NoConnection> {
        if self.upstreams.len() >= self.connections_max()
            && let Some(idle) = self.upstreams.find(|upstream| matches!(upstream.duty, Duty::Idle { .. }))
        {
            // One that is needed goes before one that may be.
            self.close_upstream(idle);
        }
        let (stream, duty) = match socket::begin_connect(address) {
            Ok(Connected::Now(socket)) => {
                self.holds.release_all();
                (Stream::connected(socket), Duty::Busy { client })
            }
            Ok(Connected::Pending(socket)) => (Stream::connecting(socket), Duty::Connecting { client }),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL) => {
                return Err(NoConnection::Exhausted);
            }
            Err(_) => return Err(NoConnection::Refused),
        };
        let idle_max_ms = self.settings.idle_max_ms;
        let key = self.upstreams.insert_with(|_| Upstream {
            stream,
            slot,
            serial,
            duty,
            alignment: Alignment::Aligned,
            input: Vec::new(),
            after: After::Closes,
            idle_max_ms,
        });
        self.mailbox.counts().upstream_connections.add(1);
        let registered = match self.upstreams.get_mut(key) {
            Some(upstream) => rustix::event::epoll::add(
                &self.epoll,
                upstream.stream.socket(),
                Token::Upstream(key).to_data(),
                EVERYTHING,
            ),
            None => Ok(()),
        };
        if registered.is_err() {
            self.close_upstream(key);
            return Err(NoConnection::Exhausted);
        }
        Ok(key)
    }
}
