//! The controller's side of the tables: the shipped one, for proxies that are numbered and live several lives.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_controller::publication::{News, Publication as Shipped};
use gapless_model::{EffectNumber, Epoch, InstanceId, TableVersion};
use gapless_rollout::{Input, ServiceRoutes};
use gapless_routing::{ProxyId, TableSpec};

/// One life of one proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ProxyLife {
    pub proxy: usize,
    pub life: u32,
}

impl ProxyLife {
    /// Its name.
    pub(crate) fn id(self) -> ProxyId {
        ProxyId(format!("p{}.{}", self.proxy, self.life))
    }

    /// As a name says.
    pub(crate) fn named(name: &str) -> Option<ProxyLife> {
        let (proxy, life) = name.strip_prefix('p')?.split_once('.')?;
        Some(ProxyLife { proxy: proxy.parse().ok()?, life: life.parse().ok()? })
    }
}

#[derive(Debug)]
pub(crate) struct Publication {
    shipped: Shipped,
    newest: Option<Arc<TableSpec>>,
}

impl Publication {
    /// Of a new term, with what the term before ordered last, what left load in it, and the proxies that were members.
    pub(crate) fn new(
        epoch: Epoch,
        last: Option<(EffectNumber, &ServiceRoutes)>,
        leaving: impl Iterator<Item = InstanceId>,
        members: impl Iterator<Item = ProxyId>,
    ) -> Publication {
        let mut shipped = Shipped::new(epoch);
        members.for_each(|proxy| shipped.joined(&proxy));
        if let Some((number, routes)) = last {
            shipped.order(number, routes.clone());
        }
        leaving.for_each(|instance| shipped.leaving_since_before(instance));
        let newest = last.and_then(|_| shipped.next_table()).map(Arc::new);
        Publication { shipped, newest }
    }

    /// A table to send, unless the order is older than one before.
    pub(crate) fn order(&mut self, number: EffectNumber, routes: &ServiceRoutes) -> Option<Arc<TableSpec>> {
        self.shipped.order(number, routes.clone());
        let table = Arc::new(self.shipped.next_table()?);
        self.newest = Some(Arc::clone(&table));
        Some(table)
    }

    pub(crate) fn newest(&self) -> Option<Arc<TableSpec>> {
        self.newest.clone()
    }

    /// A proxy has connected for the first time in its life.
    pub(crate) fn joined(&mut self, proxy: ProxyLife) {
        self.shipped.joined(&proxy.id());
    }

    /// A proxy said what it uses and what it has in flight.
    pub(crate) fn reported(
        &mut self,
        proxy: ProxyLife,
        applied: TableVersion,
        in_flight: BTreeMap<InstanceId, u64>,
        lasting: BTreeMap<InstanceId, u64>,
    ) -> Vec<Input> {
        let mut news = self.shipped.reported(&proxy.id(), applied, in_flight);
        news.extend(self.shipped.lasting(&proxy.id(), lasting));
        inputs(news)
    }

    /// The process of a proxy is known to be gone, with all it had in flight.
    pub(crate) fn gone(&mut self, proxy: ProxyLife) -> Vec<Input> {
        inputs(self.shipped.proxy_gone(&proxy.id()))
    }
}

fn inputs(news: Vec<News>) -> Vec<Input> {
    news.into_iter().map(|news| news.input).collect()
}
