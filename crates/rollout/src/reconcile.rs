//! Settling: what the situation wants is compared with what the fleet is, and the difference is ordered.
//!
//! Starts what is missing (after the back-off), orders the table that should be (under the floor), stops what is too much (under
//! the permit of the drain), and says which releases are kept. This is the only place where capacity comes and goes.

use std::collections::BTreeSet;

use gapless_model::{EffectNumber, HoldLimits, Hook, InstanceId, Millis, ReleaseId, RolloutId, Tick};

use crate::desired::Desired;
use crate::effect::Effect;
use crate::instance::{Drain, Ground, Instance, Life, Listing, StopPermit};
use crate::one_off::{self, OneOff, Running};
use crate::planted::PlantedBug;
use crate::rollout::{Forward, Phase, TestStage, Way};
use crate::service::{Kept, Service};
use crate::table::{self, Front, Listed, Published};
use crate::transition::Transition;
use crate::{Action, Entry, LiveShare, PoolKind, ServiceRoutes};

/// Why an instance is given up whose time to become ready is over.
const NOT_READY: &str = "it was not ready in time";

impl Transition {
    /// Gives up instances whose time to become ready is over; says whether there was one.
    pub(crate) fn expire(&mut self) -> bool {
        let now = self.now;
        let late = self.service.instances.late(now);
        let late: Vec<Instance> = late.iter().map(|ordinal| self.service.instances[ordinal].clone()).collect();
        for instance in &late {
            let reason = match &instance.life {
                Life::Warming { failing: Some(reason), .. } => format!("{NOT_READY}: {reason}"),
                _ => NOT_READY.to_owned(),
            };
            if instance.is_live() {
                self.unhealthy(&instance.id, reason);
                continue;
            }
            self.lose_unready(instance, reason);
        }
        !late.is_empty()
    }

    /// An instance that never became ready is stopped; whether it is missed is for the sorting to say.
    fn lose_unready(&mut self, instance: &Instance, reason: String) {
        self.note(Action::Lost { instance: instance.id.clone(), reason });
        self.service.count_failure(instance, Millis::ZERO, self.now);
        let limit = self.service.traffic_of(instance.release()).tunnels;
        match instance.stop_permit(self.now, limit) {
            Ok(permit) => self.stop(instance.id.ordinal, permit),
            // It is reached by preview, or has requests of a preview in flight: it leaves as an unhealthy one does.
            Err(_) => self.mark_unhealthy(instance.id.ordinal),
        }
    }

    fn mark_unhealthy(&mut self, ordinal: u64) {
        let now = self.now;
        if let Some(address) = self.service.instances.get(&ordinal).and_then(Instance::address) {
            let life = Life::Unhealthy { address, since: now, reason: NOT_READY.to_owned() };
            self.service.instances.change(ordinal, |instance| instance.life = life);
        }
    }

    /// Orders what is missing; says whether anything was.
    pub(crate) fn reconcile(&mut self) -> bool {
        let before = self.effects.len();
        self.start_missing();
        self.publish();
        self.stop_surplus();
        self.stop_unwanted_one_offs();
        let moved = self.advance_test() || self.advance_hook();
        self.keep_releases();
        moved || self.effects.len() > before
    }

    fn start_missing(&mut self) {
        for (release, want) in self.service.desired() {
            let missing = self.service.instances.of(release).missing(&want);
            for failures in self.service.take_due(release, missing, self.now) {
                self.start(release, failures);
            }
        }
    }

    /// Orders an instance in the place of one before it that failed so often in a row.
    pub(crate) fn start(&mut self, release: ReleaseId, failures: u32) {
        self.service.numbers.ordinal += 1;
        let ordinal = self.service.numbers.ordinal;
        let id = InstanceId { service: self.service.name.clone(), release, ordinal };
        let effect = self.order(Effect::StartInstance { instance: id.clone() });
        self.start_ordered(id, effect, failures);
    }

    /// The start of an instance is ordered.
    pub(crate) fn start_ordered(&mut self, id: InstanceId, effect: EffectNumber, failures: u32) {
        self.note(Action::Starting(id.clone()));
        let life = Life::Starting { effect, since: self.now, deadline: self.start_deadline(id.release) };
        self.service.instances.insert(Instance { id, life, listing: Listing::Never, failures });
    }

    fn publish(&mut self) {
        let desired = self.service.desired();
        let is_right = table::is_right(&self.service, &desired);
        if is_right && !cfg!(debug_assertions) {
            return;
        }
        let floor = if self.service.has(PlantedBug::BelowFloor) { 0 } else { self.service.floor() };
        let listed = match self.service.front() {
            Front::Holds => table::listed(&self.service.instances, &desired, floor),
            // By an operator's order, also where none is ready: what is unhealthy or not proven again would stay for nothing.
            Front::Refuses | Front::Gone => Listed::default(),
        };
        let Some(serving) = self.service.serving(&listed) else { return };
        let service = &self.service;
        let routes =
            table::routes(&service.name, &service.releases, (serving, service.front()), &service.instances, &listed);
        let is_same = match &service.table.published {
            Some(published) => published.routes == routes,
            None => routes.pools.is_empty(),
        };
        assert!(is_same || !is_right, "BUG: the counts say that the table is right, and it is not");
        if is_same {
            return;
        }
        let number = self.order(Effect::PublishRoutes(routes.clone()));
        self.table_ordered(number, routes, &listed, serving);
    }

    /// The table that holds these is ordered.
    pub(crate) fn table_ordered(
        &mut self,
        number: EffectNumber,
        routes: ServiceRoutes,
        listed: &Listed,
        serving: ReleaseId,
    ) {
        let (live, preview) = (shares(&routes, PoolKind::Live), shares(&routes, PoolKind::Preview));
        let holds = routes.hold != HoldLimits::NONE;
        self.note(Action::Published { routes: number, live, holds, preview });
        self.service.table.referred.extend(routes.pools.iter().map(|pool| pool.release));
        self.service.table.published = Some(Published::new(number, self.now, routes, serving));
        self.list(number, listed);
    }

    /// Instances stand where the table of this order has them.
    fn list(&mut self, number: EffectNumber, listed: &Listed) {
        let next = |instance: &Instance| {
            let ordinal = instance.id.ordinal;
            if listed.live.contains(&ordinal) {
                Listing::Live
            } else if listed.preview.contains(&ordinal) {
                Listing::Preview
            } else if instance.is_listed() {
                Listing::Left { by: number, drain: Drain::AwaitingTable }
            } else {
                instance.listing
            }
        };
        let moved =
            self.service.instances.values().map(|instance| (instance.id.ordinal, instance.listing, next(instance)));
        let moved: Vec<(u64, Listing)> =
            moved.filter(|(_, before, next)| before != next).map(|(ordinal, _, next)| (ordinal, next)).collect();
        for (ordinal, listing) in moved {
            self.service.instances.change(ordinal, |instance| instance.listing = listing);
        }
    }

    fn stop_surplus(&mut self) {
        let desired = self.service.desired();
        let releases: Vec<ReleaseId> = self.service.instances.releases().collect();
        for release in releases {
            let desired = desired.get(&release).copied().unwrap_or(Desired::NONE);
            if !self.service.instances.of(release).any_goes(&desired) {
                continue;
            }
            let limit = self.service.traffic_of(release).tunnels;
            for ordinal in self.service.to_stop(release, &desired, self.now, limit) {
                let instance = &self.service.instances[&ordinal];
                let permit = match instance.stop_permit(self.now, limit) {
                    Ok(permit) => permit,
                    Err(_) if self.service.ignores_drain(instance) => StopPermit(Ground::Idle),
                    Err(_) => continue,
                };
                self.stop(ordinal, permit);
            }
        }
    }

    fn stop(&mut self, ordinal: u64, permit: StopPermit) {
        let Some(instance) = self.service.instances.get(&ordinal) else { return };
        let id = instance.id.clone();
        let grace = self.service.traffic_of(id.release).grace;
        match permit.0 {
            Ground::Idle => {}
            Ground::DrainDeadline => self.note(Action::DrainCut(id.clone())),
        }
        self.note(Action::Stopping(id.clone()));
        let effect = self.order(Effect::StopInstance { instance: id, grace });
        self.stop_ordered(ordinal, effect, grace);
    }

    /// The stop of an instance is ordered.
    pub(crate) fn stop_ordered(&mut self, ordinal: u64, effect: EffectNumber, grace: Millis) {
        let since = self.now;
        self.service.instances.change(ordinal, |instance| instance.life = Life::Stopping { effect, since, grace });
    }

    fn keep_releases(&mut self) {
        let releases = self.service.needed_releases();
        if releases == self.service.kept.releases {
            return;
        }
        let effect = self.order(Effect::KeepReleases { releases: releases.clone() });
        self.service.releases.retain(|id, _| releases.contains(id));
        self.service.backoff.retain(|id, _| releases.contains(id));
        self.service.scaled.retain(|id, _| releases.contains(id));
        self.service.kept = Kept { effect, releases };
    }

    /// Repeats, under their old numbers, all orders that have no outcome yet (I6).
    pub(crate) fn repeat_orders(&mut self) {
        if let Some(published) = self.service.table.published.clone() {
            self.repeat(published.number, Effect::PublishRoutes(published.routes));
        }
        let instances: Vec<Instance> = self.service.instances.values().cloned().collect();
        for instance in instances {
            match instance.life {
                Life::Starting { .. } if self.service.has(PlantedBug::StartTwice) => {
                    self.start(instance.release(), instance.failures);
                }
                Life::Starting { effect, .. } => self.repeat(effect, Effect::StartInstance { instance: instance.id }),
                Life::Stopping { effect, grace, .. } => {
                    self.repeat(effect, Effect::StopInstance { instance: instance.id, grace });
                }
                Life::Warming { .. } | Life::Ready { .. } | Life::Unhealthy { .. } => {}
            }
        }
        self.repeat_check();
        self.repeat_one_offs();
        for (rollout, receipt) in self.service.open_receipts.clone() {
            self.repeat(receipt.effect, Effect::CloseReceipt { rollout, outcome: receipt.outcome });
        }
        if !self.service.kept.releases.is_empty() {
            let Kept { effect, releases } = self.service.kept.clone();
            self.repeat(effect, Effect::KeepReleases { releases });
        }
    }

    fn repeat_check(&mut self) {
        let Some(rollout) = self.service.running() else { return };
        let Way::Forward(Forward { phase: Phase::Test { stage: TestStage::Checking { index, effect }, .. }, .. }) =
            &rollout.way
        else {
            return;
        };
        let (number, release) = (*effect, rollout.to);
        let check = self.service.releases.get(&release).and_then(|to| to.spec.checks.get(*index)).cloned();
        if let Some(check) = check {
            self.repeat(number, Effect::RunCheck { check, release });
        }
    }

    /// Orders a hook of `release` under the next ordinal.
    pub(crate) fn run_hook(&mut self, rollout: RolloutId, release: ReleaseId, hook: &Hook) -> u64 {
        let ordinal = self.service.numbers.ordinal + 1;
        let id = InstanceId { service: self.service.name.clone(), release, ordinal };
        let one_off = OneOff::of_hook(id, hook);
        let effect = self.order_of(Some(rollout), Effect::RunOneOff(one_off.clone()));
        self.one_off_ordered(Some(rollout), one_off, effect);
        ordinal
    }

    /// A one-off is ordered.
    pub(crate) fn one_off_ordered(&mut self, rollout: Option<RolloutId>, one_off: OneOff, effect: EffectNumber) {
        let (since, deadline) = (self.now, self.now.after(one_off.timeout));
        self.tell_of(rollout, Action::OneOffBegan { id: one_off.id.clone(), what: one_off.to_string() });
        let ordinal = one_off.id.ordinal;
        self.service.numbers.ordinal = self.service.numbers.ordinal.max(ordinal);
        let life = one_off::Life::Running { effect, deadline };
        self.service.one_offs.insert(ordinal, Running { one_off, rollout, since, life });
    }

    /// Ends hooks that a rollout waited for and waits for no more.
    pub(crate) fn stop_unwanted_one_offs(&mut self) {
        let awaited = self.service.awaited_hook();
        let is_unwanted = |running: &&Running| {
            running.is_gate() && running.deadline().is_some() && Some(running.one_off.id.ordinal) != awaited
        };
        let unwanted: Vec<Running> = self.service.one_offs.values().filter(is_unwanted).cloned().collect();
        unwanted.iter().for_each(|running| self.stop_one_off(running));
    }

    pub(crate) fn stop_one_off(&mut self, running: &Running) {
        let id = running.one_off.id.clone();
        let grace = self.service.traffic_of(id.release).grace;
        self.tell_of(running.rollout, Action::Stopping(id.clone()));
        let ordinal = id.ordinal;
        let effect = self.order_of(running.rollout, Effect::StopInstance { instance: id, grace });
        self.one_off_stop_ordered(ordinal, effect, grace);
    }

    /// The stop of a one-off is ordered.
    pub(crate) fn one_off_stop_ordered(&mut self, ordinal: u64, effect: EffectNumber, grace: Millis) {
        if let Some(running) = self.service.one_offs.get_mut(&ordinal) {
            running.life = one_off::Life::Stopping { effect, grace };
        }
    }

    /// Repeats, under their old numbers, the orders of one-offs whose end is not known.
    pub(crate) fn repeat_one_offs(&mut self) {
        let one_offs: Vec<Running> = self.service.one_offs.values().cloned().collect();
        for Running { one_off, life, .. } in one_offs {
            match life {
                one_off::Life::Running { effect, .. } => self.repeat(effect, Effect::RunOneOff(one_off)),
                one_off::Life::Stopping { effect, grace } => {
                    self.repeat(effect, Effect::StopInstance { instance: one_off.id, grace });
                }
            }
        }
    }

    pub(crate) fn tell_of(&mut self, rollout: Option<RolloutId>, action: Action) {
        self.timeline.push(Entry { at: self.now, rollout, action });
    }
}

impl Service {
    /// The release whose routes the table takes: the one in load, the older first; none before the first table.
    pub(crate) fn serving(&self, listed: &Listed) -> Option<ReleaseId> {
        let roles = self.roles();
        let live: BTreeSet<ReleaseId> = listed.live.iter().map(|ordinal| self.instances[ordinal].release()).collect();
        let is_live = |id: &ReleaseId| live.contains(id);
        let last = self.table.published.as_ref().map(Published::serving);
        roles.iter().find(|id| is_live(id)).or(roles.first()).copied().or(last)
    }

    /// Those that go and that may be looked at to be stopped. Where all of a release go, only those are whose drain is over, however many others
    /// there are.
    fn to_stop(&self, release: ReleaseId, desired: &Desired, now: Tick, limit: Millis) -> Vec<u64> {
        if desired.instances > 0 || self.planted.is_some() {
            return self.instances.going(release, desired);
        }
        let mut stoppable: Vec<&Instance> =
            self.instances.of(release).stoppable(now, limit).map(|ordinal| &self.instances[&ordinal]).collect();
        stoppable.sort_by_key(|instance| (instance.rank(), instance.id.ordinal));
        stoppable.into_iter().map(|instance| instance.id.ordinal).collect()
    }

    fn ignores_drain(&self, instance: &Instance) -> bool {
        match instance.listing {
            Listing::Never | Listing::Live | Listing::Preview => false,
            Listing::Left { drain: Drain::AwaitingTable, .. } => {
                self.has(PlantedBug::SkipAcknowledgement) || self.has(PlantedBug::StopBeforeDrained)
            }
            Listing::Left { .. } => self.has(PlantedBug::StopBeforeDrained),
        }
    }

    /// What an instance, a table, an order or the way back needs (I9).
    fn needed_releases(&self) -> BTreeSet<ReleaseId> {
        let of_instances = self.instances.releases();
        self.roles()
            .into_iter()
            .chain(self.queued_release())
            .chain(of_instances)
            .chain(self.one_offs().map(|one_off| one_off.id.release))
            .chain(self.history.iter().copied())
            .chain(self.left.iter().copied())
            .chain(self.running().and_then(|rollout| rollout.rests))
            .chain(self.table.referred.iter().copied())
            .collect()
    }
}

/// What of one kind is in a table, for the timeline.
fn shares(routes: &ServiceRoutes, kind: PoolKind) -> Vec<LiveShare> {
    routes
        .pools
        .iter()
        .filter(|pool| pool.kind == kind)
        .map(|pool| LiveShare {
            label: pool.label.clone(),
            instances: u16::try_from(pool.members.len()).unwrap_or(u16::MAX),
        })
        .collect()
}
