//! Clients: requests that arrive whether or not the last one was answered, and what becomes of each.

use std::collections::{BTreeMap, BTreeSet};

use gapless_model::{InstanceId, Tick};

use crate::agenda::Event;
use crate::fleet::{End, State};
use crate::proxy::Way;
use crate::world::World;

/// How long a request that finds no instance is tried again, in milliseconds: what the hold allows.
const PATIENCE: u64 = 30_000;

/// How long until it is tried again, in milliseconds.
const RETRY_EVERY: u64 = 50;

/// A request that has no answer yet.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub proxy: usize,
    pub idempotent: bool,
    pub since: Tick,
    pub duration: u64,
    /// The instance that has it.
    pub at: Option<InstanceId>,
    pub tried: Vec<InstanceId>,
}

/// Counts over all requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    pub open: BTreeMap<u64, Request>,
    pub requests: u64,
    pub answered: u64,
    pub lost_to_faults: u64,
    pub cut: u64,
    pub lost: u64,
    /// Instances whose drain deadline passed: what is in flight to them may be cut.
    pub may_be_cut: BTreeSet<InstanceId>,
}

impl World {
    /// A client sends a request, and the next one is on its way.
    pub(crate) fn request(&mut self, number: u64) {
        let next = self.agenda.now.after(gapless_model::Millis(self.script.request_every));
        if next <= self.script.requests_until {
            self.agenda.at(next, Event::Request(number + 1));
        }
        if !self.serves {
            return; // nothing was ever deployed: there is no service to fail
        }
        let longest = match self.script.knobs.request_ms_max {
            0 if self.chance.once_in(40) => 2_500,
            0 => 120,
            longest => longest,
        };
        let request = Request {
            proxy: self.chance.between(0, self.proxies.len() as u64 - 1) as usize,
            idempotent: self.chance.once_in(2),
            since: self.agenda.now,
            duration: self.chance.between(1, longest),
            at: None,
            tried: Vec::new(),
        };
        self.ledger.requests += 1;
        self.ledger.open.insert(number, request);
        self.dispatch(number);
    }

    /// Sends a request to an instance, or lets it wait.
    pub(crate) fn dispatch(&mut self, number: u64) {
        let Some(request) = self.ledger.open.get(&number).cloned() else { return };
        if !self.proxies[request.proxy].up || self.is_frozen(request.proxy) {
            return self.wait(number, &request); // it is in the backlog of the listening socket
        }
        let proxy = &mut self.proxies[request.proxy];
        match proxy.route(&request.tried, self.chance.bits(), self.agenda.now) {
            Way::To(instance) => self.attempt(number, request, instance),
            Way::Held => self.wait(number, &request),
            Way::Exhausted => {
                if let Some(request) = self.ledger.open.get_mut(&number) {
                    request.tried.clear();
                }
                self.wait(number, &request);
            }
            Way::Unknown => {
                let what = format!("proxy {} has no table although something was deployed", request.proxy);
                self.violation("I8", what);
                self.lose(number);
            }
        }
    }

    fn attempt(&mut self, number: u64, mut request: Request, instance: InstanceId) {
        let proxy = &mut self.proxies[request.proxy];
        let process = self.fleet.processes.get(&instance);
        let by_order = process.is_some_and(|process| process.end != Some(End::Fault));
        match self.fleet.state(&instance) {
            State::Serving | State::Sick => {
                *proxy.in_flight.entry(instance.clone()).or_default() += 1;
                self.agenda.after(request.duration, Event::Answered(number));
                request.at = Some(instance);
                self.ledger.open.insert(number, request);
            }
            State::Booting | State::Stopping | State::Gone => {
                if by_order && !proxy.from_disk {
                    let what =
                        format!("proxy {} routes to {instance}, which does not serve by our own order", request.proxy);
                    self.violation("I1", what);
                }
                request.tried.push(instance);
                self.ledger.open.insert(number, request);
                self.dispatch(number);
            }
        }
    }

    fn wait(&mut self, number: u64, request: &Request) {
        if self.agenda.now.since(request.since).0 < PATIENCE {
            self.agenda.after(RETRY_EVERY, Event::Retry(number));
        } else if self.faults_seen > 0 || self.has_bad_release {
            self.ledger.open.remove(&number);
            self.ledger.lost_to_faults += 1;
        } else {
            self.violation("I1", "a request waited in vain although nothing was faulty".to_owned());
            self.lose(number);
        }
    }

    fn lose(&mut self, number: u64) {
        self.ledger.open.remove(&number);
        self.ledger.lost += 1;
    }

    /// The answer of a request is complete.
    pub(crate) fn answered(&mut self, number: u64) {
        let Some(request) = self.ledger.open.get(&number) else { return };
        let (Some(instance), proxy) = (request.at.clone(), request.proxy) else { return };
        if self.is_frozen(proxy) {
            return self.agenda.at(self.proxies[proxy].frozen_until, Event::Answered(number));
        }
        self.ledger.open.remove(&number);
        self.ledger.answered += 1;
        self.leave(proxy, &instance);
    }

    /// A request leaves an instance; the controller is told where that matters.
    fn leave(&mut self, proxy: usize, instance: &InstanceId) {
        let count = self.proxies[proxy].in_flight.entry(instance.clone()).or_insert(1);
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.proxies[proxy].in_flight.remove(instance);
            if !self.proxies[proxy].lists(instance) {
                self.report(proxy);
            }
        }
    }

    /// The requests in flight to an instance, over all proxies.
    pub(crate) fn in_flight(&self, instance: &InstanceId) -> u64 {
        self.proxies.iter().filter_map(|proxy| proxy.in_flight.get(instance)).sum()
    }

    /// A process is gone: what it had in flight is tried again, lost to the fault, or cut on the record.
    pub(crate) fn break_off(&mut self, instance: &InstanceId, end: End) {
        let broken: Vec<u64> = self
            .ledger
            .open
            .iter()
            .filter(|(_, request)| request.at.as_ref() == Some(instance))
            .map(|(number, _)| *number)
            .collect();
        for number in broken {
            let Some(request) = self.ledger.open.get_mut(&number) else { continue };
            request.at = None;
            request.tried.push(instance.clone());
            let (proxy, idempotent) = (request.proxy, request.idempotent);
            self.leave(proxy, instance);
            match end {
                End::Fault if idempotent => self.dispatch_again(number),
                End::Fault => {
                    self.ledger.open.remove(&number);
                    self.ledger.lost_to_faults += 1;
                }
                End::Order if self.ledger.may_be_cut.contains(instance) => {
                    self.ledger.open.remove(&number);
                    self.ledger.cut += 1;
                }
                End::Order => {
                    let what =
                        format!("a request in flight to {instance} was cut by our order before its drain deadline");
                    self.violation("I1", what);
                    self.lose(number);
                }
            }
        }
    }

    /// A second attempt gets a number of its own, so that the end of the first says nothing.
    fn dispatch_again(&mut self, number: u64) {
        let Some(request) = self.ledger.open.remove(&number) else { return };
        self.attempts += 1;
        let again = u64::MAX / 2 + self.attempts;
        self.ledger.open.insert(again, request);
        self.dispatch(again);
    }

    /// A proxy is killed: the requests that it held are lost with it.
    pub(crate) fn break_off_proxy(&mut self, proxy: usize) {
        let before = self.ledger.open.len();
        self.ledger.open.retain(|_, request| request.proxy != proxy || request.at.is_none());
        self.ledger.lost_to_faults += (before - self.ledger.open.len()) as u64;
        self.proxies[proxy].in_flight.clear();
    }
}
