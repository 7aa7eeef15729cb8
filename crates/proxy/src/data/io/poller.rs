//! The event queue of one thread, and what it is told about.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;

use super::slab::Key;

/// Events taken at once. More wait in the kernel for the next round.
pub(crate) const BATCH: usize = 256;

/// What connections are registered for, once: everything, edge-triggered.
const EVERYTHING: EventFlags = EventFlags::IN.union(EventFlags::OUT).union(EventFlags::RDHUP).union(EventFlags::ET);

/// What a token is about: the upper eight bits.
const KIND_SHIFT: u32 = 56;
const CLIENT: u64 = 1;
const UPSTREAM: u64 = 2;
const LISTENER: u64 = 3;
const MAILBOX: u64 = 4;

/// What an event is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Token {
    Client(Key),
    Upstream(Key),
    Listener(usize),
    Mailbox,
}

impl Token {
    fn to_data(self) -> EventData {
        EventData::new_u64(match self {
            Self::Client(key) => CLIENT << KIND_SHIFT | key.to_bits(),
            Self::Upstream(key) => UPSTREAM << KIND_SHIFT | key.to_bits(),
            Self::Listener(index) => LISTENER << KIND_SHIFT | index as u64,
            Self::Mailbox => MAILBOX << KIND_SHIFT,
        })
    }

    /// What an event is about.
    #[inline]
    pub(crate) fn of(event: &epoll::Event) -> Self {
        let bits = event.data.u64();
        let rest = bits & ((1 << KIND_SHIFT) - 1);
        match bits >> KIND_SHIFT {
            CLIENT => Self::Client(Key::from_bits(rest)),
            UPSTREAM => Self::Upstream(Key::from_bits(rest)),
            LISTENER => Self::Listener(rest as usize),
            _ => Self::Mailbox,
        }
    }
}

/// Room for one batch of events.
pub(crate) type Batch = [epoll::Event; BATCH];

/// An empty batch.
pub(crate) fn batch() -> Batch {
    [epoll::Event { flags: EventFlags::empty(), data: EventData::new_u64(0) }; BATCH]
}

/// An event queue. Copies are of the same queue.
#[derive(Debug, Clone)]
pub(crate) struct Poller {
    queue: Arc<OwnedFd>,
}

impl Poller {
    /// An empty queue.
    ///
    /// # Errors
    /// When the system gives none.
    pub(crate) fn new() -> Result<Self, Errno> {
        Ok(Self { queue: Arc::new(epoll::create(epoll::CreateFlags::CLOEXEC)?) })
    }

    /// Watches a connection: every change is told once.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub(crate) fn watch(&self, socket: impl AsFd, token: Token) -> Result<(), Errno> {
        epoll::add(&*self.queue, socket, token.to_data(), EVERYTHING)
    }

    /// Watches what can be read, and tells of it as long as it can be.
    ///
    /// # Errors
    /// When the system has no room for it.
    pub(crate) fn watch_readable(&self, source: impl AsFd, token: Token) -> Result<(), Errno> {
        epoll::add(&*self.queue, source, token.to_data(), EventFlags::IN)
    }

    /// Watches it no more.
    ///
    /// # Errors
    /// When it was not watched.
    pub(crate) fn forget(&self, source: impl AsFd) -> Result<(), Errno> {
        epoll::delete(&*self.queue, source)
    }

    /// Waits for events, at most so long; for ever without a time. Returns how many there are: none also when a signal came in between.
    ///
    /// # Errors
    /// When the system takes the queue away.
    #[inline]
    pub(crate) fn wait(&self, batch: &mut Batch, timeout: Option<&Timespec>) -> Result<usize, Errno> {
        match epoll::wait(&*self.queue, &mut batch[..], timeout) {
            Err(Errno::INTR) => Ok(0),
            outcome => outcome,
        }
    }
}
