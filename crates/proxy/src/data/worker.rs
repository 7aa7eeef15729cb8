//! The loop of one thread: wait for events, hand each to the connection it is about, carry out orders, look now and then at what is due.

use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use gapless_model::Millis;
use gapless_routing::Table;
use rustix::event::Timespec;
use rustix::event::epoll;

use super::crash_point::CrashPoint;
use super::drive::clients::Clients;
use super::drive::context::{Context, Drain, Threads};
use super::io::kernel::release_memory;
use super::io::listeners::Listeners;
use super::io::poller::{BATCH, Batch, Poller, Token, batch};
use super::reporter::Reporter;
use super::settings::Settings;
use crate::seam::{AccessRecord, Command, Event, Mailbox};

/// How often it is looked whether anything is due, in milliseconds. Deadlines are that exact.
const SWEEP_MS: u64 = 100;

/// How often the event queue is asked again before deadlines are judged, at most: so many full batches and nobody's news is older than this look.
const LOOKS_MAX: usize = 64;

/// Connections accepted in one turn, so that those that are there already have theirs.
const ACCEPTS_PER_TURN: usize = 64;

/// How long a proxy that goes away waits for the last words of those that it cut, in milliseconds.
const LAST_WORDS_MS: u64 = 3_000;

/// Whether the thread goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Course {
    On,
    Stop,
}

/// A worker thread ended because it was told to; nothing else makes one.
#[derive(Debug)]
pub(crate) struct Stopped(());

/// Everything one thread owns.
pub(crate) struct Worker {
    poller: Poller,
    mailbox: Mailbox,
    listeners: Listeners,
    clients: Clients,
    cx: Context,
    crash_point: CrashPoint,
    sweep_next_ms: u64,
    /// When the instances of each release are compared with each other next.
    compare_next_ms: u64,
}

/// What a worker starts with.
pub(crate) struct WorkerParts {
    pub(crate) mailbox: Mailbox,
    pub(crate) events: SyncSender<Event>,
    pub(crate) records: Option<SyncSender<AccessRecord>>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) threads: Threads,
    /// Which of them it is.
    pub(crate) index: usize,
}

impl Worker {
    /// A worker that serves nothing yet.
    ///
    /// # Errors
    /// When the system gives no event queue.
    pub(crate) fn new(parts: WorkerParts) -> std::io::Result<Self> {
        let WorkerParts { mailbox, events, records, settings, threads, index } = parts;
        let poller = Poller::new()?;
        poller.watch_readable(mailbox.descriptor(), Token::Mailbox)?;
        let reporter = Reporter::new(events, mailbox.handle());
        let mut cx = Context::new(poller.clone(), reporter, settings, threads);
        cx.records = records;
        Ok(Self {
            listeners: Listeners::new(poller.clone()),
            clients: Clients::new(poller.clone()),
            cx,
            crash_point: CrashPoint::of_thread(index),
            sweep_next_ms: 0,
            compare_next_ms: 0,
            poller,
            mailbox,
        })
    }

    /// Serves until told to stop.
    ///
    /// # Errors
    /// When the system takes the event queue away: the thread cannot go on, and the process not without it.
    pub(crate) fn run(mut self) -> std::io::Result<Stopped> {
        let mut batch = batch();
        loop {
            let timeout = self.timeout();
            let count = self.poller.wait(&mut batch, timeout.as_ref())?;
            self.cx.clock.update();
            if self.crash_point.is_broken() {
                return Err(std::io::Error::other("it was told to end"));
            }
            if self.turn(&batch[..count]) == Course::Stop {
                return Ok(Stopped(()));
            }
            if self.cx.clock.now_ms() >= self.sweep_next_ms {
                if self.catch_up(&mut batch)? == Course::Stop {
                    return Ok(Stopped(()));
                }
                self.sweep_next_ms = self.cx.clock.now_ms() + SWEEP_MS;
                self.sweep();
            }
        }
    }

    /// Takes in everything that is there at this time, before anybody is judged to be late by it. A thread that did not run for a while (its process was
    /// stopped, its machine slept) finds every deadline passed, and beside it the answers that came in time; how it was woken says nothing of them.
    ///
    /// # Errors
    /// When the system takes the event queue away.
    fn catch_up(&mut self, batch: &mut Batch) -> std::io::Result<Course> {
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        for _ in 0..LOOKS_MAX {
            let count = self.poller.wait(batch, Some(&at_once))?;
            if self.turn(&batch[..count]) == Course::Stop {
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
        if !self.cx.again.is_empty() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 0 });
        }
        let idle = self.clients.len() == 0 && self.cx.backend.len() == 0 && self.cx.drain == Drain::No;
        if idle && !self.listeners.are_paused() {
            return None;
        }
        if self.cx.holds.is_releasing() {
            return Some(Timespec { tv_sec: 0, tv_nsec: 1_000_000 });
        }
        let left_ms = self.sweep_next_ms.saturating_sub(self.cx.clock.now_ms()).clamp(1, SWEEP_MS);
        Some(Timespec { tv_sec: 0, tv_nsec: left_ms as i64 * 1_000_000 })
    }

    /// One batch of events.
    ///
    /// Connections to instances come first: one that was closed while idle must be known before a request of the same
    /// batch would take it.
    fn turn(&mut self, batch: &[epoll::Event]) -> Course {
        let mut called = false;
        for event in batch {
            match Token::of(event) {
                Token::Upstream(key) => self.cx.backend.note(key, event.flags, self.cx.clock.now_ms()),
                Token::Mailbox => called = true,
                Token::Client(_) | Token::Listener(_) => {}
            }
        }
        if called && self.obey() == Course::Stop {
            return Course::Stop;
        }
        for event in batch {
            match Token::of(event) {
                Token::Client(key) => self.clients.hear(key, event.flags, &mut self.cx),
                Token::Upstream(key) => {
                    if let Some(client) = self.cx.backend.client_of(key) {
                        self.clients.drive(client, &mut self.cx);
                    }
                }
                Token::Listener(index) => self.accept(index),
                Token::Mailbox => {}
            }
        }
        for key in std::mem::take(&mut self.cx.again) {
            self.clients.drive(key, &mut self.cx);
        }
        self.release_held();
        Course::On
    }

    /// Lets some of the requests go on whose hold has ended.
    fn release_held(&mut self) {
        if self.cx.holds.is_releasing() {
            let keys = self.cx.holds.take_released();
            self.clients.let_go(keys, &mut self.cx);
        }
    }

    /// Carries out every order that waits.
    fn obey(&mut self) -> Course {
        for command in self.mailbox.take() {
            let cx = &mut self.cx;
            match command {
                Command::Install(table) => self.install(table),
                Command::Listen(listener) => self.listeners.add(listener.into()),
                Command::StopListening => self.listeners.close(),
                Command::SetHealth { instance, health } => {
                    cx.backend.set_health(&instance, health);
                    cx.holds.release_all();
                    cx.backend.tell_panics(&cx.table, cx.clock.tick());
                }
                Command::Settings { settings, records } => {
                    cx.set(settings, records);
                    self.clients.arm_all(cx);
                }
                Command::DistrustFraming { service, release } => cx.backend.distrust_framing(&service, release),
                Command::DrainTunnels { instance, within } => {
                    let instances = cx.backend.instances();
                    let wanted = |slot| instances.get(slot).is_some_and(|state| state.id == instance);
                    self.clients.end_tunnels(Some(within), cx, wanted);
                }
                Command::Drain { within } => self.begin_drain(within),
                Command::Stop => {
                    self.clients.cut(cx);
                    return Course::Stop;
                }
            }
        }
        // Before anybody who comes now.
        self.release_held();
        Course::On
    }

    fn install(&mut self, table: Arc<Table>) {
        let cx = &mut self.cx;
        let version = table.version();
        if version < cx.table.version() {
            return;
        }
        cx.table = table;
        cx.backend.follow(&cx.table, cx.clock.now_us());
        let instances = cx.backend.instances();
        let gone = |slot| instances.get(slot).is_none_or(|state| !state.in_table);
        self.clients.end_tunnels(None, cx, gone);
        cx.holds.release_all();
        self.mailbox.acknowledge(version);
        cx.reporter.tell(Event::Applied(version));
    }

    fn begin_drain(&mut self, within: Millis) {
        self.listeners.close();
        let now_ms = self.cx.clock.now_ms();
        self.cx.drain = Drain::Until { ms: now_ms + within.0 };
        self.clients.end_tunnels(Some(within), &self.cx, |_| true);
    }

    /// Looks at everything that waits. A few times a second for all together, so that no request arms a timer.
    fn sweep(&mut self) {
        let Self { clients, cx, listeners, .. } = self;
        clients.look(cx);
        let (now_ms, now) = (cx.clock.now_ms(), cx.clock.tick());
        cx.backend.sweep_idle(now_ms);
        let keys = cx.holds.take_probing();
        clients.let_go(keys, cx);
        if now_ms >= self.compare_next_ms {
            self.compare_next_ms = now_ms + cx.settings.compare_every_ms;
            cx.backend.compare_peers(&cx.table, now);
        }
        cx.backend.tell_returns(now);
        if clients.len() < cx.settings.connections_max {
            listeners.resume();
        }
        if clients.is_burst_over() {
            cx.release_spare();
            release_memory();
        }
        self.check_drained();
    }

    /// Tells, once, when a proxy that goes away serves nothing any more.
    fn check_drained(&mut self) {
        if let Drain::Until { ms } = self.cx.drain
            && (self.clients.len() == 0 || self.cx.clock.now_ms() >= ms + LAST_WORDS_MS)
        {
            self.cx.drain = Drain::Over;
            self.cx.reporter.tell(Event::Drained);
        }
    }

    /// Accepts what waits at a listening socket.
    fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TURN {
            if self.clients.len() >= self.cx.settings.connections_max {
                return self.listeners.pause(index);
            }
            let Some((socket, peer)) = self.listeners.accept(index) else { return };
            self.crash_point.accepted();
            self.clients.admit(socket, peer, &self.cx);
        }
    }
}
