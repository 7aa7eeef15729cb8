//! Processes under measurement: started on given cores, ended with their whole group, and what they used.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// How long a program may take to listen.
const LISTEN_MAX: Duration = Duration::from_secs(20);

/// A process in a group of its own; the group is killed when this is dropped.
pub struct Group {
    child: Child,
}

/// The two cores of a measurement.
#[derive(Clone, Copy)]
pub struct Cores {
    /// What is measured runs here alone.
    pub measured: usize,
    /// The load generator and the instances run here.
    pub rest: usize,
}

/// CPU time and memory of a process tree.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// User and system time so far, in microseconds, to within a clock tick (10 ms).
    pub cpu_us: u64,
    /// Resident memory now, in KiB; pages shared within the tree count for each process.
    pub rss_kib: u64,
}

impl Cores {
    /// The first and the last core this process may use.
    pub fn choose() -> anyhow::Result<Self> {
        let allowed = sched_getaffinity(None).context("cannot read the allowed cores")?;
        let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
        match (cores.first(), cores.last()) {
            (Some(first), Some(last)) if first != last => Ok(Self { measured: *last, rest: *first }),
            _ => bail!("two cores are needed: one for what is measured, one for the load and the instances"),
        }
    }
}

impl Group {
    /// Starts a command, on one core if one is named. Its output goes to `log`.
    pub fn start(command: &mut Command, core: Option<usize>, log: &Path) -> anyhow::Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let file = fs::File::create(log).with_context(|| format!("cannot create {}", log.display()))?;
        let errors = file.try_clone().context("cannot share the log")?;
        command.process_group(0).stdout(file).stderr(errors).stdin(std::process::Stdio::null());
        let before = sched_getaffinity(None).context("cannot read the allowed cores")?;
        if let Some(core) = core {
            // Affinity is inherited: set for the moment of the start, put back after it.
            let mut only = CpuSet::new();
            only.set(core);
            sched_setaffinity(None, &only).context("cannot pin to a core")?;
        }
        let child = command.spawn();
        sched_setaffinity(None, &before).context("cannot unpin again")?;
        Ok(Self { child: child.with_context(|| format!("cannot start {program}"))? })
    }

    /// The first process of the group.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the first process alone.
    pub fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid = self.raw().context("the process is gone")?;
        kill_process(pid, signal).context("cannot signal the process")
    }

    /// Waits for the first process to end; whether it did.
    pub fn wait(&mut self, at_most: Duration) -> bool {
        let deadline = Instant::now() + at_most;
        while Instant::now() < deadline {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// What the tree below and with the first process uses.
    pub fn usage(&self) -> Usage {
        usage(self.pid())
    }

    fn raw(&self) -> Option<Pid> {
        Pid::from_raw(i32::try_from(self.child.id()).ok()?)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.raw() {
            let _ = kill_process_group(pid, Signal::TERM);
            if !self.wait(Duration::from_secs(2)) {
                let _ = kill_process_group(pid, Signal::KILL);
            }
            // Children of it that outlived it.
            let _ = kill_process_group(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A port that is free now.
pub fn free_port() -> anyhow::Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port")?;
    Ok(listener.local_addr().context("no free port")?.port())
}

/// The loopback address of a port.
pub fn local(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

/// Waits until something accepts at the address; the error shows the end of the log.
pub fn await_listening(address: SocketAddr, log: &Path) -> anyhow::Result<()> {
    let deadline = Instant::now() + LISTEN_MAX;
    while TcpStream::connect(address).is_err() {
        if Instant::now() > deadline {
            let text = fs::read_to_string(log).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let tail = lines[lines.len().saturating_sub(15)..].join("\n");
            bail!("nothing listens at {address} after {} s; its log ends with:\n{tail}", LISTEN_MAX.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}

/// Processes below `root`, itself included, as of now.
pub fn tree(root: u32) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
        if let Some(stat) = stat(pid)
            && let Some(parent) = stat.get(1).and_then(|field| field.parse().ok())
        {
            children.entry(parent).or_default().push(pid);
        }
    }
    let (mut found, mut next) = (HashSet::new(), vec![root]);
    while let Some(pid) = next.pop() {
        if found.insert(pid) {
            next.extend(children.get(&pid).into_iter().flatten());
        }
    }
    found
}

/// The fields of `/proc/<pid>/stat` behind the program's name, the state first (proc(5), field 3).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn usage(root: u32) -> Usage {
    // Linux has told these times in hundredths of a second on every architecture since 2.6 (time(7), USER_HZ).
    const TICK_US: u64 = 10_000;
    let page_kib = rustix::param::page_size() as u64 / 1024;
    let mut usage = Usage::default();
    for pid in tree(root) {
        let Some(stat) = stat(pid) else { continue };
        let field = |number: usize| stat.get(number - 3).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
        usage.cpu_us += (field(14) + field(15)) * TICK_US;
        usage.rss_kib += field(24) * page_kib;
    }
    usage
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_holds_grandchildren_and_its_cpu_time_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let script = "sh -c 'while :; do :; done' & wait";
        let group = Group::start(Command::new("sh").args(["-c", script]), None, &folder.path().join("log")).unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while tree(group.pid()).len() < 2 || group.usage().cpu_us == 0 {
            assert!(Instant::now() < deadline, "{:?}", group.usage());
            std::thread::sleep(Duration::from_millis(20));
        }
        let members = tree(group.pid());
        drop(group);
        std::thread::sleep(Duration::from_millis(50));
        assert!(members.iter().all(|pid| stat(*pid).is_none_or(|stat| stat[0] == "Z")), "the group is gone");
    }
}
