//! Which table the proxies are to use, which they do use, and what follows from that: `RoutesApplied` and `Drained`.
//!
//! Every service orders its own part of the table ([`ServiceRoutes`], numbered by its effect); here the parts are put together to
//! whole tables, numbered by (epoch, generation), and the proxies' acknowledgements are translated back to the services' numbers.
//!
//! **Invariant P1**: a part counts as applied only when every member uses a table that carries it or a later one; no member means not applied. A
//! proxy is a member from [`Publication::joined`] on, heard or not, and over restarts of the controller ([`members`](crate::members)).
//! An acknowledgement of another term, or of a table that this term never published, is none: what a proxy uses
//! then is not what was ordered here, however large its number.
//! **Invariant P2**: a service's parts are carried in the order of their numbers; an older part never takes the place of a newer one.
//! **Invariant P3**: `RoutesApplied` of a part precedes any `Drained` that rests on it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gapless_model::{EffectNumber, Epoch, Generation, InstanceId, ServiceName, TableVersion};
use gapless_rollout::{Admission, Input, Member, PoolKind, ServiceRoutes};
use gapless_routing::{DrainBook, InstanceSpec, Intake, PoolSpec, PreviewToken, ProxyId, ServiceSpec, TableSpec};

/// Tables that no proxy acknowledged yet are remembered up to this number; a proxy acknowledges within milliseconds, and one
/// that comes back acknowledges the newest, which covers all before it.
const TABLES_REMEMBERED_MAX: usize = 1_024;

/// Characters of a proxy's reason that are kept: they go into the journal, the history and the receipt.
const REASON_CHARS_MAX: usize = 500;

/// What the acknowledgements of the proxies mean to one service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// Which service.
    pub service: ServiceName,
    /// The fact.
    pub input: Input,
}

/// The tables of one term.
#[derive(Debug)]
pub struct Publication {
    version: TableVersion,
    parts: BTreeMap<ServiceName, (EffectNumber, ServiceRoutes)>,
    changed: bool,
    previews: BTreeMap<ServiceName, PreviewToken>,
    /// Tables not yet applied everywhere, oldest first, with the parts they carry.
    awaited: VecDeque<(TableVersion, BTreeMap<ServiceName, EffectNumber>)>,
    /// The newest part of each service that every proxy uses.
    applied: BTreeMap<ServiceName, EffectNumber>,
    /// The newest table of this term that each proxy uses; generation 0 where it uses none of them.
    proxies: BTreeMap<ProxyId, TableVersion>,
    drains: DrainBook,
    /// Instances that leave and have tunnels and streams alone.
    quiet: BTreeSet<InstanceId>,
}

impl Publication {
    /// The tables of a term, before its first.
    #[must_use]
    pub fn new(epoch: Epoch) -> Publication {
        Publication {
            version: TableVersion { epoch, generation: Generation(0) },
            parts: BTreeMap::new(),
            changed: true,
            previews: BTreeMap::new(),
            awaited: VecDeque::new(),
            applied: BTreeMap::new(),
            proxies: BTreeMap::new(),
            drains: DrainBook::default(),
            quiet: BTreeSet::new(),
        }
    }

    /// A service orders its part. One that is not newer than the last of the service changes nothing (P2).
    pub fn order(&mut self, number: EffectNumber, part: ServiceRoutes) {
        if self.parts.get(&part.service).is_none_or(|(last, _)| *last < number) {
            self.parts.insert(part.service.clone(), (number, part));
            self.changed = true;
        }
    }

    /// The right to previews of a service: the token of the rollout that runs, none between rollouts.
    pub fn allow_previews(&mut self, service: &ServiceName, token: Option<PreviewToken>) {
        let before = match token {
            Some(token) => self.previews.insert(service.clone(), token),
            // A right that ends must end at the proxies too; one that begins is carried by the next table of its rollout.
            None => self.previews.remove(service).inspect(|_| self.changed = true),
        };
        drop(before);
    }

    /// An instance that left load in an earlier term may still have requests in flight: it counts as leaving with the next table.
    pub fn leaving_since_before(&mut self, instance: InstanceId) {
        let next = TableVersion { generation: self.version.generation.next(), ..self.version };
        self.drains.leaving_since(instance, next);
    }

    /// The table to send, if anything changed since the last.
    pub fn next_table(&mut self) -> Option<TableSpec> {
        if !std::mem::take(&mut self.changed) {
            return None;
        }
        self.version.generation = self.version.generation.next();
        let table = self.table();
        let members = self.parts.values().flat_map(|(_, part)| &part.pools).flat_map(|pool| &pool.members);
        self.drains.published(self.version, members.map(|member| member.instance.clone()));
        let carried = self.parts.iter().map(|(service, (number, _))| (service.clone(), *number)).collect();
        if self.awaited.len() == TABLES_REMEMBERED_MAX {
            self.awaited.pop_front();
        }
        self.awaited.push_back((self.version, carried));
        Some(table)
    }

    /// The newest table, for a proxy that comes.
    #[must_use]
    pub fn table(&self) -> TableSpec {
        let spec =
            |(_, part): &(EffectNumber, ServiceRoutes)| service_spec(part, self.previews.get(&part.service).cloned());
        let there = self.parts.values().filter(|(_, part)| is_routed(part));
        TableSpec { version: self.version, services: there.map(spec).collect() }
    }

    /// The number of the newest table.
    #[must_use]
    pub fn version(&self) -> TableVersion {
        self.version
    }

    /// A proxy is a member: until it speaks it has acknowledged nothing and drained nothing. What one that is known said stays.
    pub fn joined(&mut self, proxy: &ProxyId) {
        if !self.proxies.contains_key(proxy) {
            self.proxies.insert(proxy.clone(), TableVersion::default());
            self.drains.reported(proxy, TableVersion::default(), []);
        }
    }

    /// A proxy said which table it uses and what it has in flight.
    pub fn reported(
        &mut self,
        proxy: &ProxyId,
        applied: TableVersion,
        in_flight: impl IntoIterator<Item = (InstanceId, u64)>,
    ) -> Vec<News> {
        let applied = self.of_this_term(applied);
        let known = self.proxies.entry(proxy.clone()).or_default();
        *known = applied.max(*known);
        self.drains.reported(proxy, applied, in_flight);
        self.news()
    }

    /// What of a proxy's last report has no end in sight. Each instance whose requests have ended is told once.
    pub fn lasting(&mut self, proxy: &ProxyId, lasting: impl IntoIterator<Item = (InstanceId, u64)>) -> Vec<News> {
        self.drains.lasting(proxy, lasting);
        let alone: BTreeSet<InstanceId> = self.drains.lasting_alone().cloned().collect();
        let fresh: Vec<InstanceId> = alone.difference(&self.quiet).cloned().collect();
        self.quiet = alone;
        let news = fresh.into_iter().filter_map(|instance| {
            let (service, routes) = (instance.service.clone(), *self.applied.get(&instance.service)?);
            Some(News { service, input: Input::RequestsEnded { instance, routes } })
        });
        news.collect()
    }

    /// A proxy said that every thread of it uses a table. What it has in flight only a report tells.
    pub fn applied(&mut self, proxy: &ProxyId, version: TableVersion) -> Vec<News> {
        let version = self.of_this_term(version);
        let known = self.proxies.entry(proxy.clone()).or_default();
        *known = version.max(*known);
        self.newly_applied()
    }

    /// A proxy that serves refused a table; without a version it could not even be read, and is taken for the newest. Told are the services
    /// whose newest part it carried and some proxy does not use yet: a part that is in use everywhere was not what is refused.
    pub fn refused(&mut self, proxy: &ProxyId, version: Option<TableVersion>, reason: &str) -> Vec<News> {
        let version = version.unwrap_or(self.version);
        if self.proxies.get(proxy).is_some_and(|used| version <= *used) {
            return Vec::new(); // it uses it, or a later one
        }
        let Some((_, carried)) = self.awaited.iter().find(|(awaited, _)| *awaited == version) else {
            return Vec::new();
        };
        let reason: String = reason.chars().take(REASON_CHARS_MAX).collect();
        let is_newest =
            |service: &ServiceName, number| self.parts.get(service).is_some_and(|(last, _)| *last == number);
        let in_use = |service: &ServiceName, number| self.applied.get(service).is_some_and(|used| *used >= number);
        let told =
            carried.iter().filter(|(service, number)| is_newest(service, **number) && !in_use(service, **number));
        let news = told.map(|(service, number)| News {
            service: service.clone(),
            input: Input::RoutesRefused { routes: *number, reason: reason.clone() },
        });
        news.collect()
    }

    /// What an acknowledgement is worth here: itself where it is of a table of this term, else no table of it.
    fn of_this_term(&self, acknowledged: TableVersion) -> TableVersion {
        let published = acknowledged.epoch == self.version.epoch && acknowledged <= self.version;
        if published { acknowledged } else { TableVersion { generation: Generation(0), ..self.version } }
    }

    /// Whether an acknowledgement is of the newest table.
    #[must_use]
    pub fn is_newest(&self, acknowledged: TableVersion) -> bool {
        acknowledged == self.version
    }

    /// A proxy's process is known to be gone, with all it had in flight.
    pub fn proxy_gone(&mut self, proxy: &ProxyId) -> Vec<News> {
        self.proxies.remove(proxy);
        self.drains.proxy_gone(proxy);
        self.news()
    }

    /// Which table each proxy uses.
    pub fn proxies(&self) -> impl Iterator<Item = (&ProxyId, TableVersion)> {
        self.proxies.iter().map(|(proxy, version)| (proxy, *version))
    }

    /// What drains, with its requests in flight where every proxy has told.
    pub fn draining(&self) -> impl Iterator<Item = (&InstanceId, Option<u64>)> {
        self.drains.draining()
    }

    fn news(&mut self) -> Vec<News> {
        let mut news = self.newly_applied();
        let drained: Vec<InstanceId> = self.drains.drained().cloned().collect();
        for instance in drained {
            self.drains.forget(&instance);
            // A service whose part is not applied yet has no number to rest on: nothing of it can have drained.
            if let Some(routes) = self.applied.get(&instance.service) {
                let service = instance.service.clone();
                news.push(News { service, input: Input::Drained { instance, routes: *routes } });
            }
        }
        news
    }

    fn newly_applied(&mut self) -> Vec<News> {
        let Some(everywhere) = self.proxies.values().min().copied() else { return Vec::new() };
        let mut fresh = BTreeSet::new();
        while let Some((version, _)) = self.awaited.front()
            && *version <= everywhere
        {
            let (_, carried) = self.awaited.pop_front().expect("BUG: the front was just seen");
            for (service, number) in carried {
                if self.applied.get(&service).is_none_or(|last| *last < number) {
                    self.applied.insert(service.clone(), number);
                    fresh.insert(service);
                }
            }
        }
        fresh
            .into_iter()
            .map(|service| {
                let routes = self.applied[&service];
                News { service, input: Input::RoutesApplied { routes } }
            })
            .collect()
    }
}

/// Whether anything of a service is to be in a table: not of one that was removed, nor of one of workers, which has no routes. That every proxy uses such
/// a table is acknowledged as for other parts.
fn is_routed(part: &ServiceRoutes) -> bool {
    !part.routes.is_empty()
}

fn service_spec(part: &ServiceRoutes, preview_token: Option<PreviewToken>) -> ServiceSpec {
    ServiceSpec {
        name: part.service.clone(),
        routes: part.routes.clone(),
        pools: part
            .pools
            .iter()
            .map(|pool| PoolSpec {
                release: pool.release,
                label: pool.label.clone(),
                weight: match pool.kind {
                    PoolKind::Live => pool.weight,
                    PoolKind::Preview => gapless_model::Weight::NONE,
                },
                policy: pool.traffic.clone(),
                probe: Some(pool.probe.clone()),
                preview_hosts: Vec::new(),
                instances: pool.members.iter().map(instance_spec).collect(),
            })
            .collect(),
        intake: match part.admission {
            Admission::Open => Intake::Serve,
            Admission::Held => Intake::Hold,
        },
        hold: part.hold,
        health_path: part.health_path.clone(),
        fallback: None,
        pins: None,
        preview_token,
    }
}

fn instance_spec(member: &Member) -> InstanceSpec {
    InstanceSpec { id: member.instance.clone(), address: member.address }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gapless_model::{HoldLimits, Host, Millis, PathPrefix, ReleaseId, Route};

    fn shop() -> ServiceName {
        ServiceName::new("shop").unwrap()
    }

    fn part() -> ServiceRoutes {
        ServiceRoutes {
            service: shop(),
            routes: vec![Route { host: Host::any(), path: PathPrefix::new("/").unwrap() }],
            pools: Vec::new(),
            admission: Admission::Held,
            hold: HoldLimits { requests_max: 7, wait_max: Millis(9) },
            health_path: None,
        }
    }

    fn version(generation: u64) -> TableVersion {
        TableVersion { epoch: Epoch(3), generation: Generation(generation) }
    }

    fn proxy(name: &str) -> ProxyId {
        ProxyId(name.to_owned())
    }

    fn applied(number: u64) -> News {
        News { service: shop(), input: Input::RoutesApplied { routes: EffectNumber(number) } }
    }

    #[test]
    fn a_part_is_applied_when_every_proxy_uses_a_table_that_carries_it() {
        let mut tables = Publication::new(Epoch(3));
        tables.order(EffectNumber(4), part());
        assert_eq!(tables.next_table().map(|table| table.version), Some(version(1)));
        assert_eq!(tables.next_table(), None, "nothing changed");
        assert_eq!(tables.reported(&proxy("a"), TableVersion::default(), []), []);
        assert_eq!(tables.reported(&proxy("b"), version(1), []), [], "a is behind");
        assert_eq!(tables.reported(&proxy("a"), version(1), []), [applied(4)]);
        assert_eq!(tables.reported(&proxy("a"), version(1), []), [], "told once");
    }

    #[test]
    fn an_acknowledgement_of_another_term_is_none_however_large_its_number() {
        let old = InstanceId { service: shop(), release: ReleaseId(1), ordinal: 1 };
        let mut tables = Publication::new(Epoch(3));
        tables.order(EffectNumber(9), part());
        tables.leaving_since_before(old);
        tables.next_table();
        let (a, b) = (proxy("a"), proxy("b"));
        for foreign in [TableVersion { epoch: Epoch(7), generation: Generation(1) }, version(2)] {
            assert_eq!(tables.applied(&a, foreign), [], "{foreign} was never published here");
            assert_eq!(tables.reported(&a, foreign, []), [], "and nothing has drained by it");
        }
        assert_eq!(tables.reported(&b, version(1), []), [], "a uses a table of somebody else");
        assert_eq!(tables.reported(&a, version(1), []).len(), 2, "applied and drained");
    }

    #[test]
    fn a_refused_table_is_told_to_the_services_whose_newest_part_it_carried_first() {
        let named = |name: &str| ServiceRoutes { service: ServiceName::new(name).unwrap(), ..part() };
        let refusal = |number| News {
            service: shop(),
            input: Input::RoutesRefused { routes: EffectNumber(number), reason: "too large".to_owned() },
        };
        let mut tables = Publication::new(Epoch(3));
        let a = proxy("a");
        tables.order(EffectNumber(1), named("cart"));
        tables.next_table();
        assert_eq!(tables.reported(&a, version(1), []).len(), 1);
        tables.order(EffectNumber(4), part());
        tables.next_table();
        assert_eq!(tables.refused(&a, Some(version(2)), "too large"), [refusal(4)], "the cart's part is in use");
        assert_eq!(tables.refused(&a, None, "too large"), [refusal(4)], "what cannot be read is the newest");
        assert_eq!(tables.refused(&a, Some(version(1)), "too large"), [], "it uses that one");
        assert_eq!(tables.refused(&a, Some(version(9)), "too large"), [], "never published");
        tables.order(EffectNumber(5), part());
        tables.next_table();
        assert_eq!(tables.refused(&a, Some(version(2)), "too large"), [], "another took its place");
    }

    #[test]
    fn a_member_that_was_not_heard_has_neither_acknowledged_nor_drained() {
        let old = InstanceId { service: shop(), release: ReleaseId(1), ordinal: 1 };
        let mut tables = Publication::new(Epoch(3));
        tables.joined(&proxy("frozen"));
        tables.order(EffectNumber(4), part());
        tables.leaving_since_before(old.clone());
        tables.next_table();
        assert_eq!(tables.reported(&proxy("a"), version(1), []), [], "the other may still route to it");
        let drained = News { service: shop(), input: Input::Drained { instance: old, routes: EffectNumber(4) } };
        assert_eq!(tables.proxy_gone(&proxy("frozen")), [applied(4), drained]);
        tables.joined(&proxy("a"));
        assert_eq!(tables.proxies().count(), 1);
        assert_eq!(tables.proxies().next(), Some((&proxy("a"), version(1))), "joining again forgets nothing");
    }

    #[test]
    fn a_service_without_an_instance_holds_within_the_bounds_of_its_release() {
        let mut tables = Publication::new(Epoch(3));
        tables.order(EffectNumber(4), part());
        let table = tables.next_table().expect("a table");
        assert_eq!((table.services[0].intake, table.services[0].hold), (Intake::Hold, part().hold));
    }

    /// A proxy of before there were workers would refuse the whole table for a service without routes.
    #[test]
    fn a_service_of_workers_is_in_no_table_and_acknowledged_with_it() {
        let mut tables = Publication::new(Epoch(3));
        tables.joined(&proxy("a"));
        tables.order(EffectNumber(4), ServiceRoutes { routes: Vec::new(), ..part() });
        let table = tables.next_table().expect("a table");
        assert_eq!(table.services, []);
        let news = tables.reported(&proxy("a"), table.version, BTreeMap::new());
        assert!(
            matches!(&news[..], [News { input: Input::RoutesApplied { routes }, .. }] if *routes == EffectNumber(4))
        );
    }

    #[test]
    fn a_service_that_was_removed_is_in_no_table_and_acknowledged_all_the_same() {
        let mut tables = Publication::new(Epoch(3));
        tables.order(EffectNumber(4), ServiceRoutes { routes: Vec::new(), hold: HoldLimits::NONE, ..part() });
        let table = tables.next_table().expect("a table");
        assert_eq!(table.services, []);
        assert_eq!(tables.reported(&proxy("a"), version(1), []), [applied(4)]);
    }

    #[test]
    fn a_later_table_stands_for_all_before_it_and_an_older_part_is_not_carried() {
        let mut tables = Publication::new(Epoch(3));
        for number in [4, 7, 5] {
            tables.order(EffectNumber(number), part());
            tables.next_table();
        }
        assert_eq!(tables.version(), version(2));
        assert_eq!(tables.reported(&proxy("a"), version(2), []), [applied(7)]);
    }

    #[test]
    fn an_instance_that_left_in_an_earlier_term_drains_with_the_first_table_of_this_one() {
        let old = InstanceId { service: shop(), release: ReleaseId(1), ordinal: 1 };
        let mut tables = Publication::new(Epoch(3));
        tables.order(EffectNumber(9), part());
        tables.leaving_since_before(old.clone());
        tables.next_table();
        assert_eq!(tables.reported(&proxy("a"), version(1), [(old.clone(), 2)]), [applied(9)]);
        let drained =
            News { service: shop(), input: Input::Drained { instance: old.clone(), routes: EffectNumber(9) } };
        assert_eq!(tables.reported(&proxy("a"), version(1), []), [drained]);
    }
}
