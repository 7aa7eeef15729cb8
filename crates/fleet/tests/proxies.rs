//! One to five proxies that come, acknowledge, report, stand still and go, in any order: what the publication tells is held against what was said.

use std::collections::{BTreeMap, BTreeSet};

use gapless_fleet::publication::{News, Publication};
use gapless_model::{
    EffectNumber, Epoch, HoldLimits, InstanceId, Millis, ReleaseId, ServiceName, TableVersion, Weight,
};
use gapless_rollout::{Admission, Input, Member, Pool, PoolKind, ServiceRoutes};
use gapless_routing::ProxyId;
use proptest::prelude::*;

/// Something that happens to the tables.
#[derive(Clone, Debug)]
enum Act {
    /// The service orders a part with these instances, and a table is made of it.
    Order(BTreeSet<u64>),
    /// A proxy becomes a member; one that is gone comes back under another name.
    Join(usize),
    /// A proxy uses the newest table and says so.
    Apply(usize),
    /// A proxy reports the table it uses, with so many requests in flight to an instance.
    Report(usize, u64, u64),
    /// The process of a proxy is gone.
    Go(usize),
}

/// What the proxies really use and said.
#[derive(Default)]
struct Truth {
    /// The life of each proxy, the table it uses, and what it reported last: the table then, and its counts.
    members: BTreeMap<ProxyId, Said>,
    lives: [u32; 5],
    /// The number of the part that each table carries, with its instances.
    tables: Vec<(TableVersion, u64, BTreeSet<u64>)>,
}

#[derive(Default, Clone)]
struct Said {
    uses: Option<TableVersion>,
    reported: Option<TableVersion>,
    in_flight: BTreeMap<u64, u64>,
}

fn shop() -> ServiceName {
    ServiceName::new("shop").unwrap()
}

fn instance(ordinal: u64) -> InstanceId {
    InstanceId { service: shop(), release: ReleaseId(1), ordinal }
}

impl Truth {
    fn id(&self, proxy: usize) -> ProxyId {
        ProxyId(format!("p{proxy}.{}", self.lives[proxy]))
    }

    /// What was told must rest on what every member said.
    fn check(&self, news: &[News]) -> Result<(), TestCaseError> {
        for News { input, .. } in news {
            match input {
                Input::RoutesApplied { routes } => {
                    prop_assert!(!self.members.is_empty(), "applied by nobody");
                    for (proxy, said) in &self.members {
                        let part = said.uses.and_then(|uses| self.part(uses));
                        prop_assert!(
                            part.is_some_and(|part| part >= routes.0),
                            "{proxy:?} uses {part:?}, told {routes:?}"
                        );
                    }
                }
                Input::Drained { instance, .. } => {
                    for (proxy, said) in &self.members {
                        let listed = said.reported.and_then(|table| self.instances(table));
                        let listed = listed.map(|instances| instances.contains(&instance.ordinal));
                        prop_assert_eq!(listed, Some(false), "{:?} may route to it", proxy);
                        let left = said.in_flight.get(&instance.ordinal).copied().unwrap_or(0);
                        prop_assert_eq!(left, 0, "{:?} has requests in flight", proxy);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn part(&self, version: TableVersion) -> Option<u64> {
        self.tables.iter().find(|(table, ..)| *table == version).map(|(_, part, _)| *part)
    }

    fn instances(&self, version: TableVersion) -> Option<&BTreeSet<u64>> {
        self.tables.iter().find(|(table, ..)| *table == version).map(|(.., instances)| instances)
    }
}

fn routes(instances: &BTreeSet<u64>) -> ServiceRoutes {
    let member = |ordinal: &u64| Member {
        instance: instance(*ordinal),
        address: ([127, 0, 0, 1], 20_000 + u16::try_from(*ordinal).unwrap()).into(),
    };
    let config = "service = \"shop\"\n[run]\ncommand = [\"serve\"]\n[health]\ntcp = true\n";
    let spec = gapless_wire::config::parse_service_config(config, "gapless.toml").unwrap();
    let pool = Pool {
        release: ReleaseId(1),
        label: gapless_model::ReleaseLabel::new("1.0").unwrap(),
        kind: PoolKind::Live,
        weight: Weight::ALL,
        traffic: spec.traffic,
        probe: spec.probe,
        members: instances.iter().map(member).collect(),
    };
    ServiceRoutes {
        service: shop(),
        routes: spec.routes,
        pools: vec![pool],
        admission: Admission::Open,
        hold: HoldLimits { requests_max: 1, wait_max: Millis(1) },
        health_path: None,
    }
}

fn act(proxies: usize) -> impl Strategy<Value = Act> {
    let proxy = 0..proxies;
    prop_oneof![
        3 => proptest::collection::btree_set(1_u64..5, 0..4).prop_map(Act::Order),
        2 => proxy.clone().prop_map(Act::Join),
        4 => proxy.clone().prop_map(Act::Apply),
        6 => (proxy.clone(), 1_u64..5, 0_u64..2).prop_map(|(proxy, instance, count)| Act::Report(proxy, instance, count)),
        1 => proxy.prop_map(Act::Go),
    ]
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    (1_usize..=5).prop_flat_map(|proxies| proptest::collection::vec(act(proxies), 1..80))
}

/// Plays one act; what the publication told.
fn play(tables: &mut Publication, truth: &mut Truth, number: &mut u64, act: Act) -> Vec<News> {
    match act {
        Act::Order(instances) => {
            *number += 1;
            tables.order(EffectNumber(*number), routes(&instances));
            let table = tables.next_table().expect("a part is new");
            truth.tables.push((table.version, *number, instances));
            Vec::new()
        }
        Act::Join(proxy) => {
            let id = truth.id(proxy);
            truth.members.entry(id.clone()).or_default();
            tables.joined(&id);
            Vec::new()
        }
        Act::Apply(proxy) => {
            let id = truth.id(proxy);
            let (Some((newest, ..)), Some(said)) = (truth.tables.last(), truth.members.get_mut(&id)) else {
                return Vec::new();
            };
            said.uses = Some(*newest);
            tables.applied(&id, *newest)
        }
        Act::Report(proxy, ordinal, count) => {
            let id = truth.id(proxy);
            let Some(said) = truth.members.get_mut(&id) else { return Vec::new() };
            said.reported = said.uses;
            said.in_flight.insert(ordinal, count);
            let in_flight: Vec<_> =
                said.in_flight.iter().map(|(ordinal, count)| (instance(*ordinal), *count)).collect();
            tables.reported(&id, said.uses.unwrap_or_default(), in_flight)
        }
        Act::Go(proxy) => {
            let id = truth.id(proxy);
            if truth.members.remove(&id).is_none() {
                return Vec::new();
            }
            truth.lives[proxy] += 1;
            tables.proxy_gone(&id)
        }
    }
}

proptest! {
    #[test]
    fn nothing_is_told_applied_or_drained_that_any_member_may_still_use(acts in acts()) {
        let (mut tables, mut truth, mut number) = (Publication::new(Epoch(3)), Truth::default(), 0);
        for act in acts {
            let news = play(&mut tables, &mut truth, &mut number, act);
            truth.check(&news)?;
        }
    }

    #[test]
    fn when_every_member_uses_the_newest_table_and_is_idle_all_is_told(acts in acts()) {
        let (mut tables, mut truth, mut number) = (Publication::new(Epoch(3)), Truth::default(), 0);
        let mut applied = 0;
        let all = acts.into_iter().chain([Act::Join(0), Act::Order([9].into())]);
        let idle = |truth: &Truth| -> Vec<ProxyId> { truth.members.keys().cloned().collect() };
        let mut told = |news: Vec<News>| {
            for News { input, .. } in news {
                if let Input::RoutesApplied { routes } = input {
                    applied = applied.max(routes.0);
                }
            }
        };
        for act in all {
            told(play(&mut tables, &mut truth, &mut number, act));
        }
        for id in idle(&truth) {
            told(tables.reported(&id, tables.version(), []));
        }
        prop_assert_eq!(applied, number, "the newest part is in use everywhere");
        let left: Vec<_> = tables.draining().collect();
        prop_assert!(left.is_empty(), "nothing drains any more: {left:?}");
    }
}
