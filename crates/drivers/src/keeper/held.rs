//! The processes that a keeper keeps, and how it knows them: as its own descendants, or, where it took them over from a keeper that
//! died, by what that one left behind.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::cgroup::Cgroup;
use super::state::MainEnd;
use super::{MARK, tree};
use crate::sys;

/// How long the kernel may take to tell how a process ended that is not ours: until its parent has waited for it.
const STATUS_PATIENCE: Duration = Duration::from_millis(300);

/// The processes of one instance.
#[derive(Debug)]
pub(crate) enum Held {
    /// All of them descend from this keeper, the subreaper of its tree.
    Descendants {
        /// This keeper.
        keeper: i32,
        /// The main process.
        main: i32,
    },
    /// Taken over: the main process has another parent now, and so has what it leaves behind.
    Found(Found),
}

/// A main process that was taken over.
#[derive(Debug)]
pub(crate) struct Found {
    main: tree::Process,
    handle: OwnedFd,
    /// `NAME=value` in the environment of each of its processes.
    mark: String,
}

impl Found {
    /// Takes over a main process; none when it has ended.
    pub(crate) fn take(main: tree::Process, mark: &str) -> Option<Found> {
        let handle = pidfd_open(Pid::from_raw(main.pid)?, PidfdFlags::empty()).ok()?;
        // Opened before it is compared: from here on the number is that process.
        runs(&main).then(|| Found { main, handle, mark: format!("{MARK}={mark}") })
    }
}

/// Whether exactly this process is there and has not ended.
pub(crate) fn runs(process: &tree::Process) -> bool {
    tree::process(process.pid).is_some_and(|now| now.started == process.started && !now.zombie)
}

impl Held {
    /// The main process's number.
    pub(crate) fn main(&self) -> i32 {
        match self {
            Held::Descendants { main, .. } => *main,
            Held::Found(found) => found.main.pid,
        }
    }

    /// What becomes readable when the main process ends, where no signal tells it.
    pub(crate) fn end_of_main(&self) -> Option<&OwnedFd> {
        match self {
            Held::Descendants { .. } => None,
            Held::Found(found) => Some(&found.handle),
        }
    }

    /// How a main process that was taken over ended; none while it runs.
    pub(crate) fn found_end(&self) -> Option<MainEnd> {
        let Held::Found(found) = self else { return None };
        if runs(&found.main) {
            return None;
        }
        let deadline = Instant::now() + STATUS_PATIENCE;
        loop {
            match sys::status_of_ended(&found.handle) {
                Some(status) if libc::WIFEXITED(status) => return Some(MainEnd::Code(libc::WEXITSTATUS(status))),
                Some(status) if libc::WIFSIGNALED(status) => return Some(MainEnd::Signal(libc::WTERMSIG(status))),
                Some(_) | None if Instant::now() >= deadline => return Some(MainEnd::Unknown),
                Some(_) | None => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// All that run.
    pub(crate) fn processes(&self, cgroup: Option<&Cgroup>) -> Vec<tree::Process> {
        let found = match self {
            Held::Descendants { keeper, .. } => return tree::descendants(*keeper),
            Held::Found(found) => found,
        };
        let mut all = match cgroup {
            Some(group) => group.processes().into_iter().filter_map(tree::process).collect(),
            None => tree::marked(&found.mark),
        };
        all.extend(tree::descendants(found.main.pid));
        all.extend(tree::process(found.main.pid).filter(|now| now.started == found.main.started));
        all.retain(|process| !process.zombie);
        all.sort_by_key(|process| process.pid);
        all.dedup_by_key(|process| process.pid);
        all
    }

    /// SIGTERM to the main process's group.
    pub(crate) fn terminate(&self, cgroup: Option<&Cgroup>) {
        match self {
            Held::Descendants { main, .. } => {
                // Its number cannot be another's: it is our child and was not waited for, or `Life` would not be `Running`.
                if let Some(group) = Pid::from_raw(*main) {
                    let _gone_already = kill_process_group(group, Signal::TERM);
                }
            }
            Held::Found(found) => {
                let group = self.processes(cgroup).into_iter().filter(|process| process.group == found.main.pid);
                for process in group {
                    tree::signal(&process, Signal::TERM);
                }
            }
        }
    }

    /// SIGKILL to all. To be called again until none is left: a process may fork while the others die.
    pub(crate) fn kill(&self, cgroup: Option<&Cgroup>) {
        if cgroup.is_some_and(Cgroup::kill) {
            return;
        }
        for process in self.processes(cgroup) {
            tree::signal(&process, Signal::KILL);
        }
    }
}
