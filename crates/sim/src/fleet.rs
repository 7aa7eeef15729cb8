//! The fake fleet: processes that start, serve, sicken, exit and stop.
//!
//! Starting an id that runs already does nothing, as with a keeper; an id that is gone is never started again.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use gapless_model::InstanceId;

/// One process.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    pub address: SocketAddr,
    pub state: State,
    /// How it ended, for a driver that asks later.
    pub end: Option<End>,
}

/// How a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// It comes up; connections are refused.
    Booting,
    /// It serves and its probes pass.
    Serving,
    /// It serves and its probes fail.
    Sick,
    /// It ends what it has and takes no more.
    Stopping,
    /// It is gone.
    Gone,
}

/// Why a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// By itself or by a fault.
    Fault,
    /// Because it was told to.
    Order,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Fleet {
    pub processes: BTreeMap<InstanceId, Process>,
    /// How many processes were started.
    pub starts: usize,
}

/// What a start found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Start {
    /// A new process.
    New,
    /// It runs already.
    Running,
    /// It ran and is gone.
    Gone,
}

impl Fleet {
    /// Starts a process unless there was one of that id.
    pub(crate) fn start(&mut self, instance: &InstanceId) -> Start {
        if let Some(process) = self.processes.get(instance) {
            return if process.state == State::Gone { Start::Gone } else { Start::Running };
        }
        self.starts += 1;
        let port = 1_024 + u16::try_from(instance.ordinal % 60_000).unwrap_or(0);
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        self.processes.insert(instance.clone(), Process { address, state: State::Booting, end: None });
        Start::New
    }

    pub(crate) fn state(&self, instance: &InstanceId) -> State {
        self.processes.get(instance).map_or(State::Gone, |process| process.state)
    }

    /// Moves a process on; says whether it was in one of the states that may come before.
    pub(crate) fn turn(&mut self, instance: &InstanceId, from: &[State], to: State) -> bool {
        match self.processes.get_mut(instance) {
            Some(process) if from.contains(&process.state) => {
                process.state = to;
                true
            }
            Some(_) | None => false,
        }
    }

    /// Ends a process; says whether it ran.
    pub(crate) fn end(&mut self, instance: &InstanceId, end: End) -> bool {
        let running = [State::Booting, State::Serving, State::Sick, State::Stopping];
        let ended = self.turn(instance, &running, State::Gone);
        if ended && let Some(process) = self.processes.get_mut(instance) {
            process.end = Some(end);
        }
        ended
    }

    /// Processes that were not told to stop and are not gone.
    pub(crate) fn running(&self) -> impl Iterator<Item = &InstanceId> {
        let runs = |state| matches!(state, State::Booting | State::Serving | State::Sick);
        self.processes.iter().filter(move |(_, process)| runs(process.state)).map(|(id, _)| id)
    }

    /// Processes that are not gone.
    pub(crate) fn present(&self) -> impl Iterator<Item = &InstanceId> {
        self.processes.iter().filter(|(_, process)| process.state != State::Gone).map(|(id, _)| id)
    }
}
