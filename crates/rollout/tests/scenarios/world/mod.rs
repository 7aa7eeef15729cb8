//! A small obliging world for scenarios: it answers every effect after a fixed delay, unless the scenario says otherwise.

#![allow(dead_code, reason = "each test file uses its part")]

pub mod releases;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;

use gapless_model::{EffectNumber, HookPoint, InstanceId, Millis, Release, RolloutId, ServiceName, Tick};
use gapless_rollout::{
    Action, AdjustOrder, Adjustment, BatchReport, Change, DeployOrder, Effect, EndedBy, ErrorCounts, Input, Intent,
    Listing, OneOff, OneOffEnd, OneOffKind, Origin, PhaseName, RollbackOrder, Service, ServiceRoutes, Step, Tally,
    step,
};

/// How long the obliging world takes for each answer.
#[derive(Clone, Copy)]
pub struct Delays {
    pub start: u64,
    pub ready: u64,
    pub apply: u64,
    pub drain: u64,
    pub stop: u64,
    pub check: u64,
}

pub const DELAYS: Delays = Delays { start: 50, ready: 250, apply: 10, drain: 40, stop: 100, check: 200 };

/// How a release behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Behaviour {
    NeverReady,
    ExitsAtStart,
    StartFails,
    ExitsAfterReady(u64),
    SickAfterReady(u64),
    NeverDrains,
    /// Its requests end, its tunnels do not.
    TunnelsStay,
    ChecksFail,
    ChecksHang,
    HookFails(HookPoint),
    HookHangs(HookPoint),
}

pub struct World {
    pub service: Service,
    pub now: Tick,
    pub delays: Delays,
    pub behaviours: BTreeMap<String, Behaviour>,
    /// Proxies that say nothing.
    pub silent: bool,
    pub owed: Vec<EffectNumber>,
    /// The release whose tables the proxies refuse; all tables where it is `*`.
    pub refused: Option<String>,
    pub alive: BTreeSet<InstanceId>,
    pub starts: BTreeMap<InstanceId, u32>,
    pub queue: BTreeMap<(Tick, u64), Input>,
    pub sequence: u64,
    pub output: String,
    pub intents: Vec<Intent>,
    pub next: Option<Tick>,
    /// The phases that rollouts entered.
    pub entered: Vec<(PhaseName, BatchReport)>,
}

impl World {
    pub fn new(name: &str) -> World {
        World {
            service: Service::new(ServiceName::new(name).unwrap()),
            now: Tick(0),
            delays: DELAYS,
            behaviours: BTreeMap::new(),
            silent: false,
            owed: Vec::new(),
            refused: None,
            alive: BTreeSet::new(),
            starts: BTreeMap::new(),
            queue: BTreeMap::new(),
            sequence: 0,
            output: String::new(),
            intents: Vec::new(),
            next: None,
            entered: Vec::new(),
        }
    }

    pub fn input(&mut self, input: Input) {
        match step(self.service.clone(), input, self.now) {
            Ok(step) => self.take(step),
            Err(refused) => {
                assert_eq!(*refused.state, self.service, "a refusal changes nothing");
                writeln!(self.output, "refused: {}", refused.reason).unwrap();
            }
        }
    }

    fn take(&mut self, step: Step) {
        assert!(step.change == Change::Changed || step.effects.is_empty());
        for entry in &step.timeline {
            writeln!(self.output, "{}", entry.to_string().trim_start()).unwrap();
            if let Action::Entered { phase, batch } = entry.action {
                self.entered.push((phase, batch));
            }
        }
        self.service = step.state;
        self.next = step.next_deadline;
        for intent in step.effects {
            self.perform(&intent);
            self.intents.push(intent);
        }
    }

    fn run_one_off(&mut self, one_off: &OneOff) {
        let OneOffKind::Hook(point) = one_off.kind;
        let end = match self.behaviour(&one_off.id) {
            Some(Behaviour::HookHangs(at)) if at == point => return,
            Some(Behaviour::HookFails(at)) if at == point => OneOffEnd::Failed { reason: "exit code 1".into() },
            _ => OneOffEnd::Passed,
        };
        self.later(self.delays.check, Input::OneOffEnded { one_off: one_off.id.clone(), end });
    }

    fn behaviour(&self, instance: &InstanceId) -> Option<Behaviour> {
        let label = self.service.release(instance.release)?.label.to_string();
        self.behaviours.get(&label).cloned()
    }

    pub fn later(&mut self, delay: u64, input: Input) {
        self.sequence += 1;
        self.queue.insert((self.now.after(Millis(delay)), self.sequence), input);
    }

    fn perform(&mut self, intent: &Intent) {
        let delays = self.delays;
        match &intent.effect {
            Effect::StartInstance { instance } => self.start(instance.clone()),
            Effect::PublishRoutes(routes) if self.refuses(routes) => {
                let reason = "a pool has two weights".to_owned();
                self.later(delays.apply, Input::RoutesRefused { routes: intent.number, reason });
            }
            Effect::PublishRoutes(_) if self.silent => self.owed.push(intent.number),
            Effect::PublishRoutes(_) => self.apply(intent.number),
            Effect::StopInstance { instance, .. } => {
                self.alive.remove(instance);
                self.later(delays.stop, Input::InstanceStopped { instance: instance.clone() });
            }
            Effect::RunCheck { release, .. } => {
                let check = intent.number;
                let label = self.service.release(*release).unwrap().label.to_string();
                match self.behaviours.get(&label) {
                    Some(Behaviour::ChecksFail) => {
                        self.later(delays.check, Input::CheckFailed { check, reason: "status 500".into() });
                    }
                    Some(Behaviour::ChecksHang) => {}
                    _ => self.later(delays.check, Input::CheckPassed { check }),
                }
            }
            Effect::RunOneOff(one_off) => self.run_one_off(one_off),
            Effect::Notify { .. } | Effect::KeepReleases { .. } => {}
            Effect::CloseReceipt { rollout, .. } => self.later(1, Input::ReceiptClosed { rollout: *rollout }),
        }
    }

    fn refuses(&self, routes: &ServiceRoutes) -> bool {
        let of = |label: &String| label == "*" || routes.pools.iter().any(|pool| pool.label.as_str() == label);
        self.refused.as_ref().is_some_and(of)
    }

    fn start(&mut self, instance: InstanceId) {
        if !self.alive.insert(instance.clone()) {
            return;
        }
        *self.starts.entry(instance.clone()).or_default() += 1;
        let Delays { start, ready, .. } = self.delays;
        let behaviour = self.behaviour(&instance);
        if behaviour == Some(Behaviour::StartFails) {
            self.alive.remove(&instance);
            return self.later(start, Input::InstanceStartFailed { instance, reason: "no such file".into() });
        }
        let address = SocketAddr::from(([127, 0, 0, 1], 1_000 + u16::try_from(instance.ordinal % 50_000).unwrap()));
        self.later(start, Input::InstanceStarted { instance: instance.clone(), address });
        let exit = Input::InstanceExited {
            instance: instance.clone(),
            status: "exit code 1".into(),
            ended_by: EndedBy::Itself,
        };
        match behaviour {
            Some(Behaviour::NeverReady) => return,
            Some(Behaviour::ExitsAtStart) => return self.later(start + 10, exit),
            Some(Behaviour::ExitsAfterReady(after)) => self.later(start + ready + after, exit),
            Some(Behaviour::SickAfterReady(after)) => {
                let reason = "status 503".to_owned();
                self.later(start + ready + after, Input::InstanceUnhealthy { instance: instance.clone(), reason });
            }
            _ => {}
        }
        self.later(start + ready, Input::InstanceReady { instance });
    }

    fn apply(&mut self, routes: EffectNumber) {
        self.later(self.delays.apply, Input::RoutesApplied { routes });
        let left: Vec<InstanceId> = self
            .service
            .instances()
            .filter(|instance| matches!(instance.listing, Listing::Left { by, .. } if by <= routes))
            .map(|instance| instance.id.clone())
            .collect();
        for instance in left {
            let delay = self.delays.apply + self.delays.drain;
            match self.behaviour(&instance) {
                Some(Behaviour::NeverDrains) => {}
                Some(Behaviour::TunnelsStay) => self.later(delay, Input::RequestsEnded { instance, routes }),
                _ => self.later(delay, Input::Drained { instance, routes }),
            }
        }
    }

    /// The proxies speak again and say what they owe.
    pub fn proxies_back(&mut self) {
        self.silent = false;
        for number in std::mem::take(&mut self.owed) {
            self.apply(number);
        }
    }

    /// Goes on until `until`.
    pub fn run_until(&mut self, until: Tick) {
        while let Some((at, input)) = self.next_event(until) {
            self.now = at;
            self.deliver(input);
        }
        self.now = until;
    }

    pub fn deliver(&mut self, input: Input) {
        if let Input::InstanceExited { instance, .. } = &input
            && !self.alive.remove(instance)
        {
            return;
        }
        let of_the_dead = match &input {
            Input::InstanceStarted { instance, .. }
            | Input::InstanceReady { instance }
            | Input::InstanceUnhealthy { instance, .. } => !self.alive.contains(instance),
            _ => false,
        };
        if !of_the_dead {
            self.input(input);
        }
    }

    /// The next thing to happen, not after `until`.
    pub fn next_event(&mut self, until: Tick) -> Option<(Tick, Input)> {
        let queued = self.queue.keys().next().copied();
        let timer = self.next;
        match (queued, timer) {
            (Some(key), timer) if timer.is_none_or(|at| key.0 <= at) && key.0 <= until => {
                Some((key.0, self.queue.remove(&key)?))
            }
            (_, Some(at)) if at <= until => Some((at, Input::TimerFired)),
            _ => None,
        }
    }

    /// Goes on until nothing is under way.
    pub fn run(&mut self) {
        let limit = self.now.after(Millis::from_secs(3_600));
        while !(self.service.rollout().is_none() && self.queue.is_empty() && self.next.is_none()) {
            let Some((at, input)) = self.next_event(limit) else {
                panic!("no end within an hour:\n{}", self.output);
            };
            self.now = at;
            self.deliver(input);
        }
    }

    pub fn restart_controller(&mut self) {
        let alive = self.alive.clone();
        self.queue.clear();
        self.input(Input::ControllerRestarted { alive: alive.clone(), gone_by: EndedBy::Outside });
        // The new controller's prober starts from nothing.
        let unproven: Vec<InstanceId> = self
            .service
            .instances()
            .filter(|instance| matches!(instance.life, gapless_rollout::Life::Warming { .. }))
            .map(|instance| instance.id.clone())
            .collect();
        for instance in unproven {
            if self.behaviour(&instance) != Some(Behaviour::NeverReady) {
                self.later(self.delays.ready, Input::InstanceReady { instance });
            }
        }
        let starting: Vec<InstanceId> = self
            .service
            .instances()
            .filter(|i| matches!(i.life, gapless_rollout::Life::Starting { .. }) && alive.contains(&i.id))
            .map(|i| i.id.clone())
            .collect();
        for instance in starting {
            self.alive.remove(&instance);
            self.start(instance.clone());
            *self.starts.get_mut(&instance).unwrap() -= 1;
        }
    }

    pub fn deploy(&mut self, release: Arc<Release>) {
        let rollout = self.next_rollout();
        let origin = Origin { by: "ann".into(), reason: String::new() };
        self.input(Input::DeployOrdered(DeployOrder { rollout, release, strategy: None, origin }));
    }

    /// The current release takes its own place, under the next number.
    pub fn restart(&mut self) {
        let rollout = self.next_rollout();
        let origin = Origin { by: "ann".into(), reason: String::new() };
        let current = self.service.current().expect("a release is current");
        let id = self.service.releases().map(|release| release.id).max().expect("one is kept").next();
        let release = Arc::new(Release { id, ..Release::clone(current) });
        self.input(Input::RestartOrdered(DeployOrder { rollout, release, strategy: None, origin }));
    }

    /// The current release runs in another way.
    pub fn adjust(&mut self, adjustment: Adjustment) {
        let origin = Origin { by: "ann".into(), reason: String::new() };
        self.input(Input::AdjustOrdered(AdjustOrder { rollout: self.next_rollout(), adjustment, origin }));
    }

    /// To the release with that label, or to wherever the machine goes back.
    pub fn rollback(&mut self, label: &str) {
        let rollout = self.next_rollout();
        let origin = Origin { by: "ann".into(), reason: "wrong colour".into() };
        let to = self.service.releases().find(|release| release.label.as_str() == label).map(|release| release.id);
        assert!(label.is_empty() || to.is_some(), "{label} is not kept");
        self.input(Input::RollbackOrdered(RollbackOrder { rollout, to, origin }));
    }

    /// Tells what the proxies counted of the candidate, as `FAILED/REQUESTS old FAILED/REQUESTS before FAILED/REQUESTS`.
    pub fn requests(&mut self, text: &str) {
        let words: Vec<&str> = text.split(' ').collect();
        let tally = |at: usize| {
            let (failed, requests) = words.get(at).and_then(|word| word.split_once('/')).unwrap_or(("0", "0"));
            Tally { requests: requests.parse().unwrap(), failed: failed.parse().unwrap(), overdue: 0 }
        };
        let failing_for = Millis::from_secs(3);
        let counts = ErrorCounts { candidate: tally(0), failing_for, meanwhile: tally(2), before: tally(4) };
        let candidate = self.service.candidate().or(self.service.current()).expect("a release").id;
        self.input(Input::RequestsCounted { candidate, counts });
    }

    fn next_rollout(&self) -> RolloutId {
        self.service.last_rollout().next()
    }

    pub fn instance(&self, ordinal: u64) -> InstanceId {
        self.service.instances().find(|i| i.id.ordinal == ordinal).expect("the instance is there").id.clone()
    }
}
