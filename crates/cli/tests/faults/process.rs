//! Processes: who is who, who is alive.

use std::fs;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::world::{PATIENCE, World};

/// The processes of a machine as they were at the last look, so that they can be found without a controller.
#[derive(Debug, Clone, Default)]
pub struct Cast {
    /// The proxy.
    pub proxy: u32,
    /// Keeper and instance, in the order of `status`.
    pub kept: Vec<(u32, u32)>,
}

impl Cast {
    /// Who runs now; the controller has to answer.
    pub fn of(world: &World) -> Self {
        let kept = world.live().into_iter().map(|(_, pid)| (parent(pid).unwrap_or(0), pid)).collect();
        Self { proxy: world.proxy_pid(), kept }
    }
}

/// Whether a process is there and no zombie.
pub fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|fields| fields.first().is_some_and(|state| state != "Z" && state != "X"))
}

/// SIGKILL to all of them, then waits until none is left.
pub fn kill_all(pids: &[u32]) {
    pids.iter().for_each(|pid| signal(*pid, Signal::KILL));
    let deadline = Instant::now() + PATIENCE;
    while pids.iter().any(|pid| is_alive(*pid)) {
        assert!(Instant::now() < deadline, "not gone after SIGKILL: {pids:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Sends a signal to a process that has to be there.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).unwrap_or_else(|| panic!("no process id: {pid}"));
    kill_process(pid, signal).unwrap_or_else(|error| panic!("cannot signal {pid:?}: {error}"));
}

fn parent(pid: u32) -> Option<u32> {
    stat(pid)?.get(1)?.parse().ok()
}

/// The fields of `/proc/PID/stat` behind the program's name, the state first (proc(5), field 3).
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}
