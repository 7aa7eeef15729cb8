//! The world: one queue of events, and what each of them does.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_journal::{Fault as DiskFault, MemoryStore};
use gapless_model::{InstanceId, Release, ReleaseId, RolloutId, TableVersion, Tick};
use gapless_rollout::{AdjustOrder, DeployOrder, Input, Life, Origin, RollbackOrder};

use crate::agenda::{Agenda, Event};
use crate::chance::Chance;
use crate::controller::{Controller, Heard, NoController, ProxyLife};
use crate::crash::Side;
use crate::fleet::{End, Fleet, State};
use crate::invariants::Watch;
use crate::one_offs::OneOffs;
use crate::outcome::{Outcome, RolloutEnd, Violation};
use crate::proxy::Proxy;
use crate::releases::release;
use crate::script::{Fault, Order, Quality, Script};
use crate::traffic::Ledger;

/// How long after the last order or fault everything has to be quiet, in milliseconds: the longest chain of deadlines that a script can
/// cause (three rollouts that each turn back late), doubled.
const QUIET_WITHIN: u64 = 400_000;

pub(crate) struct World {
    pub script: Script,
    pub agenda: Agenda,
    pub chance: Chance,
    pub fleet: Fleet,
    pub one_offs: OneOffs,
    pub proxies: Vec<Proxy>,
    pub controller: Option<Controller>,
    disk: MemoryStore,
    releases: BTreeMap<ReleaseId, Arc<Release>>,
    pub qualities: BTreeMap<ReleaseId, Quality>,
    /// The rollout number with which an order was given last.
    given: BTreeMap<usize, RolloutId>,
    /// Rollouts whose order was taken.
    pub accepted: BTreeSet<RolloutId>,
    pub ends: Vec<RolloutEnd>,
    pub ledger: Ledger,
    pub watch: Watch,
    pub violations: Vec<Violation>,
    /// Something was deployed once: from then on requests count.
    pub serves: bool,
    pub faults_seen: u64,
    pub has_bad_release: bool,
    pub attempts: u64,
    pub effects: u64,
    news: u64,
    pub timeline: Vec<String>,
}

/// Plays a script with the chance of a seed.
#[must_use]
pub fn run(script: &Script, seed: u64) -> Outcome {
    let mut world = World::new(script.clone(), seed);
    world.play();
    world.check_end();
    world.outcome()
}

impl World {
    fn new(script: Script, seed: u64) -> World {
        let disk = MemoryStore::new();
        if let Some(point) = script.knobs.crash {
            let fault = match point.side {
                Side::Before => DiskFault::CrashBefore,
                Side::After => DiskFault::CrashAfter,
            };
            disk.fail_at(point.record, fault);
        }
        let mut world = World {
            agenda: Agenda::default(),
            chance: Chance::new(seed),
            fleet: Fleet::default(),
            one_offs: OneOffs::default(),
            proxies: (0..script.proxies.max(1)).map(|_| Proxy::new()).collect(),
            controller: None,
            disk,
            releases: BTreeMap::new(),
            qualities: BTreeMap::new(),
            given: BTreeMap::new(),
            accepted: BTreeSet::new(),
            ends: Vec::new(),
            ledger: Ledger::default(),
            watch: Watch::default(),
            violations: Vec::new(),
            serves: false,
            faults_seen: 0,
            has_bad_release: false,
            attempts: 0,
            effects: 0,
            news: 0,
            timeline: Vec::new(),
            script,
        };
        for (index, (at, order)) in world.script.orders.clone().into_iter().enumerate() {
            world.agenda.at(at, Event::Order(index, order));
        }
        for (at, fault) in world.script.faults.clone() {
            world.agenda.at(at, Event::Fault(fault));
        }
        world.agenda.at(Tick(0), Event::Request(1));
        world.take_over();
        world
    }

    fn play(&mut self) {
        let orders = self.script.orders.iter().map(|(at, _)| *at);
        let last = orders.chain(self.script.faults.iter().map(|(at, _)| *at)).max().unwrap_or_default();
        let limit = last.max(self.script.requests_until).after(gapless_model::Millis(QUIET_WITHIN));
        while let Some(event) = self.agenda.next() {
            if self.agenda.now > limit || self.violations.len() >= 20 {
                break;
            }
            self.happen(event);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Order(index, order) => self.order(index, order),
            Event::News { term, input } => self.news(term, input),
            Event::Timer { term, at } => self.timer(term, at),
            Event::ProcessServes(instance) => {
                if self.fleet.turn(&instance, &[State::Booting], State::Serving) {
                    self.probe(&instance);
                    if let Some(Quality::ExitsAfter(after)) = self.qualities.get(&instance.release) {
                        let status = "exit code 1".to_owned();
                        self.agenda.after(*after, Event::ProcessExits { instance, status });
                    }
                }
            }
            Event::ProcessExits { instance, status } => self.process_exits(&instance, status),
            Event::ProcessGone(instance) => {
                if self.fleet.end(&instance, End::Order) {
                    self.break_off(&instance, End::Order);
                    self.tell_later(5, Input::InstanceStopped { instance });
                }
            }
            Event::OneOffEnds(one_off) => {
                if let Some(end) = self.one_offs.end(&one_off) {
                    self.tell_later(5, Input::OneOffEnded { one_off, end });
                }
            }
            Event::ProcessSick(instance) => {
                if self.fleet.turn(&instance, &[State::Serving], State::Sick) {
                    self.probe(&instance);
                }
            }
            Event::Table { proxy, life, table } => self.table(proxy, life, &table),
            Event::Report { term, proxy, life, applied, in_flight, lasting } => {
                if self.term() == Some(term) && self.proxies[proxy].life == life {
                    self.reported(ProxyLife { proxy, life }, applied, in_flight, lasting);
                }
            }
            Event::Request(number) => self.request(number),
            Event::Retry(number) => self.dispatch(number),
            Event::Answered(number) => self.answered(number),
            Event::Fault(fault) => self.fault(fault),
            Event::ControllerBack => self.take_over(),
            Event::ProxyBack(proxy) => self.proxy_back(proxy),
            Event::ProxyThaws { proxy, life } => {
                if self.proxies[proxy].life == life && self.proxies[proxy].up {
                    self.report(proxy);
                    self.send_newest(proxy);
                }
            }
        }
    }

    fn term(&self) -> Option<u64> {
        self.controller.as_ref().map(|controller| controller.epoch().0)
    }

    /// News are on their way to the controller that lives now.
    pub(crate) fn tell_later(&mut self, delay: u64, input: Input) {
        let Some(term) = self.term() else { return };
        self.news += 1;
        let late = match self.script.knobs.late {
            Some((number, late)) if number == self.news => late,
            Some(_) | None => 0,
        };
        let jitter = self.chance.between(0, 3);
        self.agenda.after(delay + jitter + late, Event::News { term, input });
    }

    fn news(&mut self, term: u64, input: Input) {
        // A prober speaks of what it sees, not of what it saw before something worse.
        let outdated = match &input {
            Input::InstanceReady { instance } => self.fleet.state(instance) != State::Serving,
            Input::InstanceUnhealthy { instance, .. } => self.fleet.state(instance) != State::Sick,
            _ => false,
        };
        if self.term() == Some(term) && !outdated {
            self.tell(input);
        }
    }

    fn timer(&mut self, term: u64, at: Tick) {
        if self.term() != Some(term) {
            return;
        }
        let Some(controller) = self.controller.as_mut() else { return };
        if let Some(next) = controller.timer.take_if(|next| next.at == at) {
            if let Some(wrong) = crate::explained::check(controller.service(), &next, at) {
                self.violation("explain", wrong);
            }
            self.tell(Input::TimerFired);
        }
    }

    /// The controller hears an input, journals it and performs what follows.
    pub(crate) fn tell(&mut self, input: Input) -> Option<gapless_rollout::Refusal> {
        let now = self.agenda.now;
        let controller = self.controller.as_mut()?;
        let started = match &input {
            Input::InstanceStarted { instance, .. } => Some(instance.clone()),
            _ => None,
        };
        let heard = controller.hear(input.clone(), now);
        let refused = self.obey(heard, || format!("{input:?}"));
        if refused.is_none() {
            started.iter().for_each(|instance| self.probe(instance));
        }
        refused
    }

    /// What the controller made of something: performed, or its end.
    fn obey(&mut self, heard: Heard, over: impl Fn() -> String) -> Option<gapless_rollout::Refusal> {
        match heard {
            Heard::Refused(refusal) => return Some(refusal),
            Heard::Died => self.controller_dies(&over()),
            Heard::Acted(decided) => decided.iter().for_each(|decided| self.act(decided)),
        }
        self.set_timer();
        None
    }

    /// The prober of the controller asks a process that it knows of.
    pub(crate) fn probe(&mut self, instance: &InstanceId) {
        let Some(controller) = &self.controller else { return };
        let known = controller.service().instances().find(|known| known.id == *instance);
        let is_probed = known.is_some_and(|known| !matches!(known.life, Life::Starting { .. } | Life::Stopping { .. }));
        let delay = self.chance.between(100, 250);
        match self.fleet.state(instance) {
            State::Serving if is_probed => self.tell_later(delay, Input::InstanceReady { instance: instance.clone() }),
            State::Sick if is_probed => {
                let reason = "status 503".to_owned();
                self.tell_later(delay, Input::InstanceUnhealthy { instance: instance.clone(), reason });
            }
            State::Booting | State::Serving | State::Sick | State::Stopping | State::Gone => {}
        }
    }

    fn table(&mut self, proxy: usize, life: u32, table: &Arc<gapless_routing::TableSpec>) {
        if !self.proxies[proxy].up || self.proxies[proxy].life != life || self.is_frozen(proxy) {
            return; // one that stands still hears the newest when it goes on
        }
        match self.proxies[proxy].apply(table, self.agenda.now) {
            Ok(_) => self.report(proxy),
            Err(invalid) => self.violation("I7", format!("a table that no proxy can use: {invalid}")),
        }
    }

    /// A proxy tells the controller what it uses and what it has in flight.
    pub(crate) fn report(&mut self, proxy: usize) {
        let Some(term) = self.term().filter(|_| !self.is_frozen(proxy)) else { return };
        let (life, applied) = (self.proxies[proxy].life, self.proxies[proxy].version());
        let (in_flight, lasting) = (self.proxies[proxy].in_flight.clone(), self.proxies[proxy].lasting.clone());
        // One stream per proxy: reports arrive in the order in which they were sent.
        self.agenda.after(3, Event::Report { term, proxy, life, applied, in_flight, lasting });
    }

    fn fault(&mut self, fault: Fault) {
        self.faults_seen += 1;
        if self.script.knobs.keep_timeline {
            self.timeline.push(format!("{:>8}ms  fault: {fault:?}", self.agenda.now.0));
        }
        let running: Vec<InstanceId> = self.fleet.running().cloned().collect();
        let pick = |which: u64| running.get((which % running.len().max(1) as u64) as usize).cloned();
        match fault {
            Fault::KillProcess(which) => {
                if let Some(instance) = pick(which) {
                    self.process_exits(&instance, "signal 9".to_owned());
                }
            }
            Fault::SickenProcess(which) => {
                if let Some(instance) = pick(which) {
                    self.agenda.after(0, Event::ProcessSick(instance));
                }
            }
            Fault::KillController(away) => {
                if self.controller.take().is_some() {
                    self.agenda.after(away, Event::ControllerBack);
                }
            }
            Fault::KillProxy(which, away) => {
                let proxy = which % self.proxies.len();
                if self.proxies[proxy].up {
                    self.proxies[proxy].up = false;
                    self.break_off_proxy(proxy);
                    let life = self.proxies[proxy].life;
                    self.proxy_gone(ProxyLife { proxy, life });
                    self.agenda.after(away, Event::ProxyBack(proxy));
                }
            }
            Fault::FreezeProxy(which, length) => {
                let proxy = which % self.proxies.len();
                if self.proxies[proxy].up {
                    let until = self.agenda.now.after(gapless_model::Millis(length));
                    self.proxies[proxy].frozen_until = until;
                    let life = self.proxies[proxy].life;
                    self.agenda.at(until, Event::ProxyThaws { proxy, life });
                }
            }
        }
    }

    /// Proxies are started by a controller, which sends the newest table before it lends the listening sockets.
    fn proxy_back(&mut self, proxy: usize) {
        if self.controller.is_none() {
            return self.agenda.after(50, Event::ProxyBack(proxy));
        }
        self.proxies[proxy].restart(self.agenda.now);
        self.report(proxy);
        self.send_newest(proxy);
    }

    pub(crate) fn is_frozen(&self, proxy: usize) -> bool {
        self.agenda.now < self.proxies[proxy].frozen_until
    }

    /// A report reaches the controller; the first of a life is the connection.
    fn reported(
        &mut self,
        proxy: ProxyLife,
        applied: TableVersion,
        in_flight: BTreeMap<InstanceId, u64>,
        lasting: BTreeMap<InstanceId, u64>,
    ) {
        let Some(controller) = self.controller.as_mut() else { return };
        if !controller.proxy_connected(proxy) {
            return self.controller_dies("a proxy that connects");
        }
        let news = controller.reported(proxy, applied, in_flight, lasting);
        news.into_iter().for_each(|input| self.tell_later(1, input));
    }

    fn proxy_gone(&mut self, proxy: ProxyLife) {
        let now = self.agenda.now;
        let Some(controller) = self.controller.as_mut() else { return };
        let heard = controller.proxy_gone(proxy, now);
        let _never_refused = self.obey(heard, || "a proxy that is gone".to_owned());
    }

    fn controller_dies(&mut self, over: &str) {
        if self.script.knobs.keep_timeline {
            self.timeline.push(format!("{:>8}ms  the controller dies over {over}", self.agenda.now.0));
        }
        let away = self.script.knobs.crash.map_or(1_000, |point| point.away);
        self.controller = None;
        self.agenda.after(away, Event::ControllerBack);
    }

    fn send_newest(&mut self, proxy: usize) {
        let newest = self.controller.as_ref().and_then(|controller| controller.newest());
        if let Some(table) = newest {
            let life = self.proxies[proxy].life;
            self.agenda.after(5, Event::Table { proxy, life, table });
        }
    }

    /// A controller starts on the journal that is there.
    fn take_over(&mut self) {
        let planted = self.script.knobs.planted;
        match Controller::take_over(&self.disk, &self.releases, planted) {
            Ok(controller) => self.controller = Some(controller),
            Err(NoController::Died) => return self.controller_dies("its start"),
            Err(NoController::Differs(what)) => {
                return self.violation("L3", format!("the replay gives something else: {what}"));
            }
        }
        let Some(controller) = &self.controller else { return };
        // Members whose process ended meanwhile are found to be gone; the others are connected to, and count until they speak.
        let dead = |member: &ProxyLife| {
            let proxy = &self.proxies[member.proxy];
            proxy.life != member.life || !proxy.up
        };
        let gone: Vec<ProxyLife> = controller.members().into_iter().filter(dead).collect();
        let has_past = controller.has_past;
        gone.into_iter().for_each(|proxy| self.proxy_gone(proxy));
        for proxy in 0..self.proxies.len() {
            if self.proxies[proxy].up {
                self.report(proxy);
                self.send_newest(proxy);
            }
        }
        let Some(controller) = self.controller.as_ref().filter(|_| has_past) else { return };
        let present: BTreeSet<InstanceId> = self.fleet.present().cloned().collect();
        let alive = controller.alive(&present);
        self.tell(Input::ControllerRestarted { alive: alive.clone(), gone_by: gapless_rollout::EndedBy::Outside });
        alive.iter().for_each(|instance| self.probe(instance));
    }

    /// An operator gives an order, and asks again where no answer came.
    fn order(&mut self, index: usize, order: Order) {
        let again = Event::Order(index, order.clone());
        let Some(controller) = &self.controller else { return self.agenda.after(200, again) };
        let last = controller.service().last_rollout();
        if let Some(given) = self.given.get(&index)
            && *given <= last
        {
            self.accepted.insert(*given);
            return; // it was taken, and the answer was lost
        }
        let rollout = last.next();
        let origin = Origin { by: "operator".to_owned(), reason: String::new() };
        let input = match order {
            Order::Deploy { release: number, shape, quality } => {
                let release = release(number, &shape);
                self.releases.insert(release.id, Arc::clone(&release));
                self.qualities.insert(release.id, quality);
                self.has_bad_release |= quality != Quality::Good;
                Input::DeployOrdered(DeployOrder { rollout, release, strategy: None, origin })
            }
            Order::Rollback => Input::RollbackOrdered(RollbackOrder { rollout, to: None, origin }),
            Order::Restart { release: number } => {
                let Some(current) = controller.service().current() else { return };
                let release = Arc::new(Release { id: ReleaseId(number), ..Release::clone(current) });
                self.releases.insert(release.id, Arc::clone(&release));
                self.qualities.insert(release.id, Quality::Good);
                Input::RestartOrdered(DeployOrder { rollout, release, strategy: None, origin })
            }
            Order::Adjust(adjustment) => Input::AdjustOrdered(AdjustOrder { rollout, adjustment, origin }),
        };
        self.given.insert(index, rollout);
        if self.tell(input).is_some() {
            return; // refused
        }
        match &self.controller {
            None => self.agenda.after(200, again),
            Some(controller) if controller.service().last_rollout() == rollout => {
                self.accepted.insert(rollout);
            }
            Some(_) => {} // it turned the running rollout back
        }
    }

    /// Whether a release exits by itself for ever.
    pub(crate) fn is_bad(&self, release: ReleaseId) -> bool {
        self.qualities.get(&release).is_some_and(|quality| *quality != Quality::Good)
    }

    fn outcome(self) -> Outcome {
        let service = self.controller.as_ref().map(Controller::service);
        let current = service.and_then(|service| service.current()).map(|release| release.id.0);
        let mut rollouts = self.ends;
        rollouts.sort_by_key(|end| end.rollout);
        Outcome {
            requests: self.ledger.requests,
            answered: self.ledger.answered,
            lost_to_faults: self.ledger.lost_to_faults,
            cut: self.ledger.cut,
            lost: self.ledger.lost,
            rollouts,
            current,
            live: self.proxies.first().map_or(0, |proxy| proxy.live().len()),
            running: self.fleet.present().count(),
            starts: self.fleet.starts,
            one_offs: self.one_offs.starts(),
            records: self.disk.commits(),
            effects: self.effects,
            news: self.news,
            ended: self.agenda.now,
            violations: self.violations,
            timeline: self.timeline,
        }
    }
}
