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

/// Whether a request has an end in sight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outlook {
    /// It is answered within a moment.
    Ends,
    /// It is a tunnel.
    Lasts,
}

/// How long tunnels last at most, in milliseconds: past some deadlines of their drain, and not past all.
const TUNNEL_MAX: u64 = 30_000;

/// A request that has no answer yet.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub proxy: usize,
    pub idempotent: bool,
    pub since: Tick,
    pub duration: u64,
    pub outlook: Outlook,
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
        let outlook = match self.script.tunnels_one_in {
            0 => Outlook::Ends,
            one_in if self.chance.once_in(one_in) => Outlook::Lasts,
            _ => Outlook::Ends,
        };
        let longest = match self.script.knobs.request_ms_max {
            _ if outlook == Outlook::Lasts => TUNNEL_MAX,
            0 if self.chance.once_in(40) => 2_500,
            0 => 120,
            longest => longest,
        };
        let request = Request {
            proxy: self.chance.between(0, self.proxies.len() as u64 - 1) as usize,
            idempotent: self.chance.once_in(2),
            since: self.agenda.now,
            duration: self.chance.between(1, longest),
            outlook,
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
                if request.outlook == Outlook::Lasts {
                    *proxy.lasting.entry(instance.clone()).or_default() += 1;
                }
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
        let (Some(instance), proxy, outlook) = (request.at.clone(), request.proxy, request.outlook) else { return };
        if self.is_frozen(proxy) {
            return self.agenda.at(self.proxies[proxy].frozen_until, Event::Answered(number));
        }
        self.ledger.open.remove(&number);
        self.ledger.answered += 1;
        self.leave(proxy, &instance, outlook);
    }

    /// A request leaves an instance; the controller is told where that matters.
    fn leave(&mut self, proxy: usize, instance: &InstanceId, outlook: Outlook) {
        let at = &mut self.proxies[proxy];
        let take = |counts: &mut BTreeMap<InstanceId, u64>| {
            let left = counts.get(instance).map_or(0, |count| count.saturating_sub(1));
            counts.insert(instance.clone(), left);
            counts.retain(|_, count| *count > 0);
            left
        };
        let lasting = match outlook {
            Outlook::Ends => at.lasting.get(instance).copied().unwrap_or(0),
            Outlook::Lasts => take(&mut at.lasting),
        };
        let in_flight = take(&mut at.in_flight);
        let leaves = !at.lists(instance);
        if leaves && outlook == Outlook::Ends {
            self.watch.last_request_left = self.agenda.now;
        }
        if leaves && (in_flight == 0 || in_flight == lasting) {
            self.report(proxy);
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
            let (proxy, idempotent, outlook) = (request.proxy, request.idempotent, request.outlook);
            self.leave(proxy, instance, outlook);
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
        self.proxies[proxy].lasting.clear();
    }
}
