//! All connections of one thread to instances, and what it knows of those. A connection is here or with the exchange that has its turn, and nowhere
//! else; it comes by [`Backend::assign`], which counts a request in flight, and goes by the [`Left`] of that request's attempt, which takes it away.

use std::net::SocketAddr;
use std::sync::Arc;

use gapless_exchange::{Connection, Left};
use gapless_http1::Persistence;
use gapless_model::{Health, InstanceId, Millis, ReleaseId, ServiceName, Tick};
use gapless_routing::{Slot, Table};
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::idle::{Finished, InStep, OutOfStep, RequestBody, is_surplus, rest_after};
use super::instances::{FramingSeen, Instances, Verdict, View};
use super::upstream::{After, Alignment, Duty, Upstream};
use crate::data::io::poller::{Poller, Token};
use crate::data::io::slab::{Key, Slab};
use crate::data::io::socket::{self, Connected, Silence};
use crate::data::io::stream::Stream;
use crate::data::reporter::Reporter;
use crate::data::settings::Settings;
use crate::seam::Event;

/// How old an idle connection may be that carries a request which must not be sent twice: the longer one is idle, the likelier
/// the instance is closing it at this moment.
const UNREPEATABLE_IDLE_MAX_MS: u64 = 1_000;

/// Idle connections to one instance of which some may be gone, before those that are gone are looked for.
const IDLE_UNSWEPT_MAX: usize = 64;

/// Everything of one thread that has to do with instances.
#[derive(Debug)]
pub(crate) struct Backend {
    poller: Poller,
    reporter: Reporter,
    settings: Arc<Settings>,
    connections: Slab<Upstream>,
    instances: Instances,
}

/// A request that is to have a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Assignment {
    /// The client connection that it came on.
    pub(crate) client: Key,
    /// The instance.
    pub(crate) slot: Slot,
    /// Distinguishes instances that had the same index one after the other.
    pub(crate) serial: u64,
    pub(crate) address: SocketAddr,
    pub(crate) wants: Wants,
    pub(crate) now_ms: u64,
}

/// Which kept connection serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wants {
    /// Any.
    Any,
    /// One that is surely open: the request must not be sent twice.
    Recent,
    /// None: one was found out of order under this request.
    New,
}

/// A connection that carries a request, which is counted in flight.
#[derive(Debug, Clone, Copy)]
#[must_use]
pub(crate) struct Assigned {
    pub(crate) carrier: Key,
    pub(crate) connection: Connection,
    pub(crate) link: Link,
}

/// Whether a connection is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Link {
    /// It is.
    Up,
    /// It is being made.
    Pending,
}

/// Why a connection could not be begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NoConnection {
    /// The instance refuses.
    Refused,
    /// We have no socket, port or memory for it.
    Exhausted,
}

impl Backend {
    /// With neither connections nor instances.
    pub(crate) fn new(poller: Poller, reporter: Reporter, settings: Arc<Settings>) -> Self {
        let (connections, instances) = (Slab::new(), Instances::new());
        Self { poller, reporter, settings, connections, instances }
    }

    /// The settings have changed.
    pub(crate) fn set(&mut self, settings: Arc<Settings>) {
        self.settings = settings;
    }

    /// How many connections there are.
    pub(crate) fn len(&self) -> usize {
        self.connections.len()
    }

    /// A connection that nobody has taken out.
    pub(crate) fn get(&self, key: Key) -> Option<&Upstream> {
        self.connections.get(key)
    }

    /// The same, to change it.
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut Upstream> {
        self.connections.get_mut(key)
    }

    /// Takes a connection out for its exchange's turn.
    #[inline]
    pub(crate) fn take(&mut self, key: Key) -> Option<Box<Upstream>> {
        self.connections.take(key)
    }

    /// Puts it back.
    #[inline]
    pub(crate) fn put_back(&mut self, key: Key, connection: Box<Upstream>) {
        self.connections.put_back(key, connection);
    }

    /// What choices and the control side may know of instances.
    pub(crate) fn instances(&self) -> &Instances {
        &self.instances
    }

    /// The instances as a choice sees them.
    #[inline]
    pub(crate) fn view(&self, now_us: u64, now: Tick) -> View<'_> {
        View { instances: &self.instances, now_us, now }
    }

    /// Remembers what was told about a connection; an idle one is done with.
    #[inline]
    pub(crate) fn note(&mut self, key: Key, flags: EventFlags, now_ms: u64) {
        if let Some(connection) = self.connections.get_mut(key) {
            connection.stream.note(flags);
            if matches!(connection.duty, Duty::Idle { .. }) && connection.stream.is_readable() {
                // Its end, or bytes that belong to no request. Either way it cannot be used.
                self.close_idle(key, now_ms);
            }
        }
    }

    /// The client whose request a connection carries, or waits to.
    #[inline]
    pub(crate) fn client_of(&self, key: Key) -> Option<Key> {
        match self.connections.get(key)?.duty {
            Duty::Busy { client } | Duty::Connecting { client } => Some(client),
            Duty::Idle { .. } => None,
        }
    }

    /// Gives a request a connection of its instance, an idle one that is surely open or a new one, and counts it in flight.
    ///
    /// # Errors
    /// [`NoConnection`]: nothing is counted.
    #[inline]
    pub(crate) fn assign(&mut self, ask: &Assignment) -> Result<Assigned, NoConnection> {
        let kept = if ask.wants == Wants::New { None } else { self.check_out(ask) };
        let assigned = match kept {
            Some(kept) => Assigned { carrier: kept.key(), connection: Connection::Kept, link: Link::Up },
            None => {
                let (carrier, link) = self.connect(ask)?;
                Assigned { carrier, connection: Connection::New, link }
            }
        };
        self.reporter.counts().in_flight(ask.slot.index()).add(1);
        self.instances.note_dispatched(ask.slot.index());
        Ok(assigned)
    }

    /// An attempt is over, and its connection with it.
    pub(crate) fn close(&mut self, left: &Left<Key>) {
        self.end(left);
        self.close_connection(left.carrier());
    }

    /// An attempt is over: its connection waits for another request, or is closed. `finished` is what its exchange was, as far as is known there.
    #[inline]
    pub(crate) fn keep(&mut self, left: &Left<Key>, client: Key, finished: &Finished, now_ms: u64) {
        self.end(left);
        let (key, slot) = (left.carrier(), left.slot().index());
        let Some(connection) = self.connections.get_mut(key) else { return };
        let persistence = match connection.after {
            After::Keeps if connection.input.is_empty() => Persistence::KeepAlive,
            After::Keeps | After::Closes => Persistence::Close,
            After::Surplus => {
                self.note_surplus(slot);
                return self.close_connection(key);
            }
        };
        let Some(rest) = rest_after(&Finished { persistence, ..*finished }) else {
            return self.close_connection(key);
        };
        if finished.request_body == RequestBody::Sent
            && connection.stream.unacknowledged().is_some_and(|bytes| bytes > 0)
        {
            // It answered before it had the whole body: an answer carries the acknowledgement of all that came before it.
            return self.close_connection(key);
        }
        connection.duty = Duty::Idle { since_ms: now_ms };
        let (serial, until_ms) = (connection.serial, now_ms.saturating_add(connection.idle_max_ms));
        if connection.stream.is_readable() {
            // Something was told while the connection was busy. Nothing will be told of it again.
            match connection.stream.listen() {
                Silence::Quiet => {}
                Silence::Bytes | Silence::Over => return self.close_idle(key, now_ms),
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
                state.idle.insert(key, rest, client, now_ms);
                self.connections.arm(key, until_ms);
            }
            _ => self.close_connection(key),
        }
    }

    /// A request is with the instance no more.
    #[inline]
    fn end(&mut self, left: &Left<Key>) {
        let slot = left.slot().index();
        if left.is_lasting() {
            self.reporter.counts().lasting(slot).take(1);
        }
        self.reporter.counts().in_flight(slot).take(1);
        self.instances.note_ended(slot);
    }

    /// Takes a kept connection that this client may have, whatever its request: nothing stands on it, not even its end.
    #[inline]
    fn check_out(&mut self, ask: &Assignment) -> Option<InStep> {
        loop {
            let candidate = self.instances.get_mut(ask.slot.index())?.idle.take(ask.client, ask.now_ms)?;
            let Some(connection) = self.connections.get_mut(candidate.key()) else { continue };
            let Duty::Idle { since_ms } = connection.duty else { continue };
            let idle_ms = ask.now_ms.saturating_sub(since_ms);
            let unsure = ask.wants == Wants::Recent && idle_ms > UNREPEATABLE_IDLE_MAX_MS;
            if unsure || idle_ms >= connection.idle_max_ms {
                // Those below it are older still: they will be swept.
                self.close_connection(candidate.key());
                return None;
            }
            let before = candidate.before();
            match candidate.prove(&mut connection.stream) {
                Ok(kept) => {
                    connection.alignment = Alignment::Unproven { before, written: connection.stream.written() };
                    connection.duty = Duty::Busy { client: ask.client };
                    connection.after = After::Closes;
                    return Some(kept);
                }
                Err(OutOfStep(key)) => self.close_idle(key, ask.now_ms),
            }
        }
    }

    /// Begins a connection of its own.
    fn connect(&mut self, ask: &Assignment) -> Result<(Key, Link), NoConnection> {
        if self.connections.len() >= self.settings.connections_max
            && let Some(idle) = self.connections.find(|connection| matches!(connection.duty, Duty::Idle { .. }))
        {
            // One that is needed goes before one that may be.
            self.close_connection(idle);
        }
        let client = ask.client;
        let (stream, duty, link) = match socket::begin_connect(ask.address) {
            Ok(Connected::Now(socket)) => (Stream::connected(socket), Duty::Busy { client }, Link::Up),
            Ok(Connected::Pending(socket)) => (Stream::connecting(socket), Duty::Connecting { client }, Link::Pending),
            Err(Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::ADDRNOTAVAIL) => {
                return Err(NoConnection::Exhausted);
            }
            Err(_) => return Err(NoConnection::Refused),
        };
        let idle_max_ms = self.settings.idle_max_ms;
        let key = self.connections.insert_with(|_| Upstream {
            stream,
            slot: ask.slot.index(),
            serial: ask.serial,
            duty,
            alignment: Alignment::Aligned,
            input: Vec::new(),
            after: After::Closes,
            idle_max_ms,
        });
        self.reporter.counts().upstream_connections.add(1);
        let connection = self.connections.get(key);
        let watched = connection.map(|connection| self.poller.watch(&connection.stream, Token::Upstream(key)));
        if matches!(watched, Some(Err(_))) {
            self.close_connection(key);
            return Err(NoConnection::Exhausted);
        }
        Ok((key, link))
    }

    /// Closes a connection, whatever it does.
    fn close_connection(&mut self, key: Key) {
        if self.connections.get(key).is_some() {
            self.connections.release(key);
            self.reporter.counts().upstream_connections.take(1);
        }
    }

    /// Closes an idle connection on which something stands, and remembers of the instance if that can only be surplus.
    fn close_idle(&mut self, key: Key, now_ms: u64) {
        if let Some(connection) = self.connections.get_mut(key)
            && let Duty::Idle { since_ms } = connection.duty
            && is_surplus(connection.stream.listen(), now_ms.saturating_sub(since_ms))
        {
            let slot = connection.slot;
            self.note_surplus(slot);
        }
        self.close_connection(key);
    }

    /// Closes connections that were idle for too long.
    pub(crate) fn sweep_idle(&mut self, now_ms: u64) {
        let mut closed = false;
        for key in self.connections.take_due(now_ms) {
            let Some(until_ms) = self.connections.get(key).and_then(Upstream::idle_until_ms) else { continue };
            if now_ms >= until_ms {
                self.close_connection(key);
                closed = true;
            } else {
                // It carried another request since.
                self.connections.arm(key, until_ms);
            }
        }
        // Numbers of connections that are gone are skipped when one is taken; here they are cleared away.
        let connections = &self.connections;
        for (_, state) in self.instances.iter_mut() {
            if closed || state.idle.len() > IDLE_UNSWEPT_MAX {
                state.idle.retain(|key| connections.get(key).is_some());
            }
        }
    }

    /// The instance sent bytes behind an answer. Where they had come a moment later they would have been another client's answer, so
    /// no connection to its release carries a second request from now on. The other threads hear of it by way of the control side.
    pub(crate) fn note_surplus(&mut self, slot: usize) {
        let Some(state) = self.instances.get(slot).filter(|state| state.framing == FramingSeen::Exact) else { return };
        let instance = state.id.clone();
        self.distrust_framing(&instance.service, instance.release);
        self.reporter.tell(Event::OutOfStep { instance });
    }

    /// Some thread has seen that of an instance of this release.
    pub(crate) fn distrust_framing(&mut self, service: &ServiceName, release: ReleaseId) {
        let idle = self.instances.distrust_framing(service, release);
        idle.into_iter().for_each(|key| self.close_connection(key));
    }

    /// Follows a new table: idle connections to instances that it does not have are closed.
    pub(crate) fn follow(&mut self, table: &Table, now_us: u64) {
        let orphaned = self.instances.follow(table, now_us);
        orphaned.into_iter().for_each(|key| self.close_connection(key));
    }

    /// Takes the news of a probe.
    pub(crate) fn set_health(&mut self, instance: &InstanceId, health: Health) {
        self.instances.set_health(instance, health);
    }

    /// What a request met at its instance.
    #[inline]
    pub(crate) fn judge(&mut self, slot: usize, verdict: Verdict, now: Tick) {
        if let Some(event) = self.instances.judge(slot, verdict, now) {
            self.reporter.tell(event);
        }
    }

    /// Compares the instances of each release with each other: one may fail far more than its peers without ever failing often in a row. Tells of
    /// those that are left out for it.
    pub(crate) fn compare_peers(&mut self, table: &Table, now: Tick) {
        self.instances.compare_peers(table, now).into_iter().for_each(|event| self.reporter.tell(event));
    }

    /// Tells of ejections that have run out.
    pub(crate) fn tell_returns(&mut self, now: Tick) {
        self.instances.returns(now).into_iter().for_each(|event| self.reporter.tell(event));
    }

    /// Tells of services of which no instance is good: they are all used, and somebody must know.
    pub(crate) fn tell_panics(&self, table: &Table, now: Tick) {
        self.instances.panics(table, now).into_iter().for_each(|event| self.reporter.tell(event));
    }

    /// Whether an instance left the table so long ago that whoever waits for its requests waits no more: it is stopped with what it
    /// still has, and that is our doing. (Nobody begins to wait before this table is in use, so the time is up here no later than
    /// there.)
    pub(crate) fn drain_is_over(&self, slot: usize, patience: Millis, now_ms: u64) -> bool {
        let left_ms = self.instances.get(slot).and_then(|state| state.left_ms);
        left_ms.is_some_and(|left_ms| now_ms >= left_ms.saturating_add(patience.0))
    }
}
