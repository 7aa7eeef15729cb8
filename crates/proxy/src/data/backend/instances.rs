//! What one thread knows of the instances, by their dense index.

use gapless_model::{Health, InstanceId, ReleaseId, ServiceName, Tick};
use gapless_routing::{Ejection, Outlier, PeakEwma, PoolView, Service, Slot, Standing, Table, Tally};

use super::idle::IdleConnections;
use crate::data::io::slab::Key;
use crate::seam::Event;

/// What one thread has seen of how an instance marks off its answers from each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FramingSeen {
    /// Every answer ended where it said.
    Exact,
    /// Bytes came behind an answer. The release will do so again, so each of its connections carries one request.
    Surplus,
}

/// What one thread knows of one instance.
#[derive(Debug)]
pub(crate) struct InstanceState {
    pub(crate) id: InstanceId,
    /// Distinguishes instances that had the same index one after the other.
    pub(crate) serial: u64,
    /// Whether the table in use has it.
    pub(crate) in_table: bool,
    /// When the table in use came that does not have it, in milliseconds of the thread's clock.
    pub(crate) left_ms: Option<u64>,
    pub(crate) idle: IdleConnections,
    /// Whether its connections may carry a second request.
    pub(crate) framing: FramingSeen,
    /// Requests of this thread that are with it.
    pub(crate) in_flight: u32,
    pub(crate) latency: PeakEwma,
    pub(crate) outlier: Outlier,
    /// What the active probes say.
    pub(crate) health: Health,
    /// Whether it was ejected when last looked at, so that its return can be told.
    pub(crate) was_ejected: bool,
}

/// What a request met at its instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It began to answer, and not with its own failure.
    Answered {
        /// When, in microseconds of the thread's clock.
        at_us: u64,
        /// After how long.
        latency_us: u64,
    },
    /// It failed.
    Failed {
        /// So many failures in a row are enough to leave it out; none where that is not asked for.
        eject_after: u16,
    },
}

/// All instances a thread has to do with: those in its table and those that still have requests in flight.
#[derive(Debug, Default)]
pub(crate) struct Instances {
    states: Vec<Option<InstanceState>>,
    /// Releases of the table in use of which an instance was seen to send bytes behind an answer: what comes of them later does so too.
    surplus: Vec<(ServiceName, ReleaseId)>,
}

impl Instances {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    #[inline]
    pub(crate) fn get(&self, slot: usize) -> Option<&InstanceState> {
        self.states.get(slot)?.as_ref()
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut InstanceState> {
        self.states.get_mut(slot)?.as_mut()
    }

    /// A request is in flight there.
    #[inline]
    pub(crate) fn note_dispatched(&mut self, slot: usize) {
        if let Some(state) = self.get_mut(slot) {
            state.in_flight += 1;
        }
    }

    /// One is no more.
    #[inline]
    pub(crate) fn note_ended(&mut self, slot: usize) {
        if let Some(state) = self.get_mut(slot) {
            state.in_flight = state.in_flight.saturating_sub(1);
        }
    }

    /// Takes note of what a request met; tells when the instance is left out for it.
    #[inline]
    pub(crate) fn judge(&mut self, slot: usize, verdict: Verdict, now: Tick) -> Option<Event> {
        let state = self.get_mut(slot)?;
        match verdict {
            Verdict::Answered { at_us, latency_us } => {
                state.latency.observe(at_us, latency_us);
                state.outlier.passed();
                None
            }
            Verdict::Failed { eject_after } => {
                let ejection = state.outlier.failed(now, eject_after);
                state.note_ejection(ejection)
            }
        }
    }

    /// Compares the instances of each release with each other.
    pub(crate) fn compare_peers(&mut self, table: &Table, now: Tick) -> Vec<Event> {
        let mut events = Vec::new();
        for pool in table.services().iter().flat_map(Service::pools) {
            let slots = || pool.instances().iter().map(|instance| instance.slot.index());
            let mut all = Tally::default();
            for state in slots().filter_map(|slot| self.get(slot)) {
                all.add(state.outlier.tally());
            }
            for slot in slots() {
                let Some(state) = self.get_mut(slot) else { continue };
                let peers = all.without(state.outlier.tally());
                let ejection = state.outlier.compared(now, peers, pool.policy().eject_above_peers);
                events.extend(state.note_ejection(ejection));
            }
        }
        events
    }

    /// Those whose ejection has run out since this was last asked.
    pub(crate) fn returns(&mut self, now: Tick) -> Vec<Event> {
        let over = |state: &&mut InstanceState| state.was_ejected && !state.outlier.ejected(now);
        let returned = self.states.iter_mut().flatten().filter(over).map(|state| {
            state.was_ejected = false;
            Event::Readmitted { instance: state.id.clone() }
        });
        returned.collect()
    }

    /// Services of which no instance is good.
    pub(crate) fn panics(&self, table: &Table, now: Tick) -> Vec<Event> {
        let view = View { instances: self, now_us: 0, now };
        let instances = |service: &Service| service.pools().iter().flat_map(|pool| pool.instances()).count();
        let all_bad = |service: &&Service| {
            let mut instances = service.pools().iter().flat_map(|pool| pool.instances());
            instances.all(|instance| view.standing(instance.slot) != Standing::Good)
        };
        let panicked = table.services().iter().filter(|service| instances(service) > 0).filter(all_bad);
        panicked.map(|service| Event::Panicked { service: service.name().clone() }).collect()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (usize, &mut InstanceState)> {
        self.states.iter_mut().enumerate().filter_map(|(slot, state)| Some((slot, state.as_mut()?)))
    }

    /// Follows a new table: returns the idle connections of the instances that it does not have.
    pub(crate) fn follow(&mut self, table: &Table, now_us: u64) -> Vec<Key> {
        let mut orphaned = Vec::new();
        for state in self.states.iter_mut().flatten() {
            state.in_table = false;
        }
        for instance in table.instances() {
            let slot = instance.slot.index();
            if self.states.len() <= slot {
                self.states.resize_with(slot + 1, || None);
            }
            match &mut self.states[slot] {
                Some(state) if state.serial == instance.serial => (state.in_table, state.left_ms) = (true, None),
                place => {
                    if let Some(old) = place.take() {
                        orphaned.extend({ old.idle }.drain());
                    }
                    *place = Some(InstanceState {
                        id: instance.id.clone(),
                        serial: instance.serial,
                        in_table: true,
                        left_ms: None,
                        idle: IdleConnections::default(),
                        framing: if self.surplus.iter().any(|of| is_of(&instance.id, of)) {
                            FramingSeen::Surplus
                        } else {
                            FramingSeen::Exact
                        },
                        in_flight: 0,
                        latency: PeakEwma::new(now_us),
                        outlier: Outlier::default(),
                        health: Health::Healthy,
                        was_ejected: false,
                    });
                }
            }
        }
        let states = &self.states;
        self.surplus.retain(|of| states.iter().flatten().any(|state| state.in_table && is_of(&state.id, of)));
        for state in self.states.iter_mut().flatten().filter(|state| !state.in_table) {
            orphaned.extend(state.idle.drain());
            state.left_ms.get_or_insert(now_us / 1_000);
        }
        orphaned
    }

    /// An instance of a release was seen to send bytes behind an answer. Returns the idle connections to all of the release.
    pub(crate) fn distrust_framing(&mut self, service: &ServiceName, release: ReleaseId) -> Vec<Key> {
        let of = (service.clone(), release);
        let mut idle = Vec::new();
        for state in self.states.iter_mut().flatten().filter(|state| is_of(&state.id, &of)) {
            state.framing = FramingSeen::Surplus;
            idle.extend(state.idle.drain());
        }
        if !self.surplus.contains(&of) {
            self.surplus.push(of);
        }
        idle
    }

    /// Takes the news of a probe.
    pub(crate) fn set_health(&mut self, instance: &InstanceId, health: Health) {
        for state in self.states.iter_mut().flatten().filter(|state| state.id == *instance) {
            state.health = health;
        }
    }
}

impl InstanceState {
    fn note_ejection(&mut self, ejection: Option<Ejection>) -> Option<Event> {
        let ejection = ejection?;
        self.was_ejected = true;
        Some(Event::Ejected { instance: self.id.clone(), number: ejection.number })
    }
}

fn is_of(instance: &InstanceId, (service, release): &(ServiceName, ReleaseId)) -> bool {
    instance.service == *service && instance.release == *release
}

/// The instances as the choice sees them.
pub(crate) struct View<'i> {
    pub(crate) instances: &'i Instances,
    pub(crate) now_us: u64,
    pub(crate) now: Tick,
}

impl PoolView for View<'_> {
    fn in_flight(&self, slot: Slot) -> u32 {
        self.instances.get(slot.index()).map_or(0, |state| state.in_flight)
    }

    fn latency_us(&self, slot: Slot) -> u64 {
        self.instances.get(slot.index()).map_or(1, |state| state.latency.cost_us(self.now_us))
    }

    fn standing(&self, slot: Slot) -> Standing {
        match self.instances.get(slot.index()) {
            Some(state) if state.health == Health::Unhealthy => Standing::Bad,
            Some(state) if state.outlier.ejected(self.now) => Standing::Ejected,
            _ => Standing::Good,
        }
    }
}
