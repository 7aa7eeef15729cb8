//! The fleet with a journal in memory: what is written before it is done, what waits, and what a restart gives back.

use std::collections::BTreeSet;
use std::sync::Arc;

use gapless_fleet::tables::{RELEASES, fact_key};
use gapless_fleet::{Decided, Fleet, KnownRelease, TakeError};
use gapless_journal::{Batch, Fault, MemoryStore, RecordKind, Sequence, Store};
use gapless_model::{Digest, InstanceId, Release, ReleaseId, ReleaseLabel, RolloutId, ServiceName, TableVersion};
use gapless_rollout::{DeployOrder, Effect, EndedBy, Input, Intent, Origin};
use gapless_routing::ProxyId;
use gapless_wire::config::parse_service_config;
use gapless_wire::control::{ReportDoc, RouteDoc, SeriesDoc};
use gapless_wire::record::ReleaseRecord;

mod term;

use term::{now, recover};

const CONFIG: &str = "service = \"shop\"\ninstances = 2\n[run]\ncommand = [\"serve\"]\n[health]\ntcp = true\n\
                      [strategy]\nkind = \"rolling\"\nobserve = \"0s\"\nbake = \"0s\"\n";

fn shop() -> ServiceName {
    ServiceName::new("shop").unwrap()
}

fn deploy(core: &mut Fleet<MemoryStore>, number: u64) -> Result<Vec<Order>, TakeError> {
    let label = ReleaseLabel::new(&format!("{number}.0")).unwrap();
    let release = Arc::new(Release {
        id: ReleaseId(number),
        label: label.clone(),
        digest: Digest([0; 32]),
        spec: parse_service_config(CONFIG, "gapless.toml").unwrap(),
    });
    let record = ReleaseRecord {
        id: number,
        label: label.to_string(),
        digest: release.digest.to_string(),
        config: CONFIG.to_owned(),
        registered_wall_ms: 0,
        bytes: None,
    };
    let mut with = Batch::new();
    with.put(RELEASES, fact_key(&shop(), number), serde_json::to_vec(&record).unwrap());
    core.entry(&shop()).releases.insert(release.id, KnownRelease { release: Arc::clone(&release), record });
    let order = DeployOrder { rollout: RolloutId(number), release, strategy: None, origin: Origin::default() };
    core.order(&shop(), Input::DeployOrdered(order), with, now()).map(|accepted| flat(accepted.taken))
}

/// What is to be performed.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Order {
    service: ServiceName,
    intent: Intent,
}

fn flat(decided: Vec<Decided>) -> Vec<Order> {
    let of = |Decided { service, intents, .. }: Decided| {
        intents.into_iter().map(move |intent| Order { service: service.clone(), intent })
    };
    decided.into_iter().flat_map(of).collect()
}

fn starts(orders: &[Order]) -> Vec<InstanceId> {
    let start = |order: &Order| match &order.intent.effect {
        Effect::StartInstance { instance } => Some(instance.clone()),
        _ => None,
    };
    orders.iter().filter_map(start).collect()
}

/// A proxy that uses every table at once and has nothing in flight.
fn proxy_follows(core: &mut Fleet<MemoryStore>) -> Vec<Order> {
    let Some(table) = core.publication.next_table() else { return Vec::new() };
    let news = core.publication.reported(&ProxyId("p".to_owned()), table.version, []);
    flat(core.heard(news, now()).unwrap())
}

/// Performs orders as a fleet would that never fails, until nothing is left to do.
fn run(core: &mut Fleet<MemoryStore>, mut orders: Vec<Order>) {
    for _ in 0..1_000 {
        orders.extend(proxy_follows(core));
        if orders.is_empty() {
            match core.next_deadline() {
                Some(deadline) if deadline <= now().tick => orders.extend(flat(core.fire_timers(now()).unwrap())),
                _ => return,
            }
            continue;
        }
        let Order { service, intent } = orders.remove(0);
        let facts = match intent.effect {
            Effect::StartInstance { instance } => {
                let address = std::net::SocketAddr::from(([127, 0, 0, 1], 20_000 + instance.ordinal as u16));
                vec![Input::InstanceStarted { instance: instance.clone(), address }, Input::InstanceReady { instance }]
            }
            Effect::StopInstance { instance, .. } => vec![Input::InstanceStopped { instance }],
            Effect::CloseReceipt { rollout, .. } => vec![Input::ReceiptClosed { rollout }],
            Effect::RunOneOff(one_off) => {
                vec![Input::OneOffEnded { one_off: one_off.id.clone(), end: gapless_rollout::OneOffEnd::Passed }]
            }
            Effect::RunCheck { .. } => vec![Input::CheckPassed { check: intent.number }],
            Effect::PublishRoutes(_) | Effect::Notify { .. } | Effect::KeepReleases { .. } => Vec::new(),
        };
        for fact in facts {
            orders.extend(flat(core.fact(&service, fact, now()).unwrap()));
        }
    }
    panic!("the service did not come to rest");
}

fn current(core: &Fleet<MemoryStore>) -> Option<String> {
    core.service(&shop())?.state.current().map(|release| release.label.to_string())
}

#[test]
fn a_restart_gives_back_what_was_there_and_tables_go_on_in_a_later_term() {
    let store = MemoryStore::new();
    let mut core = recover(store.reopen()).unwrap();
    let orders = deploy(&mut core, 1).unwrap();
    run(&mut core, orders);
    assert_eq!(current(&core).as_deref(), Some("1.0"));
    let (before, epoch) = (core.service(&shop()).unwrap().state.clone(), core.epoch());
    let version = core.publication.version();
    drop(core);

    let core = recover(store.reopen()).unwrap();
    assert_eq!(core.service(&shop()).unwrap().state, before);
    assert!(core.epoch() > epoch);
    let next = TableVersion { epoch: core.epoch(), ..core.publication.version() };
    assert!(next > version, "{next} {version}");
    let told = core.service(&shop()).unwrap().chronicle.summaries(now().tick).next().unwrap();
    assert_eq!((told.to.as_str(), told.state.as_str()), ("1.0", "done"));
}

#[test]
fn an_order_that_was_not_written_down_was_not_given() {
    let store = MemoryStore::new();
    let mut core = recover(store.reopen()).unwrap();
    store.fail_at(store.commits() + 1, Fault::Full);
    assert!(matches!(deploy(&mut core, 1), Err(TakeError::Full(_))));
    assert_eq!(core.service(&shop()).unwrap().state.rollout(), None);
    let orders = deploy(&mut core, 1).unwrap();
    assert_eq!(starts(&orders).len(), 2, "room came back, and the order with it");
}

#[test]
fn a_fact_waits_for_room_in_the_journal_and_is_not_lost() {
    let store = MemoryStore::new();
    let mut core = recover(store.reopen()).unwrap();
    let orders = deploy(&mut core, 1).unwrap();
    run(&mut core, orders);
    let instance = core.service(&shop()).unwrap().state.instances().next().unwrap().id.clone();
    store.fail_at(store.commits() + 1, Fault::Full);
    let exited =
        Input::InstanceExited { instance: instance.clone(), status: "signal 9".to_owned(), ended_by: EndedBy::Itself };
    assert_eq!(core.fact(&shop(), exited, now()).unwrap(), []);
    assert!(core.is_full());
    let orders = flat(core.flush_all(now()).unwrap());
    assert!(!core.is_full());
    run(&mut core, orders);
    let known = core.service(&shop()).unwrap().state.report(now().tick);
    assert!(known.releases[0].instances.iter().all(|known| known.instance != instance));
}

#[test]
fn a_journal_that_failed_decides_nothing_more() {
    let store = MemoryStore::new();
    let mut core = recover(store.reopen()).unwrap();
    store.fail_at(store.commits() + 1, Fault::Io);
    assert!(matches!(deploy(&mut core, 1), Err(TakeError::Journal(_))));
    assert!(matches!(deploy(&mut core, 1), Err(TakeError::Journal(_))));
}

#[test]
fn a_crash_at_any_record_of_a_rollout_ends_as_no_crash_does() {
    let mut points = 0;
    for at in 1.. {
        for fault in [Fault::CrashBefore, Fault::CrashAfter] {
            let store = MemoryStore::new();
            let mut core = recover(store.reopen()).unwrap();
            let orders = deploy(&mut core, 1).unwrap();
            run(&mut core, orders);
            store.fail_at(store.commits() + at, fault);
            let crashed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let orders = deploy(&mut core, 2).unwrap();
                run(&mut core, orders);
            }))
            .is_err();
            if !crashed {
                assert!(points > 20, "only {points} points were reached");
                return;
            }
            points += 1;
            let mut core = recover(store.reopen()).unwrap();
            let alive: BTreeSet<InstanceId> = core
                .service(&shop())
                .unwrap()
                .state
                .instances()
                .filter(|instance| instance.address().is_some())
                .map(|instance| instance.id.clone())
                .collect();
            let mut orders = core
                .fact(
                    &shop(),
                    Input::ControllerRestarted { alive: alive.clone(), gone_by: gapless_rollout::EndedBy::Outside },
                    now(),
                )
                .map(flat)
                .unwrap();
            for instance in alive {
                orders.extend(flat(core.fact(&shop(), Input::InstanceReady { instance }, now()).unwrap()));
            }
            run(&mut core, orders);
            if current(&core).as_deref() != Some("2.0") {
                let report = format!("{:#?}", core.service(&shop()).unwrap().state.report(now().tick));
                assert_eq!(
                    (at, fault),
                    (1, Fault::CrashBefore),
                    "only an order that was never written is given again: {report}"
                );
            }
        }
    }
}

#[test]
fn many_records_give_way_to_the_service_at_rest_and_nothing_changes() {
    let store = MemoryStore::new();
    let mut core = recover(store.reopen()).unwrap();
    for number in 1..=80 {
        let orders = deploy(&mut core, number).unwrap();
        run(&mut core, orders);
    }
    let before = core.service(&shop()).unwrap().state.clone();
    let kept = core.service(&shop()).unwrap().kept_releases().count();
    drop(core);
    let mut reopened = store.reopen();
    let records = reopened.read("shop", Sequence::START).unwrap();
    assert!(records.len() < 1_200, "{} records are left", records.len());
    assert_eq!(records[0].record, RecordKind::Snapshot);
    assert!(reopened.facts(RELEASES).unwrap().len() < 80, "releases that nothing refers to are gone");
    let core = recover(reopened).unwrap();
    let tended = core.service(&shop()).unwrap();
    assert_eq!(tended.state, before);
    assert_eq!(tended.kept_releases().count(), kept);
}

/// What a proxy that was connected anew reports: every series of its life.
fn report_of_all(releases: u64) -> ReportDoc {
    let route = RouteDoc { host: "*".to_owned(), path: "/".to_owned() };
    let series = |release| SeriesDoc {
        service: Some("shop".to_owned()),
        release,
        route: Some(route.clone()),
        ended: [("2xx".to_owned(), 10)].into(),
        ..SeriesDoc::default()
    };
    let series = (1..=releases).map(Some).chain([None]).map(series).collect();
    ReportDoc { series, ..ReportDoc::default() }
}

#[test]
fn what_is_kept_in_memory_does_not_grow_with_the_deploys_that_are_over() {
    let store = MemoryStore::new();
    let mut core = recover(store.reopen()).unwrap();
    let proxy = ProxyId("p".to_owned());
    let mut series_after_fifty = 0;
    for number in 1..=250 {
        let orders = deploy(&mut core, number).unwrap();
        assert_eq!(core.counted(&proxy, &report_of_all(number), now()), []);
        run(&mut core, orders);
        let rollout = RolloutId(number);
        let summary = core.service(&shop()).unwrap().chronicle.summary(rollout, now().tick).unwrap();
        let receipt = core.ledger.receipt(&shop(), summary, |_| None);
        let orders = flat(core.close_receipt(&shop(), rollout, &receipt, now()).unwrap());
        run(&mut core, orders);
        if number == 50 {
            series_after_fifty = core.ledger.series();
        }
    }
    assert_eq!(core.counted(&proxy, &report_of_all(250), now()), []);
    assert_eq!(current(&core).as_deref(), Some("250.0"));
    assert!(
        core.ledger.series() <= series_after_fifty,
        "{} series, {series_after_fifty} after 50",
        core.ledger.series()
    );
    let tended = core.service(&shop()).unwrap();
    assert!(core.ledger.series() <= tended.kept_releases().count() + 2, "{} series", core.ledger.series());
    assert!(tended.chronicle.summaries(now().tick).count() <= 100);
    assert!(tended.releases.len() < 150, "{} releases are held until the next snapshot", tended.releases.len());
    assert_eq!(store.reopen().facts("baseline").unwrap().len(), 0);
}

#[test]
fn facts_take_the_room_that_is_kept_for_them_and_orders_do_not() {
    let store = MemoryStore::new();
    store.keep_reserve();
    let mut core = recover(store.reopen()).unwrap();
    let orders = deploy(&mut core, 1).unwrap();
    run(&mut core, orders);
    let instance = core.service(&shop()).unwrap().state.instances().next().unwrap().id.clone();
    store.fail_at(store.commits() + 1, Fault::Full);
    let status = "killed".to_owned();
    let orders = core
        .fact(&shop(), Input::InstanceExited { instance: instance.clone(), status, ended_by: EndedBy::Itself }, now())
        .map(flat)
        .unwrap();
    assert!(!core.is_full(), "the fact is written in the room that was kept");
    assert!(core.is_out_of_room());
    assert!(
        core.service(&shop()).unwrap().state.instances().all(|known| known.id != instance),
        "it is known to be dead"
    );
    run(&mut core, orders);
    assert!(matches!(deploy(&mut core, 2), Err(TakeError::Full(_))), "an order does not use up the room of the facts");
    core.entry(&shop()).releases.remove(&ReleaseId(2));
    store.make_room();
    assert!(!core.is_out_of_room());
    let orders = deploy(&mut core, 2).unwrap();
    run(&mut core, orders);
    assert_eq!(current(&core).as_deref(), Some("2.0"));
}

#[test]
fn a_controller_starts_on_a_full_disk_in_the_room_that_is_kept() {
    let store = MemoryStore::new();
    store.keep_reserve();
    drop(recover(store.reopen()).unwrap());
    store.fail_at(store.commits() + 1, Fault::Full);
    assert!(recover(store.reopen()).is_ok());
}

#[test]
fn a_start_that_is_refused_takes_no_term() {
    let store = MemoryStore::new();
    let epoch = recover(store.reopen()).unwrap().epoch();
    for _ in 0..3 {
        drop(gapless_fleet::recover::read(store.reopen()).unwrap());
    }
    let known = gapless_model::Epoch(40);
    let core = term::recover_above(store.reopen(), known).unwrap();
    assert_eq!(epoch.next().0, 2);
    assert_eq!(core.epoch().0, 41, "above what others have seen");
}

#[test]
fn facts_that_have_gathered_are_one_transaction_and_are_taken_in_their_order() {
    let store = MemoryStore::new();
    let mut core = recover(store.reopen()).unwrap();
    let orders = deploy(&mut core, 1).unwrap();
    let instances = starts(&orders);
    for instance in &instances {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 20_000 + instance.ordinal as u16));
        core.note(&shop(), Input::InstanceStarted { instance: instance.clone(), address }).unwrap();
        core.note(&shop(), Input::InstanceReady { instance: instance.clone() }).unwrap();
    }
    let before = store.commits();
    let decided = core.flush_all(now()).unwrap();
    assert_eq!(store.commits(), before + 1, "one transaction for {} facts", 2 * instances.len());
    assert_eq!(decided.len(), 2 * instances.len(), "a decision for each of them");
    run(&mut core, flat(decided));
    let state = core.service(&shop()).unwrap().state.clone();
    drop(core);
    let again = recover(store.reopen()).unwrap();
    assert_eq!(again.service(&shop()).unwrap().state, state, "replay gives what the group gave");
}

#[test]
fn a_transaction_that_fails_takes_none_of_its_facts_and_hands_out_nothing() {
    let store = MemoryStore::new();
    let mut core = recover(store.reopen()).unwrap();
    let instances = starts(&deploy(&mut core, 1).unwrap());
    let before = core.service(&shop()).unwrap().state.clone();
    for instance in instances {
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 20_000 + instance.ordinal as u16));
        core.note(&shop(), Input::InstanceStarted { instance, address }).unwrap();
    }
    store.fail_at(store.commits() + 1, Fault::CrashBefore);
    assert!(matches!(core.flush_all(now()), Err(TakeError::Journal(_))));
    assert_eq!(core.service(&shop()).unwrap().state, before);
    assert_eq!(core.undelivered(), []);
}
