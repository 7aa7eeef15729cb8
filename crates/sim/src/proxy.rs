//! A fake proxy around the real routing table: it applies tables in order, routes by them and counts what is in flight.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_model::{InstanceId, TableVersion, Tick};
use gapless_routing::{Asker, Draw, Intake, PoolView, Registry, Slot, Standing, Table, TableSpec, choose};

#[derive(Debug)]
pub(crate) struct Proxy {
    /// Rises with each start: news of an earlier life are late.
    pub life: u32,
    pub up: bool,
    table: Table,
    registry: Registry,
    /// What it keeps on disk.
    pub kept: Option<Arc<TableSpec>>,
    pub in_flight: BTreeMap<InstanceId, u64>,
    /// Of those, what has no end in sight.
    pub lasting: BTreeMap<InstanceId, u64>,
    /// It serves from its disk since it was killed and has heard nothing newer.
    pub from_disk: bool,
    /// Until when it stands still: it hears nothing, says nothing and carries nothing.
    pub frozen_until: Tick,
    turn: u64,
}

/// Where a request goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// To this instance.
    To(InstanceId),
    /// Nowhere yet: it is held.
    Held,
    /// Nowhere: every instance was tried.
    Exhausted,
    /// The proxy has no table.
    Unknown,
}

impl Proxy {
    pub(crate) fn new() -> Proxy {
        Proxy {
            life: 0,
            up: true,
            table: Table::empty(),
            registry: Registry::new(),
            kept: None,
            in_flight: BTreeMap::new(),
            lasting: BTreeMap::new(),
            from_disk: false,
            frozen_until: Tick::ZERO,
            turn: 0,
        }
    }

    pub(crate) fn version(&self) -> TableVersion {
        self.table.version()
    }

    /// Uses a table if it is newer than its own (I5, I7); says whether it did.
    pub(crate) fn apply(&mut self, spec: &Arc<TableSpec>, now: Tick) -> Result<bool, String> {
        if spec.version <= self.table.version() {
            return Ok(false);
        }
        self.table = Table::build(spec, &mut self.registry, now).map_err(|invalid| invalid.to_string())?;
        self.kept = Some(Arc::clone(spec));
        self.from_disk = false;
        Ok(true)
    }

    /// It starts again from its disk.
    pub(crate) fn restart(&mut self, now: Tick) {
        let kept = self.kept.clone();
        *self = Proxy { life: self.life + 1, kept: kept.clone(), ..Proxy::new() };
        if let Some(spec) = kept {
            self.table = Table::build(&spec, &mut self.registry, now).unwrap_or_else(|_| Table::empty());
            self.from_disk = true;
        }
    }

    /// Whether its table holds the instance.
    pub(crate) fn lists(&self, instance: &InstanceId) -> bool {
        self.table.instances().any(|listed| listed.id == *instance)
    }

    /// The instances that everybody may reach.
    pub(crate) fn live(&self) -> Vec<InstanceId> {
        let pools = self.table.services().iter().flat_map(|service| service.pools());
        let live = pools.filter(|pool| pool.weight() > gapless_model::Weight::NONE);
        live.flat_map(|pool| pool.instances()).map(|instance| instance.id.clone()).collect()
    }

    /// The releases its table refers to.
    pub(crate) fn releases(&self) -> Vec<gapless_model::ReleaseId> {
        self.table.instances().map(|instance| instance.id.release).collect()
    }

    /// The instance for the next attempt of a request.
    pub(crate) fn route(&mut self, tried: &[InstanceId], chance: u64, now: Tick) -> Way {
        let Some(found) = self.table.find(b"shop.example", b"/") else { return Way::Unknown };
        if found.service.intake() == Intake::Hold {
            return Way::Held;
        }
        let slot = |id: &InstanceId| self.table.instances().find(|instance| instance.id == *id).map(|i| i.slot);
        let tried: Vec<Slot> = tried.iter().filter_map(slot).collect();
        self.turn += 1;
        let asker = Asker { address: std::net::Ipv4Addr::LOCALHOST.into(), line: &|_| None };
        let draw = Draw { chance, turn: self.turn, asker, now };
        let view = View { proxy: self };
        let usable = |pool: &gapless_routing::Pool| pool.instances().iter().any(|i| !tried.contains(&i.slot));
        let Some(pool) = found.service.split_among(chance, now, usable) else { return Way::Exhausted };
        choose(pool, &view, &tried, draw).map_or(Way::Exhausted, |instance| Way::To(instance.id.clone()))
    }
}

/// What the proxy knows of its instances.
struct View<'a> {
    proxy: &'a Proxy,
}

impl PoolView for View<'_> {
    fn in_flight(&self, slot: Slot) -> u32 {
        let instance = self.proxy.table.instances().find(|instance| instance.slot == slot);
        let count = instance.and_then(|instance| self.proxy.in_flight.get(&instance.id)).copied().unwrap_or(0);
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    fn latency_us(&self, _slot: Slot) -> u64 {
        1_000
    }

    fn standing(&self, _slot: Slot) -> Standing {
        Standing::Good
    }
}
