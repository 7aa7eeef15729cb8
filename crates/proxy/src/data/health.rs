//! Passive health: what requests meet at an instance.

use gapless_routing::{Slot, Standing};

use super::exchange::Exchange;
use super::instances::{Instances, View};
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
            state.latency.observe(now_us, now_us.saturating_sub(exchange.attempt_us));
            state.outlier.passed();
        }
    }

    /// The instance has failed a request.
    pub(super) fn note_failure(&mut self, slot: usize, exchange: &Exchange) {
        let limit = exchange.policy.as_ref().map_or(0, |policy| policy.eject_after_failures);
        let now = self.clock.tick();
        let Some(state) = self.instances.get_mut(slot) else { return };
        if let Some(ejection) = state.outlier.failed(now, limit) {
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

impl Instances {
    /// The index of an instance as the routing table knows it.
    pub(super) fn slot_of(&self, slot: usize) -> Option<Slot> {
        self.get(slot).map(|state| state.slot)
    }
}
