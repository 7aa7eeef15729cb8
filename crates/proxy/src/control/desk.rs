//! Where all news of a proxy process arrive, and what is done with each.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gapless_model::{Epoch, InstanceId, Millis, Term};
use gapless_wire::control::{FromProxy, Hello, ProxyHello, ReportDoc, SealedTable, ToProxy, VersionDoc, feature};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::fence::Admission;
use super::keeping::Kept;
use super::probes::{HealthNews, Probes};
use super::server::{Arrival, ControlSocket};
use super::session::{Heard, Lost, Session};
use super::station::Station;
use crate::seam::{Command, Event};

/// From one report to the next.
const REPORT: Duration = Duration::from_secs(1);

/// How often the threads are looked at while a table is being taken or an instance drains: short beside a drain, cheap beside a core.
const LOOK: Duration = Duration::from_millis(5);

/// How often they are looked at otherwise.
const LOOK_IDLE: Duration = Duration::from_millis(250);

/// A drain that lasts (a tunnel may live for hours) is looked at less and less often: a hundredth of its age, up to this.
const LOOK_LONG: Duration = Duration::from_millis(100);

/// Events of worker threads, and messages, that may wait.
const EVENTS_MAX: usize = 4_096;
const MESSAGES_MAX: usize = 64;

/// What in flight may take when the process is asked to end by a signal.
const DRAIN_ON_SIGNAL: Millis = Millis(30_000);

/// How long a proxy that was told to end by a signal serves on, so that the controller can put another in its place.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// Beyond the time of a drain, what the threads may need to tell that they are done.
const DRAIN_SLACK: Duration = Duration::from_millis(500);

/// Whether the process goes on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Course {
    On,
    End,
}

/// Where all news arrive.
pub(super) struct Desk {
    station: Station,
    probes: Probes,
    health: mpsc::Receiver<HealthNews>,
    session: Option<Session>,
    /// Whether the controller puts another proxy in our place when we say that we leave.
    controller_lets_leave: bool,
    sessions_begun: u64,
    heard: mpsc::Sender<(u64, Heard)>,
    messages: mpsc::Receiver<(u64, Heard)>,
    identity: ProxyHello,
    /// Told to the first controller that comes: what happened before one was there.
    notices: Vec<String>,
    /// Told to end by a signal: until when another proxy may take our place before we drain.
    leaving: Option<Instant>,
    drain: Option<Draining>,
    threads: usize,
}

/// Whom this proxy obeys, in the words of the protocol.
fn fenced(obeyed: &Term) -> FromProxy {
    FromProxy::Fenced { epoch: obeyed.epoch.0, controller: obeyed.controller.as_ref().map(ToString::to_string) }
}

/// Where the threads' news come from.
#[derive(Debug)]
pub(super) struct Inbox {
    /// Of the worker threads.
    pub(super) events: std::sync::mpsc::Receiver<Event>,
    /// Of the thread that keeps tables.
    pub(super) kept: mpsc::Receiver<Kept>,
    /// Of whoever ends processes.
    pub(super) ends: Ends,
}

/// The signals that ask a proxy to end. Until they are listened for, the system ends the process where it stands.
#[derive(Debug)]
pub(super) struct Ends {
    terminate: Signal,
    interrupt: Signal,
}

impl Ends {
    /// Listens for them. Within a runtime.
    ///
    /// # Errors
    /// Of the system.
    pub(super) fn listen() -> io::Result<Ends> {
        Ok(Ends { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }
}

/// The process goes away.
struct Draining {
    deadline: Instant,
    threads_left: usize,
}

/// Notices kept for a controller that is not there.
const NOTICES_MAX: usize = 64;

impl Desk {
    pub(super) fn new(station: Station, threads: usize, notices: Vec<String>) -> Desk {
        let started_unix_ms = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
        let pid = std::process::id();
        let identity = ProxyHello {
            hello: Hello::ours(),
            proxy: format!("proxy-{pid}-{started_unix_ms}"),
            pid,
            threads: u32::try_from(threads).unwrap_or(u32::MAX),
            applied: None,
            listeners: Vec::new(),
            started_unix_ms,
            leaving: false,
        };
        for text in &notices {
            tracing::warn!(text, "notice");
        }
        let (told, health) = mpsc::channel(MESSAGES_MAX);
        let (heard, messages) = mpsc::channel(MESSAGES_MAX);
        let mut probes = Probes::new(told);
        if let Some(table) = station.table() {
            probes.follow(table);
        }
        Desk {
            station,
            probes,
            health,
            session: None,
            controller_lets_leave: false,
            sessions_begun: 0,
            heard,
            messages,
            identity,
            notices,
            leaving: None,
            drain: None,
            threads,
        }
    }

    /// Serves until the process is to end.
    ///
    /// # Errors
    /// When the system takes away what it needs: signals, threads.
    pub(super) async fn serve(&mut self, socket: Option<ControlSocket>, inbox: Inbox) -> io::Result<()> {
        let Inbox { events, mut kept, mut ends } = inbox;
        let (arrived, mut arrivals) = mpsc::channel(4);
        let accepting = async {
            match socket {
                Some(socket) => socket.serve(arrived).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(accepting);
        let (told, mut events_heard) = mpsc::channel(EVENTS_MAX);
        std::thread::Builder::new().name("events".into()).spawn(move || {
            while let Ok(event) = events.recv() {
                if told.blocking_send(event).is_err() {
                    return;
                }
            }
        })?;
        let (mut reported, mut expecting) = (Instant::now(), Instant::now());
        loop {
            let wait = match self.station.expects_news() {
                true => (expecting.elapsed() / 100).clamp(LOOK, LOOK_LONG),
                false => {
                    expecting = Instant::now();
                    LOOK_IDLE
                }
            };
            let look = tokio::time::sleep(wait);
            let course = tokio::select! {
                result = &mut accepting => return result,
                Some(arrival) = arrivals.recv() => { self.welcome(arrival); Course::On }
                Some((number, heard)) = self.messages.recv() => self.hear(number, heard),
                Some(event) = events_heard.recv() => self.event(&event),
                Some(news) = self.health.recv() => { self.health_news(news); Course::On }
                Some(kept) = kept.recv() => { self.kept(kept); Course::On }
                _ = ends.terminate.recv() => { self.leave(); Course::On }
                _ = ends.interrupt.recv() => { self.leave(); Course::On }
                () = look => Course::On,
            };
            self.look_at_threads();
            if reported.elapsed() >= REPORT {
                reported = Instant::now();
                self.report();
            }
            if self.leaving.is_some_and(|until| Instant::now() >= until) {
                self.begin_drain(DRAIN_ON_SIGNAL);
            }
            let drained =
                self.drain.as_ref().is_some_and(|drain| drain.threads_left == 0 || Instant::now() >= drain.deadline);
            if course == Course::End || drained {
                return self.end().await;
            }
        }
    }

    /// A controller introduces itself: it takes the place of the one before, unless it is older.
    fn welcome(&mut self, arrival: Arrival) {
        let Arrival { term, hello, reader, writer } = arrival;
        self.sessions_begun += 1;
        let session = Session::begin(self.sessions_begun, reader, writer, self.heard.clone());
        let epoch = term.epoch;
        if let Err(obeyed) = self.station.admit(term.clone()) {
            if epoch != Epoch(0) {
                tracing::warn!(%epoch, obeyed = %obeyed.epoch, "controller refused: one of a newer epoch, or another of the same, is obeyed");
            }
            let _gone = session.send(&fenced(&obeyed));
            return;
        }
        if let Some(before) = self.session.take() {
            let _gone = before.send(&fenced(&term));
        }
        tracing::info!(%epoch, program = hello.program, "controller connected");
        self.session = Some(session);
        self.controller_lets_leave = hello.can(feature::LEAVING);
        let identity = ProxyHello {
            applied: self.station.acknowledged().map(VersionDoc::from),
            listeners: self.station.listeners.iter().map(|held| held.address.to_string()).collect(),
            leaving: self.leaving.is_some() || self.drain.is_some(),
            ..self.identity.clone()
        };
        self.station.books.forget_sent();
        self.tell(&FromProxy::Hello(identity));
        for text in std::mem::take(&mut self.notices) {
            self.tell(&FromProxy::Notice { text });
        }
        self.report();
    }

    fn hear(&mut self, number: u64, heard: Heard) -> Course {
        if self.session.as_ref().is_none_or(|session| session.number != number) {
            return Course::On; // of a controller that is no longer obeyed
        }
        let (message, descriptors) = match heard {
            Heard::Message(message, descriptors) => (message, descriptors),
            Heard::Gone => {
                tracing::warn!("the controller is gone; routing goes on");
                self.session = None;
                return Course::On;
            }
        };
        match message {
            ToProxy::Table { table } => self.table(&table),
            ToProxy::Listeners { addresses } => {
                for (address, descriptor) in addresses.iter().zip(descriptors) {
                    if let Err(error) = self.station.lend(address, descriptor) {
                        self.notice(error.to_string());
                    }
                }
            }
            ToProxy::GiveListeners => self.give_listeners(),
            ToProxy::CloseListeners { addresses } => self.station.close_listeners(&addresses),
            ToProxy::Health { instance, health } => match instance.parse() {
                Ok(instance) => self.station.set_health(instance, health.into()),
                Err(_) => tracing::warn!(instance, "health of what is no instance"),
            },
            ToProxy::DrainTunnels { instance, within_ms } => match instance.parse::<InstanceId>() {
                Ok(instance) => self
                    .station
                    .plane
                    .post_all(|| Command::DrainTunnels { instance: instance.clone(), within: Millis(within_ms) }),
                Err(_) => tracing::warn!(instance, "tunnels of what is no instance"),
            },
            ToProxy::Settings { settings } => {
                if let Some(text) = self.station.set(&settings) {
                    self.notice(text);
                }
            }
            ToProxy::Report { number } => self.report_asked(number),
            ToProxy::Drain { within_ms } => self.begin_drain(Millis(within_ms)),
            ToProxy::Quit => return Course::End,
            ToProxy::Ping { number } => self.tell(&FromProxy::Pong { number }),
            ToProxy::Hello { .. } | ToProxy::Unknown => {}
        }
        Course::On
    }

    fn table(&mut self, sealed: &SealedTable) {
        match self.station.take(sealed) {
            Ok(Admission::Again) => {
                if let Some(version) = self.station.acknowledged() {
                    self.tell(&FromProxy::Applied { version: version.into() });
                }
            }
            Ok(Admission::New) => {
                if let Some(table) = self.station.table() {
                    self.probes.follow(table);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "table refused");
                let version = sealed.open_unsealed().ok().map(|spec| spec.version.into());
                self.tell(&FromProxy::Refused { version, reason: error.to_string() });
            }
        }
    }

    fn give_listeners(&mut self) {
        let mut copies = Vec::new();
        for held in &self.station.listeners {
            match held.socket.as_fd().try_clone_to_owned() {
                Ok(copy) => copies.push((held.address.to_string(), copy)),
                Err(error) => tracing::error!(%error, address = %held.address, "listening socket cannot be copied"),
            }
        }
        if self.session.as_ref().is_some_and(|session| session.send_listeners(copies) == Err(Lost)) {
            self.session = None;
        }
    }

    fn event(&mut self, event: &Event) -> Course {
        if let Some(text) = self.station.hear(event) {
            self.notice(text);
        }
        if *event == Event::Drained
            && let Some(drain) = &mut self.drain
        {
            drain.threads_left = drain.threads_left.saturating_sub(1);
        }
        Course::On
    }

    fn health_news(&mut self, news: HealthNews) {
        tracing::info!(instance = %news.instance, health = ?news.health, "probes say");
        self.station.set_health(news.instance, news.health);
        self.report();
    }

    /// Tells what became of the last table and of what drains.
    fn look_at_threads(&mut self) {
        let applied = self.station.newly_acknowledged();
        let drained = self.station.take_drained();
        if let Some(version) = applied {
            tracing::info!(%version, "table applied");
            self.tell(&FromProxy::Applied { version: version.into() });
        }
        if applied.is_some() || !drained.is_empty() {
            self.report();
        }
    }

    fn report(&mut self) {
        if self.session.as_ref().is_some_and(|session| !session.is_busy()) {
            let report = self.station.report();
            self.tell(&FromProxy::Report(report));
        }
    }

    /// A report that was asked for is never left out.
    fn report_asked(&mut self, number: u64) {
        let report = ReportDoc { asked: number, ..self.station.report() };
        self.tell(&FromProxy::Report(report));
    }

    fn kept(&mut self, kept: Kept) {
        if let Some(text) = self.station.kept(kept) {
            self.notice(text);
        }
    }

    /// Told to end by a signal. Where a controller can put another proxy in our place we serve until it has; asked twice, and without one, we drain.
    fn leave(&mut self) {
        if self.leaving.is_some() || self.session.is_none() || !self.controller_lets_leave {
            return self.begin_drain(DRAIN_ON_SIGNAL);
        }
        tracing::info!("told to end: serving on until another proxy does");
        self.station.keep_nothing();
        self.leaving = Some(Instant::now() + LEAVE_WITHIN);
        self.tell(&FromProxy::Leaving);
    }

    fn notice(&mut self, text: String) {
        tracing::warn!(text, "notice");
        if self.session.is_some() {
            self.tell(&FromProxy::Notice { text });
        } else if self.notices.len() < NOTICES_MAX {
            self.notices.push(text);
        }
    }

    fn tell(&mut self, message: &FromProxy) {
        if self.session.as_ref().is_some_and(|session| session.send(message) == Err(Lost)) {
            tracing::warn!("the controller does not read what it is told; its connection is closed");
            self.session = None;
        }
    }

    fn begin_drain(&mut self, within: Millis) {
        if self.drain.is_some() {
            return;
        }
        tracing::info!(%within, "draining");
        self.leaving = None;
        self.station.keep_nothing();
        self.station.plane.post_all(|| Command::Drain { within });
        let deadline = Instant::now() + within.to_duration() + DRAIN_SLACK;
        self.drain = Some(Draining { deadline, threads_left: self.threads });
    }

    /// The last words: what was counted, and that it is over.
    async fn end(&mut self) -> io::Result<()> {
        let drained = self.drain.is_some();
        if let Some(session) = self.session.take() {
            let report = self.station.report();
            let _gone = session.send(&FromProxy::Report(report));
            if drained {
                let _gone = session.send(&FromProxy::Drained);
            }
            let _late = tokio::time::timeout(REPORT, session.finish()).await;
        }
        Ok(())
    }
}
