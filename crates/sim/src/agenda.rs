//! The agenda: what happens next, in one order. Events of one instant keep the order in which they were put down.

use std::collections::BTreeMap;

use gapless_model::{InstanceId, Millis, TableVersion, Tick};
use gapless_rollout::Input;
use gapless_routing::TableSpec;
use std::sync::Arc;

use crate::script::{Fault, Order};

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// An operator gives the order of this index, again and again until it is taken.
    Order(usize, Order),
    /// News reaches the controller of a term; one that died hears nothing.
    News { term: u64, input: Input },
    /// A timer of the controller of a term.
    Timer { term: u64, at: Tick },
    /// A process serves.
    ProcessServes(InstanceId),
    /// A process ends by itself.
    ProcessExits { instance: InstanceId, status: String },
    /// A process that was told to stop is gone.
    ProcessGone(InstanceId),
    /// A one-off ends by itself.
    OneOffEnds(InstanceId),
    /// A process's answers to probes turn bad.
    ProcessSick(InstanceId),
    /// A table reaches a proxy's life.
    Table { proxy: usize, life: u32, table: Arc<TableSpec> },
    /// A proxy's report reaches the controller of a term.
    Report {
        term: u64,
        proxy: usize,
        life: u32,
        applied: TableVersion,
        in_flight: BTreeMap<InstanceId, u64>,
        lasting: BTreeMap<InstanceId, u64>,
    },
    /// A client sends a request.
    Request(u64),
    /// A request that waits for an instance tries again.
    Retry(u64),
    /// A request's answer is complete.
    Answered(u64),
    /// A fault happens.
    Fault(Fault),
    /// A new controller starts.
    ControllerBack,
    /// A proxy that was killed is back.
    ProxyBack(usize),
    /// A proxy that stood still goes on.
    ProxyThaws { proxy: usize, life: u32 },
}

/// The events to come.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    events: BTreeMap<(Tick, u64), Event>,
    sequence: u64,
    pub now: Tick,
}

impl Agenda {
    /// Puts an event down for `delay` from now.
    pub(crate) fn after(&mut self, delay: u64, event: Event) {
        self.at(self.now.after(Millis(delay)), event);
    }

    /// Puts an event down for an instant; one that has passed is now.
    pub(crate) fn at(&mut self, at: Tick, event: Event) {
        self.sequence += 1;
        self.events.insert((at.max(self.now), self.sequence), event);
    }

    /// The next event; the clock moves to it.
    pub(crate) fn next(&mut self) -> Option<Event> {
        let ((at, _), event) = self.events.pop_first()?;
        self.now = at;
        Some(event)
    }
}
