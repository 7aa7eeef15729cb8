//! A driver that runs nothing: a machine in memory, for tests and simulations. No time passes in it, and nothing of it is left to chance.
//!
//! What an instance does follows from the first word of its command: it runs until it is asked to end; `exits CODE` ends at once by itself; `ignores`
//! does not end when asked; `missing` cannot be run. Each writes the line `ready`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gapless_model::{Epoch, InstanceId, Millis, ReleaseLabel};
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{
    Addresses, Adopted, AdoptedState, Answer, Capabilities, Driver, DriverError, ExecDone, ExecOrder, Exit, ExitCause,
    InstanceEvent, Listener, Resources, StartError, StartOrder, Started, Support,
};
use crate::logs::{Line, LogError, LogLine, LogSelector, LogStream};

/// The signals that a fake instance is ended with.
const SIGTERM: i32 = 15;
const SIGKILL: i32 = 9;
/// The first port that the fake gives: it takes none from orders.
const FIRST_PORT: u16 = 20_000;

/// A machine of fake instances; what runs on it outlives its drivers. Clones are the same machine.
#[derive(Clone, Debug, Default)]
pub struct FakeMachine {
    shared: Arc<Mutex<Machine>>,
}

/// One term's hand on a [`FakeMachine`].
#[derive(Debug)]
pub struct FakeDriver {
    machine: FakeMachine,
    term: Epoch,
    number: usize,
}

#[derive(Debug, Default)]
struct Machine {
    instances: BTreeMap<InstanceId, Instance>,
    watchers: Vec<Watcher>,
    started: u16,
}

/// A driver, as the machine knows it.
#[derive(Debug)]
struct Watcher {
    events: mpsc::UnboundedSender<InstanceEvent>,
    /// What it started or observed: it hears of no other instance.
    known: BTreeSet<InstanceId>,
}

#[derive(Debug)]
struct Instance {
    /// The newest term it has seen.
    term: Epoch,
    label: ReleaseLabel,
    started: Started,
    obedience: Obedience,
    exit: Option<Exit>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Obedience {
    Ends,
    Ignores,
}

impl FakeMachine {
    /// One on which nothing runs.
    #[must_use]
    pub fn new() -> FakeMachine {
        FakeMachine::default()
    }

    /// A driver of this machine in the name of a term, and what will happen unasked.
    #[must_use]
    pub fn driver(&self, term: Epoch) -> (FakeDriver, mpsc::UnboundedReceiver<InstanceEvent>) {
        // Bounded by the number of instances: each ends once.
        let (events, receiver) = mpsc::unbounded_channel();
        let mut machine = self.lock();
        machine.watchers.push(Watcher { events, known: BTreeSet::new() });
        (FakeDriver { machine: self.clone(), term, number: machine.watchers.len() - 1 }, receiver)
    }

    /// An instance ends by itself. Nothing where it does not run.
    pub fn ends(&self, instance: &InstanceId, cause: ExitCause) {
        self.lock().ends_unasked(instance, cause);
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Machine {
    fn ends_unasked(&mut self, instance: &InstanceId, cause: ExitCause) {
        let Some(running) = self.instances.get_mut(instance).filter(|known| known.exit.is_none()) else { return };
        let exit = ended(cause);
        running.exit = Some(exit.clone());
        for watcher in self.watchers.iter().filter(|watcher| watcher.known.contains(instance)) {
            let event = InstanceEvent::Exited { instance: instance.clone(), exit: exit.clone() };
            let _nobody_listens = watcher.events.send(event);
        }
    }

    fn start(&mut self, order: StartOrder, term: Epoch, number: usize) -> Result<Started, StartError> {
        let of = &order.instance;
        if let Some(known) = self.instances.get_mut(of) {
            if known.term > term && !self.watchers[number].known.contains(of) {
                return Err(StartError::Stale);
            }
            known.term = known.term.max(term);
            self.watchers[number].known.insert(of.clone());
            return match &known.exit {
                Some(Exit { cause: ExitCause::NotStarted(reason), .. }) => {
                    Err(StartError::NotRunnable { reason: reason.clone() })
                }
                _ => Ok(known.started),
            };
        }
        self.started += 1;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, FIRST_PORT + self.started));
        let started = Started { pid: u32::from(self.started), address };
        let words: Vec<&str> = order.run.command.iter().map(String::as_str).collect();
        let obedience = if words.first() == Some(&"ignores") { Obedience::Ignores } else { Obedience::Ends };
        let label = order.label.clone();
        self.instances.insert(of.clone(), Instance { term, label, started, obedience, exit: None });
        self.watchers[number].known.insert(of.clone());
        match words[..] {
            ["missing", ..] => {
                let reason = "there is no program \"missing\"".to_owned();
                let known = self.instances.get_mut(of).into_iter();
                known.for_each(|known| known.exit = Some(ended(ExitCause::NotStarted(reason.clone()))));
                return Err(StartError::NotRunnable { reason });
            }
            ["exits", code] => self.ends_unasked(of, ExitCause::Code(code.parse().unwrap_or(1))),
            _ => {}
        }
        Ok(started)
    }

    /// An instance that this driver knows, for an order.
    fn known(&mut self, of: &InstanceId, term: Epoch, number: usize) -> Result<&mut Instance, DriverError> {
        let known = self.watchers[number].known.contains(of);
        let Some(instance) = self.instances.get_mut(of).filter(|_| known) else {
            return Err(DriverError::Unknown(of.clone()));
        };
        if instance.exit.is_none() && instance.term > term {
            return Err(DriverError::Stale);
        }
        Ok(instance)
    }
}

impl FakeDriver {
    fn end(&self, instance: &InstanceId, killed: Option<i32>) -> Result<Exit, DriverError> {
        let mut machine = self.machine.lock();
        let known = machine.known(instance, self.term, self.number)?;
        let signal = killed.unwrap_or(if known.obedience == Obedience::Ignores { SIGKILL } else { SIGTERM });
        Ok(known.exit.get_or_insert_with(|| ended(ExitCause::Signal(signal))).clone())
    }

    fn running<T>(&self, instance: &InstanceId, read: impl FnOnce(&Instance) -> T) -> Result<T, DriverError> {
        self.machine.lock().known(instance, self.term, self.number).map(|known| read(known))
    }
}

impl Driver for FakeDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: "fake",
            addresses: Addresses::Driver,
            exec: Support::No,
            resources: Support::Yes,
            listener: Support::No,
        }
    }

    fn observe(&self) -> Answer<'_, Result<Vec<Adopted>, DriverError>> {
        let mut machine = self.machine.lock();
        let Machine { instances, watchers, .. } = &mut *machine;
        let mut found = Vec::new();
        for (instance, known) in instances {
            if known.exit.is_none() && known.term > self.term {
                return Box::pin(std::future::ready(Err(DriverError::Stale)));
            }
            known.term = known.term.max(self.term);
            watchers[self.number].known.insert(instance.clone());
            let state = known.exit.clone().map_or(AdoptedState::Running, AdoptedState::Exited);
            let Started { pid, address } = known.started;
            found.push(Adopted { instance: instance.clone(), address, pid: Some(pid), state });
        }
        Box::pin(std::future::ready(Ok(found)))
    }

    fn start(&self, order: StartOrder) -> Answer<'_, Result<Started, StartError>> {
        let started = self.machine.lock().start(order, self.term, self.number);
        Box::pin(std::future::ready(started))
    }

    fn stop<'a>(&'a self, instance: &'a InstanceId, _grace: Millis) -> Answer<'a, Result<Exit, DriverError>> {
        Box::pin(std::future::ready(self.end(instance, None)))
    }

    fn kill<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<Exit, DriverError>> {
        Box::pin(std::future::ready(self.end(instance, Some(SIGKILL))))
    }

    fn forget<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<(), DriverError>> {
        let mut machine = self.machine.lock();
        let runs = machine.instances.get(instance).is_some_and(|known| known.exit.is_none());
        if !runs {
            machine.instances.remove(instance);
        }
        let forgotten = if runs { Err(DriverError::Running(instance.clone())) } else { Ok(()) };
        Box::pin(std::future::ready(forgotten))
    }

    fn resources<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<Resources, DriverError>> {
        let used = |known: &Instance| match known.exit {
            None => Resources { memory_bytes: 1 << 20, cpu_us: 1_000, processes: 1, ..Resources::default() },
            Some(_) => Resources::default(),
        };
        Box::pin(std::future::ready(self.running(instance, used)))
    }

    fn listening<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Option<Vec<SocketAddr>>> {
        let listens = |known: &Instance| vec![known.started.address];
        Box::pin(std::future::ready(self.running(instance, listens).ok()))
    }

    fn listener<'a>(&'a self, _instance: &'a InstanceId) -> Answer<'a, Listener> {
        Box::pin(std::future::ready(Listener::Unknown))
    }

    fn exec<'a>(&'a self, _instance: &'a InstanceId, _order: ExecOrder) -> Answer<'a, Result<ExecDone, DriverError>> {
        let unsupported = DriverError::Unsupported { kind: self.capabilities().kind, act: "run a command" };
        Box::pin(std::future::ready(Err(unsupported)))
    }

    fn logs(&self, selector: LogSelector) -> Answer<'_, Result<Vec<LogLine>, LogError>> {
        let machine = self.machine.lock();
        let asked = |instance: &InstanceId, known: &Instance| {
            instance.service == selector.service
                && selector.instance.as_ref().is_none_or(|only| only == instance)
                && selector.release.as_ref().is_none_or(|only| *only == known.label)
                && selector.tail > 0
        };
        let ready =
            || Line { at: Timestamp::UNIX_EPOCH, stream: LogStream::Out, goes_on: false, text: "ready".to_owned() };
        let lines =
            machine.instances.iter().filter(|(instance, known)| asked(instance, known)).map(|(instance, known)| {
                LogLine { instance: instance.clone(), label: Some(known.label.clone()), line: ready() }
            });
        Box::pin(std::future::ready(Ok(lines.collect())))
    }
}

fn ended(cause: ExitCause) -> Exit {
    Exit { cause, oom: false, left_behind: 0, at_unix_ms: 0 }
}
