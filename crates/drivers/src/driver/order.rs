//! What the controller orders and what it is answered.

use std::net::SocketAddr;
use std::path::PathBuf;

use gapless_model::{Digest, EffectNumber, Epoch, InstanceId, Millis, ReleaseLabel, RunSpec};
use gapless_probe::Foreign;
use serde::{Deserialize, Serialize};

use super::Exit;
use crate::sources::SourceError;

/// Who orders. Kept with the instance for people to read; what is refused as stale is decided by the term of the driver itself, since a new
/// controller performs again what its predecessor intended (I5).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Fence {
    /// The term of the controller.
    pub epoch: Epoch,
    /// The number of the effect within its service.
    pub effect: EffectNumber,
}

/// An instance to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StartOrder {
    /// Under this id, which no other instance ever had.
    pub instance: InstanceId,
    /// The label of its release.
    pub label: ReleaseLabel,
    /// The artefact of its release, which the driver knows where to find.
    pub artefact: Digest,
    /// How it runs.
    pub run: RunSpec,
    /// The port it is to listen on, where the driver takes one from orders ([`Addresses`](super::Addresses)); [`StartOrder::NO_PORT`] where it listens on
    /// none.
    pub port: u16,
    /// Who orders it.
    pub fence: Fence,
}

impl StartOrder {
    /// The port of what listens on none.
    pub const NO_PORT: u16 = 0;
}

/// An instance that was started. It may have ended since; that comes as an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Started {
    /// Its main process.
    pub pid: u32,
    /// Where it is to listen.
    pub address: SocketAddr,
}

/// Why an instance was not started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The release's own fault: its program is not there, not executable, its folder or user does not exist. Text for people.
    #[error("{reason}")]
    NotRunnable {
        /// Why.
        reason: String,
    },
    /// What it reads at each start is not there, or not to be used. It was not started, and nothing of it is left.
    #[error("its environment is not complete")]
    Sources(#[source] SourceError),
    /// The machine's fault: no room, no processes, a keeper that does not answer.
    #[error("cannot start a keeper")]
    Keeper(#[source] DriverError),
    /// A later controller has ordered this instance already.
    #[error("a later controller has ordered this instance already")]
    Stale,
}

/// An instance found again after a restart of the controller.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Adopted {
    /// Which.
    pub instance: InstanceId,
    /// Where it is to listen.
    pub address: SocketAddr,
    /// Its main process; none when it was never started.
    pub pid: Option<u32>,
    /// Whether it runs.
    pub state: AdoptedState,
}

/// How an instance was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum AdoptedState {
    /// It runs, under its keeper.
    Running,
    /// It has ended.
    Exited(Exit),
    /// It was ordered, but its process was never started; [`Driver::start`](super::Driver::start) may be called for it again.
    NeverStarted,
}

/// What happened to an instance without being ordered. The end of an instance that was stopped or killed by order is the answer
/// to that order and no event.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum InstanceEvent {
    /// It ended.
    Exited {
        /// Which.
        instance: InstanceId,
        /// How.
        exit: Exit,
    },
}

/// Who listens at the address of an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listener {
    /// The instance itself, and nobody else.
    Own,
    /// Nobody.
    Nobody,
    /// Somebody else, at least on a share of its connections.
    Foreign(Foreign),
    /// Not to be told: the processes of the instance do not let themselves be looked into.
    Unknown,
}

/// A command to run beside an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecOrder {
    /// Program and arguments, at least one.
    pub argv: Vec<String>,
    /// How long it may take; then it is killed with all it started.
    pub timeout: Millis,
}

/// A command that ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExecDone {
    /// Its exit code; none where a signal ended it.
    pub code: Option<i32>,
    /// The end of its standard output, at most [`OUTPUT_BYTES_MAX`](gapless_probe::OUTPUT_BYTES_MAX).
    pub stdout: String,
    /// The end of its standard error, as bounded.
    pub stderr: String,
}

/// What an instance uses: its whole process tree, without its keeper.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Resources {
    /// Resident memory in bytes; with cgroup v2 what the group is charged for.
    pub memory_bytes: u64,
    /// CPU time since its start, in microseconds; of processes that ended only with cgroup v2 or when their parent waited for them.
    pub cpu_us: u64,
    /// Processes.
    pub processes: u32,
    /// Which of its limits this machine does not hold it to.
    pub not_enforced: NotEnforced,
}

/// Limits of the configuration that cannot be enforced here, for want of a writable cgroup v2 with their controller. Memory is not among
/// them: where the kernel does not watch it, the keeper does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct NotEnforced {
    /// CPU time.
    pub cpu: bool,
    /// Processes and threads.
    pub tasks: bool,
}

impl NotEnforced {
    /// What people are told, one sentence for each.
    pub fn remarks(self) -> impl Iterator<Item = &'static str> {
        let cpu = "the CPU limit is not enforced: no cgroup v2 with that controller can be written";
        let tasks = "the limit of tasks is not enforced: no cgroup v2 with that controller can be written";
        [self.cpu.then_some(cpu), self.tasks.then_some(tasks)].into_iter().flatten()
    }
}

impl std::ops::BitOrAssign for NotEnforced {
    fn bitor_assign(&mut self, other: NotEnforced) {
        self.cpu |= other.cpu;
        self.tasks |= other.tasks;
    }
}

/// Why the driver could not do what was ordered.
#[derive(Debug, thiserror::Error)]
pub enum DriverError {
    /// No such instance is known here.
    #[error("instance {0} is not known")]
    Unknown(InstanceId),
    /// It runs and cannot be forgotten.
    #[error("instance {0} still runs")]
    Running(InstanceId),
    /// It has ended, and what was ordered needs it to run.
    #[error("instance {0} does not run")]
    NotRunning(InstanceId),
    /// This driver cannot do that.
    #[error("a driver of kind {kind} cannot {act}")]
    Unsupported {
        /// The driver, as [`Capabilities::kind`](super::Capabilities::kind) names it.
        kind: &'static str,
        /// What it cannot do.
        act: &'static str,
    },
    /// A command beside the instance could not be run, or did not end in time.
    #[error("the command beside {instance} was not run to its end: {reason}")]
    Exec {
        /// The instance.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
    /// The order came from an older term than the one the keeper knows.
    #[error("the order is older than the one this instance has seen")]
    Stale,
    /// A file of the state folder cannot be read or written.
    #[error("cannot {act} {}", path.display())]
    File {
        /// What was being done.
        act: &'static str,
        /// With which file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The runtime is being shut down.
    #[error("the driver is shutting down")]
    Ended,
    /// The keeper does not answer, or not properly.
    #[error("the keeper of {instance} does not answer: {reason}")]
    Keeper {
        /// Whose.
        instance: InstanceId,
        /// Why.
        reason: String,
    },
}
