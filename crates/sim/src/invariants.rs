//! The invariants, checked after every event that can break them.

use std::collections::BTreeSet;

use gapless_model::{HoldLimits, InstanceId, Millis, ReleaseId, RolloutId, Strategy, Tick};
use gapless_rollout::{
    Action, Admission, Drain, Entry, Life, Listing, PhaseName, PoolKind, Service, ServiceRoutes, SituationReport,
};
use gapless_wire::api::Event;

use gapless_wire::record::{REST_KIND, RestRecord};

use crate::controller::Controller;
use crate::outcome::Violation;
use crate::releases::service;
use crate::world::World;

/// What has to be remembered to check the invariants.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watch {
    /// The live members of the table ordered last.
    live: BTreeSet<InstanceId>,
    /// Since when the candidate that bakes is watched by one and the same controller, and how long it is to be. The order that waited may have begun
    /// by the time when it is over.
    baking: Option<(Tick, Millis)>,
    promoted: bool,
    /// Since when old instances are taken out of load and waited for, surge first.
    draining_since: Option<Tick>,
    /// When the last request with an end in sight left an instance out of load.
    pub last_request_left: Tick,
}

/// How long the news of the last request's end may take to the machine, and the next phase from there, in milliseconds.
const NEWS_TAKE: u64 = 1_000;

fn live_of(routes: &ServiceRoutes) -> BTreeSet<InstanceId> {
    let live = routes.pools.iter().filter(|pool| pool.kind == PoolKind::Live);
    live.flat_map(|pool| &pool.members).map(|member| member.instance.clone()).collect()
}

fn bake_of(service: &Service) -> Millis {
    service.candidate().map_or(Millis::ZERO, |to| match to.spec.strategy {
        Strategy::Rolling { bake, .. } | Strategy::BlueGreen { bake } => bake,
    })
}

fn is_ready(service: &Service, id: &InstanceId) -> bool {
    service.instances().any(|instance| instance.id == *id && matches!(instance.life, Life::Ready { .. }))
}

impl World {
    pub(crate) fn violation(&mut self, invariant: &'static str, what: String) {
        let at = self.agenda.now;
        if self.violations.len() < 20 {
            self.violations.push(Violation { at, invariant, what });
        }
    }

    /// A table was ordered: I2, I8, I11.
    pub(crate) fn check_table(&mut self, service: &Service, routes: &ServiceRoutes) {
        let after = live_of(routes);
        let before = std::mem::replace(&mut self.watch.live, after.clone());
        let ready = |of: &BTreeSet<InstanceId>| of.iter().filter(|id| is_ready(service, id)).count();
        let (was, is, floor) = (ready(&before), ready(&after), usize::from(service.floor()));
        if is < floor && is < was {
            self.violation(
                "I2",
                format!("a table leaves {is} ready instances in load where {was} were, below the floor of {floor}"),
            );
        }
        // None may wait only where an operator stopped the service.
        if routes.admission == Admission::Held && was > 0 && routes.hold != HoldLimits::NONE {
            self.violation("I8", format!("a table empties the pool although {was} instances are ready"));
        }
        self.check_way_back(service, &before, &after);
    }

    /// I11: the candidate leaves load only when the release before is ready in full.
    fn check_way_back(&mut self, service: &Service, before: &BTreeSet<InstanceId>, after: &BTreeSet<InstanceId>) {
        let report = service.report(self.agenda.now);
        let SituationReport::Rollout(rollout) = &report.situation else { return };
        let (Some(from), Some(to), true) = (service.current(), service.candidate(), rollout.turned_back.is_some())
        else {
            return;
        };
        let left =
            before.iter().filter(|id| id.release == to.id && is_ready(service, id) && !after.contains(*id)).count();
        let restored = after.iter().filter(|id| id.release == from.id && is_ready(service, id)).count();
        if left > 0 && restored < usize::from(from.spec.instances) {
            self.violation(
                "I11",
                format!("{left} candidates leave load with {restored} of {} old ones ready", from.spec.instances),
            );
        }
    }

    /// A stop was ordered: no proxy may route to the instance, and its requests have ended or had their time.
    pub(crate) fn check_stop(&mut self, instance: &InstanceId) {
        let listing: Vec<usize> = (0..self.proxies.len())
            .filter(|proxy| {
                let proxy = &self.proxies[*proxy];
                proxy.up && !proxy.from_disk && proxy.lists(instance)
            })
            .collect();
        if !listing.is_empty() {
            self.violation("I1", format!("{instance} is stopped while proxies {listing:?} route to it"));
        }
        let in_flight = self.in_flight(instance);
        if in_flight > 0 && !self.ledger.may_be_cut.contains(instance) {
            self.violation("I1", format!("{instance} is stopped with {in_flight} requests in flight and time left"));
        }
    }

    /// Releases may be deleted: I9.
    pub(crate) fn check_kept(&mut self, service: &Service, kept: &BTreeSet<ReleaseId>) {
        let mut needed: BTreeSet<ReleaseId> = self.fleet.present().map(|id| id.release).collect();
        needed.extend(
            self.proxies.iter().filter(|proxy| proxy.up && !proxy.from_disk).flat_map(|proxy| proxy.releases()),
        );
        needed.extend(service.current().map(|release| release.id));
        needed.extend(service.candidate().map(|release| release.id));
        needed.extend(service.previous().map(|release| release.id));
        let lost: Vec<&ReleaseId> = needed.difference(kept).collect();
        if !lost.is_empty() {
            self.violation("I9", format!("releases {lost:?} may be deleted although something refers to them"));
        }
    }

    /// What a step did: I10, and the record of what may be cut.
    pub(crate) fn check_step(&mut self, state: &Service, timeline: &[Entry]) {
        for entry in timeline {
            match &entry.action {
                Action::DrainCut(instance) => {
                    self.ledger.may_be_cut.insert(instance.clone());
                }
                Action::Promoted { .. } => self.watch.promoted = true,
                Action::Entered { phase: PhaseName::Stop, .. } => self.check_wait(entry.at),
                Action::ControllerRestarted { .. } => {
                    self.watch.baking = self.watch.baking.map(|(_, bake)| (entry.at, bake));
                }
                Action::Entered { phase: PhaseName::Bake, .. } => {
                    self.watch.baking = Some((entry.at, bake_of(state)));
                    self.watch.promoted = false;
                }
                Action::Entered { phase: PhaseName::Drain, .. } => {
                    self.watch.draining_since = Some(entry.at);
                    self.check_bake(entry.at);
                }
                Action::Entered { .. } | Action::TurnedBack { .. } | Action::Ended { .. } => {
                    self.watch.baking = None;
                }
                _ => {}
            }
        }
        self.check_numbers(state);
        self.check_rest(state);
    }

    /// A service at rest can be kept in the place of its records, and is the same when it is read.
    fn check_rest(&mut self, service: &Service) {
        let Some(rest) = service.at_rest().filter(|_| self.script.knobs.planted.is_none()) else { return };
        let bytes = RestRecord::of(&rest, self.agenda.now).to_bytes();
        let read = RestRecord::from_bytes(REST_KIND, &bytes).and_then(|record| record.to_rest());
        let same = read.is_ok_and(|(rest, _)| {
            let again = Service::from_rest(rest, |id| service.release(id).cloned());
            again.as_ref() == Ok(service)
        });
        if !same {
            self.violation("L3", format!("a service at rest reads back as another: {rest:?}"));
        }
    }

    /// No batch waits for tunnels alone. Told where nothing is faulty or late: else there are other things to wait for.
    fn check_wait(&mut self, now: Tick) {
        let Some(since) = self.watch.draining_since.take() else { return };
        let knobs = &self.script.knobs;
        if self.faults_seen > 0 || knobs.late.is_some() || knobs.effect.is_some() || knobs.crash.is_some() {
            return;
        }
        let needed = since.max(self.watch.last_request_left);
        if now.since(needed).0 > NEWS_TAKE {
            self.violation("L2", format!("a batch waits for tunnels alone, for {}", now.since(needed)));
        }
    }

    fn check_bake(&mut self, now: Tick) {
        let Some((since, bake)) = self.watch.baking.take() else { return };
        if !self.watch.promoted && now.since(since) < bake {
            self.violation("I10", format!("a candidate baked for {} of {bake} under one controller", now.since(since)));
        }
    }

    /// Nobody waits for a one-off, and none runs, when everything is quiet.
    fn check_one_offs(&mut self, service: &Service) {
        let waiting: Vec<String> = service.one_offs().map(ToString::to_string).collect();
        let running: Vec<InstanceId> = self.one_offs.running().into_iter().cloned().collect();
        if !waiting.is_empty() || !running.is_empty() {
            self.violation("L1", format!("in the end the machine waits for {waiting:?}, and {running:?} run"));
        }
    }

    /// The state itself: an instance that drains is known to be out of the newest table.
    fn check_numbers(&mut self, service: &Service) {
        let Some((newest, routes)) = service.published() else { return };
        let listed: BTreeSet<&InstanceId> =
            routes.pools.iter().flat_map(|pool| &pool.members).map(|member| &member.instance).collect();
        let wrong = service.instances().find(|instance| match instance.listing {
            Listing::Never => listed.contains(&instance.id),
            Listing::Left { by, drain } => {
                listed.contains(&instance.id)
                    || by > newest
                    || (matches!(drain, Drain::Running { .. }) && by > service.applied())
            }
            Listing::Live | Listing::Preview => !listed.contains(&instance.id),
        });
        if let Some(instance) = wrong {
            let what = format!("{} is {:?} and the newest table says otherwise", instance.id, instance.listing);
            self.violation("state", what);
        }
    }

    /// The end: L1, L2 and one receipt per rollout.
    pub(crate) fn check_end(&mut self) {
        let Some(controller) = self.controller.take() else {
            return self.violation("L3", "there is no controller in the end".to_owned());
        };
        let service = controller.service();
        let report = service.report(self.agenda.now);
        match &report.situation {
            SituationReport::Rollout(rollout) => {
                self.violation("L2", format!("rollout {} never ends:\n{report}", rollout.rollout));
            }
            SituationReport::Empty | SituationReport::NeedsOperator { .. } => {}
            SituationReport::Settled { .. } => self.check_desired(service),
            SituationReport::Stopped { .. } => self.check_nothing_runs(),
        }
        self.check_one_offs(service);
        self.check_words(&controller);
        for rollout in self.accepted.clone() {
            let ends = self.ends.iter().filter(|end| end.rollout == rollout).count();
            if ends != 1 {
                self.violation("L2", format!("rollout {rollout} has {ends} ends"));
            }
        }
        if !self.ledger.open.is_empty() {
            let open = self.ledger.open.len();
            self.violation("I1", format!("{open} requests have no end"));
        }
        self.controller = Some(controller);
    }

    /// What is told of each order, as `gapless history` and its events tell it: one end, and words about itself.
    fn check_words(&mut self, controller: &Controller) {
        let Some(entry) = controller.fleet.service(&service()) else { return };
        for order in entry.chronicle.summaries(self.agenda.now) {
            let number = RolloutId(order.rollout);
            let (events, _) = entry.chronicle.events(number, 0).unwrap_or_default();
            let ends = events.iter().filter(|event| event.action == "ended").count();
            if ends != 1 {
                self.violation("L2", format!("order {number} is told {ends} ends"));
            }
            let about = |event: &&Event| matches!(event.action.as_str(), "began" | "queued");
            for event in events.iter().filter(about).filter(|event| !event.text.contains(&order.to)) {
                self.violation("words", format!("\"{}\" stands under {number}, which is to {}", event.text, order.to));
            }
        }
    }

    /// L1 of a service that was stopped.
    fn check_nothing_runs(&mut self) {
        let running: Vec<InstanceId> = self.fleet.present().cloned().collect();
        if !running.is_empty() {
            self.violation("L1", format!("{running:?} run in the end of a service that was stopped"));
        }
    }

    /// L1: faults have stopped; what is wanted is there.
    fn check_desired(&mut self, service: &Service) {
        let Some(current) = service.current() else { return };
        if self.is_bad(current.id) {
            return; // it exits by itself for ever
        }
        let wanted = usize::from(current.spec.instances);
        for proxy in 0..self.proxies.len() {
            let live = self.proxies[proxy].live();
            let serving = live.iter().filter(|id| self.fleet.state(id) == crate::fleet::State::Serving).count();
            if live.len() != wanted || serving != wanted || live.iter().any(|id| id.release != current.id) {
                self.violation(
                    "L1",
                    format!("proxy {proxy} routes to {live:?} in the end, {serving} of {wanted} serve"),
                );
            }
        }
        let running: Vec<InstanceId> = self.fleet.present().cloned().collect();
        if running.len() != wanted {
            self.violation("L1", format!("{running:?} run in the end where {wanted} are wanted"));
        }
    }
}
