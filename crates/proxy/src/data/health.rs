//! Passive health: what requests meet at an instance.

use std::sync::Arc;

use gapless_routing::{Ejection, Service, Standing, Tally};

use super::exchange::Exchange;
use super::instances::View;
use super::worker::Worker;
use crate::seam::Event;

impl Worker {
    /// The instance has begun to answer.
    #[inline]
    pub(super) fn note_answer(&mut self, slot: usize, exchange: &Exchange, status: u16) {
        let now_us = self.clock.now_us();
        if status >= 500 {
            return self.note_failure(slot, exchange);
        }
        if let Some(state) = self.instances.get_mut(slot) {
            let began_us = exchange.core.attempt().map_or(now_us, |attempt| attempt.began_us());
            state.latency.observe(now_us, now_us.saturating_sub(began_us));
            state.outlier.passed();
        }
    }

    /// The instance has failed a request.
    pub(super) fn note_failure(&mut self, slot: usize, exchange: &Exchange) {
        let limit = exchange.core.policy().map_or(0, |policy| policy.eject_after_failures);
        let now = self.clock.tick();
        let Some(state) = self.instances.get_mut(slot) else { return };
        let ejection = state.outlier.failed(now, limit);
        self.note_ejection(slot, ejection);
    }

    /// Compares the instances of each release with each other, every few seconds: one may fail far more than its peers without ever
    /// failing often in a row.
    pub(super) fn compare_peers(&mut self) {
        if self.clock.now_ms() < self.compare_next_ms {
            return;
        }
        self.compare_next_ms = self.clock.now_ms() + self.settings.compare_every_ms;
        let (now, table) = (self.clock.tick(), Arc::clone(&self.table));
        for pool in table.services().iter().flat_map(Service::pools) {
            let slots = || pool.instances().iter().map(|instance| instance.slot.index());
            let mut all = Tally::default();
            for state in slots().filter_map(|slot| self.instances.get(slot)) {
                all.add(state.outlier.tally());
            }
            for slot in slots() {
                let Some(state) = self.instances.get_mut(slot) else { continue };
                let peers = all.without(state.outlier.tally());
                let ejection = state.outlier.compared(now, peers, pool.policy().eject_above_peers);
                self.note_ejection(slot, ejection);
            }
        }
    }

    fn note_ejection(&mut self, slot: usize, ejection: Option<Ejection>) {
        if let (Some(state), Some(ejection)) = (self.instances.get_mut(slot), ejection) {
            state.was_ejected = true;
            let event = Event::Ejected { instance: state.id.clone(), number: ejection.number };
            self.tell(event);
        }
    }

    /// Tells of ejections that have run out.
    pub(super) fn note_returns(&mut self) {
        let now = self.clock.tick();
        let mut returned = Vec::new();
        for (_, state) in self.instances.iter_mut() {
            if state.was_ejected && !state.outlier.ejected(now) {
                state.was_ejected = false;
                returned.push(state.id.clone());
            }
        }
        for instance in returned {
            self.tell(Event::Readmitted { instance });
        }
    }

    /// Tells of services of which no instance is good: they are all used, and somebody must know.
    pub(super) fn note_panics(&mut self) {
        use gapless_routing::PoolView as _;
        let view = View { instances: &self.instances, now_us: self.clock.now_us(), now: self.clock.tick() };
        let table = &self.table;
        let mut panicked = Vec::new();
        for service in table.services() {
            let all_bad = service
                .pools()
                .iter()
                .flat_map(|pool| pool.instances())
                .all(|i| view.standing(i.slot) != Standing::Good);
            if all_bad && service.pools().iter().any(|pool| !pool.instances().is_empty()) {
                panicked.push(service.name().clone());
            }
        }
        for service in panicked {
            self.tell(Event::Panicked { service });
        }
    }
}
