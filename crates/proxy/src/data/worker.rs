//! The loop of one thread: wait for events, hand each to the connection it is about, sweep now and then.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::Instant;

use gapless_routing::{RetryBudget, Table};
use rustix::event::Timespec;
use rustix::event::epoll;

use super::backend::Backend;
use super::buffers::Buffers;
use super::client::Client;
use super::clock::Clock;
use super::crash_point::CrashPoint;
use super::exchange::Exchange;
use super::hold::Holds;
use super::ids::RequestIds;
use super::poller::{BATCH, Batch, Poller, Token, batch};
use super::reporter::Reporter;
use super::settings::Settings;
use super::slab::{Key, Slab};
use crate::seam::{AccessRecord, Event, Mailbox};

/// Bytes read at once, and so the most that one connection moves before others have their turn.
const READ_BYTES: usize = 64 * 1024;

/// Reads of one connection and direction before others have their turn: a fast sender must not keep the thread to itself.
pub(super) const READS_PER_TURN: usize = 16;

/// How often everything that waits is looked at, in milliseconds. Deadlines are that exact.
const SWEEP_MS: u64 = 100;

/// How often the event queue is asked again before deadlines are judged, at most: so many full batches and nobody's news is older than this look.
const LOOKS_MAX: usize = 64;

/// Room that every connection uses while it is served, and none keeps.
#[derive(Debug)]
pub(super) struct Scratch {
    pub(super) read: Box<[u8]>,
    pub(super) out: Vec<u8>,
}

/// A listening socket of this thread.
#[derive(Debug)]
pub(super) struct Listener {
    pub(super) socket: Option<OwnedFd>,
    /// Taken out of the event queue because no connection can be accepted now.
    pub(super) paused: bool,
}

/// Whether the thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    On,
    Stop,
}

/// Whether the whole proxy goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drain {
    /// It does not.
    No,
    /// It does; what is left then is cut.
    Until { ms: u64 },
    /// Nothing is left, and the control side was told.
    Over,
}

/// A worker thread ended because it was told to; nothing else makes one.
#[derive(Debug)]
pub(crate) struct Stopped(());

/// Everything one thread owns.
pub(crate) struct Worker {
    pub(super) poller: Poller,
    pub(super) mailbox: Mailbox,
    pub(super) reporter: Reporter,
    pub(super) records: Option<SyncSender<AccessRecord>>,
    pub(super) settings: Arc<Settings>,
    pub(super) table: Arc<Table>,
    pub(super) clock: Clock,
    pub(super) ids: RequestIds,
    pub(super) buffers: Buffers,
    pub(super) listeners: Vec<Listener>,
    pub(super) clients: Slab<Client>,
    pub(super) backend: Backend,
    pub(super) holds: Holds,
    /// Exchanges that ended, to be used again.
    #[expect(clippy::vec_box, reason = "the boxes are what is used again")]
    pub(super) spare: Vec<Box<Exchange>>,
    /// Clients that have more to do than one turn allows.
    pub(super) again: Vec<Key>,
    pub(super) drain: Drain,
    pub(super) retry_budget: RetryBudget,
    /// How many threads share the bounds of the service.
    pub(super) threads: usize,
    pub(super) crash_point: CrashPoint,
    /// The most clients there were since the memory of a burst was given back.
    pub(super) clients_peak: usize,
    turn: u64,
    sweep_next_ms: u64,
    /// When the instances of each release are compared with each other next.
    pub(super) compare_next_ms: u64,
}

/// What a worker starts with.
pub(crate) struct WorkerParts {
    pub(crate) mailbox: Mailbox,
    pub(crate) events: SyncSender<Event>,
    pub(crate) records: Option<SyncSender<AccessRecord>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) origin: Instant,
    pub(crate) threads: usize,
    /// Which of them it is.
    pub(crate) index: usize,
}

impl Worker {
    /// A worker that serves nothing yet.
    ///
    /// # Errors
    /// When the system gives no event queue.
    pub(crate) fn new(parts: WorkerParts) -> std::io::Result<Self> {
        let poller = Poller::new()?;
        poller.watch_readable(parts.mailbox.descriptor(), Token::Mailbox)?;
        let reporter = Reporter::new(parts.events, parts.mailbox.handle());
        let backend = Backend::new(poller.clone(), reporter.clone(), Arc::clone(&parts.settings));
        Ok(Self {
            poller,
            mailbox: parts.mailbox,
            reporter,
            records: parts.records,
            settings: parts.settings,
            table: Arc::new(Table::empty()),
            clock: Clock::new(parts.origin),
            ids: RequestIds::new(),
            buffers: Buffers::default(),
            listeners: Vec::new(),
            clients: Slab::new(),
            backend,
            holds: Holds::default(),
            spare: Vec::new(),
            again: Vec::new(),
            drain: Drain::No,
            retry_budget: RetryBudget::new(gapless_model::Tick(0)),
            threads: parts.threads.max(1),
            crash_point: CrashPoint::of_thread(parts.index),
            clients_peak: 0,
            turn: 0,
            sweep_next_ms: 0,
            compare_next_ms: 0,
        })
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// When the system takes the event queue away: the thread cannot go on, and the process not without it.
    pub(crate) fn run(mut self) -> std::io::Result<Stopped> {
        let mut scratch =
            Scratch { read: vec![0; READ_BYTES].into_boxed_slice(), out: Vec::with_capacity(2 * READ_BYTES) };
        let mut batch = batch();
        loop {
            let timeout = self.timeout();
            let count = self.poller.wait(&mut batch, timeout.as_ref())?;
            self.clock.update();
            if self.crash_point.is_broken() {
                return Err(std::io::Error::other("it was told to end"));
            }
            if self.turn(&batch[..count], &mut scratch) == Course::Stop {
                return Ok(Stopped(()));
            }
            if self.clock.now_ms() >= self.sweep_next_ms {
                if self.catch_up(&mut batch, &mut scratch)? == Course::Stop {
                    return Ok(Stopped(()));
                }
                self.sweep_next_ms = self.clock.now_ms() + SWEEP_MS;
                self.sweep(&mut scratch);
            }
        }
    }

    /// Takes in everything that is there at this time, before anybody is judged to be late by it. A thread that did not run for a while (its process was
    /// stopped, its machine slept) finds every deadline passed, and beside it the answers that came in time; how it was woken says nothing of them.
    ///
    /// # Errors
    /// When the system takes the event queue away.
    fn catch_up(&mut self, batch: &mut Batch, scratch: &mut Scratch) -> std::io::Result<Course> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        for _ in 0..LOOKS_MAX {
            let count = self.poller.wait(batch, Some(&at_once))?;
            if self.turn(&batch[..count], scratch) == Course::Stop {
                return Ok(Course::Stop);
            }
            if count < BATCH {
                break;
            }
        }
        Ok(Course::On)
    }

    /// How long nothing can become due: until the next sweep where there is anything to look at, else for ever.
    fn timeout(&self) -> Option<Timespec> {
        if !self.again.is_empty() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let idle = self.clients.len() == 0 && self.backend.len() == 0 && self.drain == Drain::No;
        if idle && !self.listeners.iter().any(|listener| listener.paused) {
            return None;
        }
        if self.holds.is_releasing() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
        }
        let left_ms = self.sweep_next_ms.saturating_sub(self.clock.now_ms()).clamp(1, SWEEP_MS);
        Some(Timespec { tv_sec: 0, tv_nsec: left_ms as i64 * 1_000_000 })
    }

    /// One batch of events.
    ///
    /// Connections to instances come first: one that was closed while idle must be known before a request of the same
    /// batch would take it.
    fn turn(&mut self, batch: &[epoll::Event], scratch: &mut Scratch) -> Course {
        let mut called = false;
        for event in batch {
            match Token::of(event) {
                Token::Upstream(key) => self.backend.note(key, event.flags, self.clock.now_ms()),
                Token::Mailbox => called = true,
                Token::Client(_) | Token::Listener(_) => {}
            }
        }
        if called && self.obey(scratch) == Course::Stop {
            return Course::Stop;
        }
        for event in batch {
            match Token::of(event) {
                Token::Client(key) => {
                    if let Some(client) = self.clients.get_mut(key) {
                        client.stream.note(event.flags);
                        self.drive(key, scratch);
                    }
                }
                Token::Upstream(key) => {
                    if let Some(client) = self.backend.client_of(key) {
                        self.drive(client, scratch);
                    }
                }
                Token::Listener(index) => self.accept(index),
                Token::Mailbox => {}
            }
        }
        if !self.again.is_empty() {
            for key in std::mem::take(&mut self.again) {
                self.drive(key, scratch);
            }
        }
        if self.holds.is_releasing() {
            self.release_held(scratch);
        }
        Course::On
    }

    /// Numbers choices, for taking turns.
    #[inline]
    pub(super) fn turn_next(&mut self) -> u64 {
        self.turn += 1;
        self.turn
    }

    /// Registers a listening socket, level-triggered.
    pub(super) fn register_listener(&self, index: usize) -> Result<(), rustix::io::Errno> {
        match self.listeners.get(index).and_then(|listener| listener.socket.as_ref()) {
            Some(socket) => self.poller.watch_readable(socket, Token::Listener(index)),
            None => Ok(()),
        }
    }
}
