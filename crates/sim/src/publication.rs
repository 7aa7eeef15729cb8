//! The controller's side of the tables: numbering them by (epoch, generation) and turning the proxies' reports into facts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_model::{EffectNumber, Epoch, Generation, InstanceId, TableVersion, Weight};
use gapless_rollout::{Admission, Input, PoolKind, ServiceRoutes};
use gapless_routing::{DrainBook, InstanceSpec, Intake, PoolSpec, ProxyId, ServiceSpec, TableSpec};

#[derive(Debug)]
pub(crate) struct Publication {
    version: TableVersion,
    newest: Option<(EffectNumber, Arc<TableSpec>)>,
    /// The effect that each table of this term carries.
    carried: BTreeMap<TableVersion, EffectNumber>,
    applied: BTreeMap<usize, TableVersion>,
    /// The newest effect told to be in use.
    told: EffectNumber,
    drains: DrainBook,
    /// Drained instances that were told.
    told_drained: BTreeSet<InstanceId>,
}

impl Publication {
    /// Of a new term. All proxies are known by their last table; none counts as up to date before it speaks.
    pub(crate) fn new(epoch: Epoch, proxies: usize) -> Publication {
        let mut drains = DrainBook::default();
        for proxy in 0..proxies {
            drains.reported(&id(proxy), TableVersion::default(), []);
        }
        Publication {
            version: TableVersion { epoch, generation: Generation(0) },
            newest: None,
            carried: BTreeMap::new(),
            applied: (0..proxies).map(|proxy| (proxy, TableVersion::default())).collect(),
            told: EffectNumber(0),
            drains,
            told_drained: BTreeSet::new(),
        }
    }

    /// An instance that left load in an earlier term may have requests in flight still.
    pub(crate) fn leaving_before(&mut self, instance: InstanceId) {
        let next = TableVersion { generation: self.version.generation.next(), ..self.version };
        self.drains.leaving_since(instance, next);
    }

    /// A table to send, unless the order is older than one before.
    pub(crate) fn order(&mut self, number: EffectNumber, routes: &ServiceRoutes) -> Option<Arc<TableSpec>> {
        if self.newest.as_ref().is_some_and(|(last, _)| *last >= number) {
            return None;
        }
        self.version.generation = self.version.generation.next();
        let members = routes.pools.iter().flat_map(|pool| &pool.members).map(|member| member.instance.clone());
        let members: Vec<InstanceId> = members.collect();
        self.told_drained.retain(|instance| !members.contains(instance));
        self.drains.published(self.version, members);
        self.carried.insert(self.version, number);
        let table = Arc::new(TableSpec { version: self.version, services: vec![service(routes)] });
        self.newest = Some((number, Arc::clone(&table)));
        Some(table)
    }

    pub(crate) fn newest(&self) -> Option<Arc<TableSpec>> {
        self.newest.as_ref().map(|(_, table)| Arc::clone(table))
    }

    /// A proxy said what it uses and what it has in flight.
    pub(crate) fn reported(
        &mut self,
        proxy: usize,
        applied: TableVersion,
        in_flight: BTreeMap<InstanceId, u64>,
    ) -> Vec<Input> {
        let last = self.applied.entry(proxy).or_default();
        *last = applied.max(*last);
        self.drains.reported(&id(proxy), applied, in_flight);
        self.news()
    }

    /// A proxy was killed and what it had in flight is gone; its next life speaks for itself.
    pub(crate) fn restarted(&mut self, proxy: usize) {
        self.drains.proxy_gone(&id(proxy));
        self.drains.reported(&id(proxy), TableVersion::default(), []);
        self.applied.insert(proxy, TableVersion::default());
    }

    fn news(&mut self) -> Vec<Input> {
        let mut news = Vec::new();
        let everywhere = self.applied.values().min().copied().unwrap_or_default();
        let carried = self.carried.range(..=everywhere).next_back().map(|(_, number)| *number);
        if let Some(routes) = carried.filter(|number| *number > self.told) {
            self.told = routes;
            news.push(Input::RoutesApplied { routes });
        }
        let drained: Vec<InstanceId> = self.drains.drained().cloned().collect();
        for instance in drained {
            if let Some(routes) = carried
                && self.told_drained.insert(instance.clone())
            {
                news.push(Input::Drained { instance, routes });
            }
        }
        news
    }
}

fn id(proxy: usize) -> ProxyId {
    ProxyId(format!("p{proxy}"))
}

fn service(routes: &ServiceRoutes) -> ServiceSpec {
    let pools = routes.pools.iter().map(|pool| PoolSpec {
        release: pool.release,
        label: pool.label.clone(),
        weight: match pool.kind {
            PoolKind::Live => pool.weight,
            PoolKind::Preview => Weight::NONE,
        },
        policy: pool.traffic.clone(),
        probe: None,
        preview_hosts: Vec::new(),
        instances: pool
            .members
            .iter()
            .map(|member| InstanceSpec { id: member.instance.clone(), address: member.address })
            .collect(),
    });
    ServiceSpec {
        name: routes.service.clone(),
        routes: routes.routes.clone(),
        pools: pools.collect(),
        intake: match routes.admission {
            Admission::Open => Intake::Serve,
            Admission::Held => Intake::Hold,
        },
        hold: routes.hold,
        health_path: routes.health_path.clone(),
        fallback: None,
        pins: None,
    }
}
