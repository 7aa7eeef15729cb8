//! The keeper's loop: what happens (a signal, a line, a request, a deadline) and what is done about it. Decisions are [`Life`]'s.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, WaitOptions};

use super::cgroup::Cgroup;
use super::clients::Clients;
use super::deserted::Deserted;
use super::held::{Found, Held};
use super::message::{Announcement, Answer, Ask, PROTOCOL, Reply, Request};
use super::privileges::{self, Known};
use super::spec::{InstanceFolder, Spec, write_json};
pub(crate) use super::state::KILL_PATIENCE;
use super::state::{Act, Life, MainEnd};
use super::{announce, child, output, say, tree};
use crate::driver::{Exit, ExitCause, NotEnforced};
use crate::logs::{LogStream, LogWriter};
use crate::sys::{self, Signals};
use crate::whole_file;

/// How long a keeper stays after the end of its instance for someone to acknowledge it; afterwards the file says it.
const LINGER: Duration = Duration::from_secs(60);
/// The same where the file could not be written (a full disk): only the keeper knows then.
const LINGER_UNWRITTEN: Duration = Duration::from_secs(24 * 3600);
/// How often memory is looked at where the kernel does not watch it for us.
const MEMORY_INTERVAL: Duration = Duration::from_secs(1);
/// How often it is looked whether a tree that was taken over has ended.
const TREE_INTERVAL: Duration = Duration::from_millis(50);
/// How much is read of a pipe at once, and between two looks at everything else: what a pipe holds.
const READ_BYTES: usize = 64 << 10;
/// How much is read of a pipe after the end, in case something that cannot be killed goes on writing.
const LAST_BYTES_MAX: usize = 4 << 20;

struct Keeper<'a> {
    spec: &'a Spec,
    folder: &'a InstanceFolder,
    held: Held,
    life: Life,
    /// The newest term that spoke to us; older ones are refused (I5).
    epoch: u64,
    cgroup: Option<Cgroup>,
    log: LogWriter,
    pipes: [(LogStream, Option<OwnedFd>); 2],
    /// When memory is looked at next, where that is ours to do.
    memory_at: Option<Instant>,
    over_memory: bool,
    not_enforced: NotEnforced,
    left_behind: u32,
    deserted: Option<Deserted>,
    /// Nobody is left to acknowledge the end.
    alone: bool,
    ended: Option<Ended>,
}

struct Ended {
    exit: Exit,
    leave_at: Instant,
}

/// Starts the main process and keeps it to its end.
pub(crate) fn start(spec: &Spec, folder: &InstanceFolder) -> io::Result<()> {
    let signals = prepare()?;
    let clients = Clients::listen(folder)?;
    let mut log = LogWriter::open(&spec.log_folder, spec.log_file_bytes_max, spec.log_files_max);
    let place = Cgroup::place(spec);
    if let Some(place) = &place {
        whole_file::write(&folder.cgroup(), place.as_os_str().as_encoded_bytes())?;
    }
    let made = place.and_then(|place| Cgroup::make(place, spec));
    let (cgroup, refused) = made.map_or((None, Vec::new()), |(group, refused)| (Some(group), refused));
    let limits = Limited::of(spec, cgroup.as_ref(), &refused);
    let main = match child::start(spec, folder, cgroup.as_ref()) {
        Ok(main) => main,
        Err(reason) => return not_started(folder, cgroup, &mut log, reason),
    };
    log.remark(&format!("started as process {}", main.pid));
    limits.not_enforced.remarks().for_each(|remark| log.remark(remark));
    announce(&Announcement::Started { pid: main.pid.unsigned_abs() });
    let keeper = i32::try_from(std::process::id()).expect("BUG: Linux process numbers fit an i32");
    let held = Held::Descendants { keeper, main: main.pid };
    Keeper::new(spec, folder, held, cgroup, log, [Some(main.stdout), Some(main.stderr)], limits).serve(signals, clients)
}

/// Keeps an instance to its end that another keeper started and left by dying.
pub(crate) fn take_over(spec: &Spec, folder: &InstanceFolder, found: Found) -> io::Result<()> {
    let signals = prepare()?;
    let clients = Clients::listen(folder)?;
    let mut log = LogWriter::open(&spec.log_folder, spec.log_file_bytes_max, spec.log_files_max);
    let cgroup = std::fs::read_to_string(folder.cgroup()).ok().and_then(|path| Cgroup::found(Path::new(&path)));
    let limits = Limited::of(spec, cgroup.as_ref(), &[]);
    let pipes = [folder.out_pipe(), folder.err_pipe()].map(|path| output::found(&path).ok());
    log.remark("its keeper died: another has taken it over");
    if pipes.iter().any(Option::is_none) {
        log.remark("what it writes is lost from here on: an earlier version of Gapless started it");
    }
    let held = Held::Found(found);
    announce(&Announcement::Started { pid: held.main().unsigned_abs() });
    if spec.user.is_some() {
        let known = if cgroup.is_some() { Known::Openly } else { Known::ByMark };
        privileges::drop(known)?;
    }
    Keeper::new(spec, folder, held, cgroup, log, pipes, limits).serve(signals, clients)
}

fn prepare() -> io::Result<Signals> {
    sys::ignore_file_size_signal();
    rustix::process::set_child_subreaper(Some(Pid::INIT))?;
    Signals::open()
}

/// Which limits are the keeper's own to watch, and which nobody holds the instance to.
struct Limited {
    memory_is_ours: bool,
    not_enforced: NotEnforced,
}

impl Limited {
    fn of(spec: &Spec, cgroup: Option<&Cgroup>, refused: &[&str]) -> Limited {
        let not_limited = |controller| cgroup.is_none() || refused.contains(&controller);
        let not_enforced = NotEnforced {
            cpu: spec.cpu_milli_max.is_some() && not_limited("cpu"),
            tasks: spec.tasks_max.is_some() && not_limited("pids"),
        };
        Limited { memory_is_ours: spec.memory_bytes_max.is_some() && not_limited("memory"), not_enforced }
    }
}

fn not_started(folder: &InstanceFolder, cgroup: Option<Cgroup>, log: &mut LogWriter, reason: String) -> io::Result<()> {
    log.remark(&format!("not started: {reason}"));
    if let Some(group) = cgroup {
        group.remove();
    }
    let cause = ExitCause::NotStarted(reason.clone());
    write_json(&folder.exit(), &Exit { cause, oom: false, left_behind: 0, at_unix_ms: now_unix_ms() })?;
    announce(&Announcement::NotRunnable { reason });
    Ok(())
}

/// Which descriptors have something, in the order in which they are listed.
struct Ready {
    signals: bool,
    main: bool,
    pipes: [bool; 2],
    listener: bool,
    clients: Vec<PollFlags>,
}

fn wait(keeper: &Keeper<'_>, signals: &Signals, clients: &Clients) -> io::Result<Ready> {
    let mut fds = vec![PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
    let end_of_main = keeper.held.end_of_main().filter(|_| keeper.life.awaits_main());
    fds.extend(end_of_main.map(|handle| PollFd::from_borrowed_fd(handle.as_fd(), PollFlags::IN)));
    for (_, pipe) in &keeper.pipes {
        fds.extend(pipe.as_ref().map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN)));
    }
    fds.extend(clients.interests().map(|(fd, flags)| PollFd::from_borrowed_fd(fd, flags)));
    let timeout = keeper.deadline().map(|at| at.saturating_duration_since(Instant::now()));
    let timeout = timeout.and_then(|length| Timespec::try_from(length).ok());
    match poll(&mut fds, timeout.as_ref()) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    let mut happened = fds.iter().map(|fd| fd.revents());
    let mut next = || happened.next().unwrap_or(PollFlags::empty());
    let signals = !next().is_empty();
    let main = end_of_main.is_some() && !next().is_empty();
    let mut pipes = [false; 2];
    for (ready, (_, pipe)) in pipes.iter_mut().zip(&keeper.pipes) {
        *ready = pipe.is_some() && !next().is_empty();
    }
    let listener = !next().is_empty();
    Ok(Ready { signals, main, pipes, listener, clients: happened.collect() })
}

impl<'a> Keeper<'a> {
    fn new(
        spec: &'a Spec,
        folder: &'a InstanceFolder,
        held: Held,
        cgroup: Option<Cgroup>,
        log: LogWriter,
        [out, err]: [Option<OwnedFd>; 2],
        limits: Limited,
    ) -> Keeper<'a> {
        Keeper {
            spec,
            folder,
            held,
            life: Life::Running,
            epoch: spec.epoch,
            cgroup,
            log,
            pipes: [(LogStream::Out, out), (LogStream::Err, err)],
            memory_at: limits.memory_is_ours.then(|| Instant::now() + MEMORY_INTERVAL),
            over_memory: false,
            not_enforced: limits.not_enforced,
            left_behind: 0,
            deserted: Deserted::watch(&folder.lock(), Instant::now()),
            alone: false,
            ended: None,
        }
    }

    fn serve(mut self, mut signals: Signals, mut clients: Clients) -> io::Result<()> {
        while !self.may_leave() {
            let ready = wait(&self, &signals, &clients)?;
            self.turn(&ready, &mut signals, &mut clients);
        }
        Ok(())
    }

    fn may_leave(&self) -> bool {
        self.ended.as_ref().is_some_and(|ended| Instant::now() >= ended.leave_at)
    }

    fn deadline(&self) -> Option<Instant> {
        let ended = self.ended.as_ref().map(|ended| ended.leave_at);
        let now = Instant::now();
        // Nobody tells when the last process of a tree that was taken over ends: it is looked at.
        let taken_over = self.held.end_of_main().is_some() && matches!(self.life, Life::Stopping { .. });
        let look = taken_over.then(|| now + TREE_INTERVAL);
        let folder = self.deserted.as_ref().map(Deserted::look_at);
        [self.life.deadline(now), look, self.memory_at, folder, ended].into_iter().flatten().min()
    }

    fn turn(&mut self, ready: &Ready, signals: &mut Signals, clients: &mut Clients) {
        let taken = if ready.signals { signals.take() } else { Vec::new() };
        if taken.iter().any(|signal| matches!(*signal, libc::SIGTERM | libc::SIGINT)) {
            let act = self.life.stop(Instant::now(), self.spec.stop_grace().to_duration());
            self.perform(act);
        }
        for (index, ready) in ready.pipes.iter().enumerate() {
            if *ready {
                self.read_pipe(index, READ_BYTES);
            }
        }
        if ready.main {
            self.found_ended();
        }
        self.reap();
        self.watch_memory();
        self.watch_folder(clients);
        let act = self.life.time(Instant::now());
        self.perform(act);
        if let (Life::Ended { main }, None) = (self.life, &self.ended) {
            self.finish(main, clients);
        }
        for (client, flags) in clients.each().zip(&ready.clients) {
            if flags.contains(PollFlags::OUT) {
                client.send();
            }
            if flags.is_empty() {
                continue;
            }
            for ask in client.receive() {
                let reply = self.answer(&ask, &mut client.epoch);
                client.tell(&Answer { id: ask.id, reply });
            }
        }
        clients.sweep();
        if ready.listener {
            clients.accept();
        }
    }

    fn answer(&mut self, ask: &Ask, client: &mut Option<u64>) -> Reply {
        if let Request::Hello { epoch, .. } = ask.request {
            *client = Some(epoch);
            self.epoch = self.epoch.max(epoch);
            return Reply::Hello { protocol: PROTOCOL, epoch: self.epoch };
        }
        let Some(epoch) = *client else { return Reply::Refused { reason: "no hello".to_owned() } };
        let now = Instant::now();
        match ask.request {
            Request::Hello { .. } | Request::Status => match &self.ended {
                Some(ended) => Reply::Exited { exit: ended.exit.clone() },
                None => Reply::Running { pid: self.held.main().unsigned_abs() },
            },
            Request::Resources => self.resources(),
            Request::Stop { .. } | Request::Kill | Request::Acknowledge if epoch < self.epoch => Reply::Stale,
            Request::Stop { grace_ms } => {
                let act = self.life.stop(now, Duration::from_millis(grace_ms));
                self.perform(act);
                Reply::Done
            }
            Request::Kill => {
                let act = self.life.kill(now);
                self.perform(act);
                Reply::Done
            }
            Request::Acknowledge => match &mut self.ended {
                Some(ended) => {
                    ended.leave_at = now;
                    Reply::Done
                }
                None => Reply::Refused { reason: "it runs".to_owned() },
            },
        }
    }

    fn perform(&mut self, act: Act) {
        match act {
            Act::Wait => {}
            Act::Terminate => {
                self.log.remark("asked to end (SIGTERM)");
                self.held.terminate(self.cgroup.as_ref());
            }
            Act::Kill => {
                self.held.kill(self.cgroup.as_ref());
                self.reap();
            }
        }
    }

    /// The main process that was taken over has ended.
    fn found_ended(&mut self) {
        if let Some(end) = self.held.found_end() {
            self.main_ended(end);
        }
    }

    fn main_ended(&mut self, end: MainEnd) {
        if self.life == Life::Running {
            let left = self.held.processes(self.cgroup.as_ref()).len();
            self.left_behind = u32::try_from(left).unwrap_or(u32::MAX);
        }
        if self.life.main_ended(Instant::now(), end) == Act::Kill {
            self.held.kill(self.cgroup.as_ref());
        }
    }

    /// Waits for whatever has ended; as the subreaper that is everything that descends from us and lost its parent. Of a tree that was taken
    /// over nothing is ours to wait for: it is looked whether anything is left.
    fn reap(&mut self) {
        loop {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid.as_raw_nonzero().get() == self.held.main() => {
                    let end = match (status.exit_status(), status.terminating_signal()) {
                        (Some(code), _) => MainEnd::Code(code),
                        (None, Some(signal)) => MainEnd::Signal(signal),
                        (None, None) => continue,
                    };
                    self.main_ended(end);
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(rustix::io::Errno::CHILD) => break,
                Err(_) => return,
            }
        }
        let is_ending = matches!(self.life, Life::Stopping { main: Some(_), .. } | Life::Killing { main: Some(_), .. });
        if is_ending && self.held.processes(self.cgroup.as_ref()).is_empty() {
            self.life.tree_empty();
        }
    }

    /// The memory limit where the kernel does not hold it: looked at once a second, by resident size.
    fn watch_memory(&mut self) {
        let (Some(at), Some(limit)) = (self.memory_at, self.spec.memory_bytes_max) else { return };
        let now = Instant::now();
        if now < at {
            return;
        }
        self.memory_at = (self.life == Life::Running).then(|| now + MEMORY_INTERVAL);
        let (bytes, _) = tree::usage(&self.held.processes(self.cgroup.as_ref()));
        if bytes > limit && self.life == Life::Running {
            self.log.remark(&format!("uses {bytes} bytes of memory, more than the {limit} it may: killed"));
            self.over_memory = true;
            let act = self.life.kill(now);
            self.perform(act);
        }
    }

    /// Where the state folder was deleted nobody can ask this keeper for anything any more, and nobody would ever end what it keeps.
    fn watch_folder(&mut self, clients: &Clients) {
        let now = Instant::now();
        let lock = self.folder.lock();
        if !self.deserted.as_mut().is_some_and(|folder| folder.look(&lock, clients.count(), now)) {
            return;
        }
        self.deserted = None;
        match &mut self.ended {
            Some(ended) => ended.leave_at = now,
            None => {
                say(format_args!("the folder of {} is gone and nobody comes: it is ended", self.spec.instance));
                self.alone = true;
                let act = self.life.stop(now, self.spec.stop_grace().to_duration());
                self.perform(act);
            }
        }
    }

    fn resources(&self) -> Reply {
        let processes = self.held.processes(self.cgroup.as_ref());
        let (resident, ticks) = tree::usage(&processes);
        let own = i32::try_from(std::process::id()).ok().and_then(tree::process);
        let waited = own.map_or(0, |own| own.waited_ticks);
        let per_second = rustix::param::clock_ticks_per_second().max(1);
        let group = self.cgroup.as_ref();
        Reply::Resources {
            memory_bytes: group.and_then(Cgroup::memory_bytes).unwrap_or(resident),
            cpu_us: group.and_then(Cgroup::cpu_us).unwrap_or((ticks + waited) * 1_000_000 / per_second),
            processes: u32::try_from(processes.len()).unwrap_or(u32::MAX),
            not_enforced: self.not_enforced,
        }
    }

    /// Reads at most `bytes_max` of a pipe.
    fn read_pipe(&mut self, index: usize, bytes_max: usize) {
        let (stream, pipe) = &mut self.pipes[index];
        let mut buffer = [0; READ_BYTES];
        let mut total = 0;
        while let Some(open) = pipe.as_ref().filter(|_| total < bytes_max) {
            match rustix::io::read(open, &mut buffer) {
                Ok(0) => {
                    *pipe = None;
                    self.log.end(*stream);
                }
                Ok(length) => {
                    total += length;
                    self.log.take(*stream, &buffer[..length]);
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }

    fn finish(&mut self, main: MainEnd, clients: &mut Clients) {
        for index in 0..self.pipes.len() {
            self.read_pipe(index, LAST_BYTES_MAX);
            let (stream, _) = self.pipes[index];
            self.log.end(stream);
            self.pipes[index].1 = None;
        }
        let cause = match main {
            MainEnd::Code(code) => ExitCause::Code(code),
            MainEnd::Signal(signal) => ExitCause::Signal(signal),
            MainEnd::Unknown => ExitCause::KeeperLost,
        };
        let oom = self.over_memory || self.cgroup.as_ref().is_some_and(Cgroup::oom);
        let exit = Exit { cause, oom, left_behind: self.left_behind, at_unix_ms: now_unix_ms() };
        self.log.remark(&format!("ended: {exit}"));
        let written = write_json(&self.folder.exit(), &exit);
        if let Err(error) = &written {
            say(format_args!("warning: the end of the instance ({exit}) cannot be written down: {error}"));
        }
        if let Some(group) = self.cgroup.take() {
            group.remove();
        }
        self.memory_at = None;
        clients.tell_all(&Reply::Exited { exit: exit.clone() });
        let linger = match &written {
            _ if self.alone => Duration::ZERO,
            Ok(()) => LINGER,
            Err(_) => LINGER_UNWRITTEN,
        };
        self.ended = Some(Ended { exit, leave_at: Instant::now() + linger });
    }
}

fn now_unix_ms() -> i64 {
    jiff::Timestamp::now().as_millisecond()
}
