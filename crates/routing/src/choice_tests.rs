use std::collections::{BTreeMap, BTreeSet};

use gapless_model::{Balance, HashKey, Millis, Tick};

use super::*;
use crate::build::tests::{pool, service, table};
use crate::table::Table;

/// By slot: in flight, latency, standing.
struct View(Vec<(u32, u64, Standing)>);

impl PoolView for View {
    fn in_flight(&self, slot: Slot) -> u32 {
        self.0[slot.index()].0
    }
    fn latency_us(&self, slot: Slot) -> u64 {
        self.0[slot.index()].1
    }
    fn standing(&self, slot: Slot) -> Standing {
        self.0[slot.index()].2
    }
}

const BY_ADDRESS: Balance = Balance::ConsistentHash(HashKey::Address);

const ALL: [Balance; 4] = [Balance::PeakEwma, Balance::RoundRobin, Balance::LeastRequests, BY_ADDRESS];

fn of(balance: &Balance, count: u64, slow_start: u64) -> Table {
    let mut pool = pool("shop", 1, 10_000, 1, count);
    pool.policy.balance = balance.clone();
    pool.policy.slow_start = Millis(slow_start);
    table(vec![service("shop", vec![pool])])
}

fn draw(n: u64) -> Draw<'static> {
    let chance = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let chance = (chance ^ (chance >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let address = core::net::Ipv4Addr::from(u32::try_from(chance >> 32).unwrap()).into();
    let asker = Asker { address, line: &|_| None };
    Draw { chance: chance ^ (chance >> 32), turn: n, asker, now: Tick(1_000_000) }
}

fn tally(table: &Table, view: &View, tried: &[Slot], rounds: u64) -> BTreeMap<usize, u64> {
    let mut counts = BTreeMap::new();
    for n in 0..rounds {
        let found = choose(&table.services()[0].pools()[0], view, tried, draw(n)).unwrap();
        *counts.entry(found.slot.index()).or_default() += 1;
    }
    counts
}

#[test]
fn equal_instances_share_evenly_whatever_the_balance() {
    for balance in &ALL {
        let counts = tally(&of(balance, 4, 0), &View(vec![(0, 100, Standing::Good); 4]), &[], 8_000);
        assert_eq!(counts.len(), 4, "{balance:?}");
        let fair = if *balance == BY_ADDRESS { 1_200..=2_800 } else { 1_850..=2_150 };
        assert!(counts.values().all(|count| fair.contains(count)), "{balance:?} {counts:?}");
    }
}

#[test]
fn a_slow_or_busy_instance_takes_less() {
    let busy = View(vec![(9, 100, Standing::Good), (0, 100, Standing::Good), (0, 100, Standing::Good)]);
    assert!(!tally(&of(&Balance::PeakEwma, 3, 0), &busy, &[], 1_000).contains_key(&0));
    assert!(!tally(&of(&Balance::LeastRequests, 3, 0), &busy, &[], 1_000).contains_key(&0));
    let slow = View(vec![(0, 9_000, Standing::Good), (0, 100, Standing::Good), (0, 100, Standing::Good)]);
    assert!(!tally(&of(&Balance::PeakEwma, 3, 0), &slow, &[], 1_000).contains_key(&0));
}

#[test]
fn bad_instances_are_left_out_until_all_are_bad() {
    for balance in &ALL {
        let table = of(balance, 3, 0);
        let standing = |s: [Standing; 3]| View(s.map(|s| (0, 1, s)).into());
        use Standing::{Bad, Ejected, Good};
        let chosen = |view: View| tally(&table, &view, &[], 300).into_keys().collect::<Vec<_>>();
        assert_eq!(chosen(standing([Good, Bad, Bad])), [0], "{balance:?}");
        assert_eq!(chosen(standing([Good, Good, Ejected])), [0, 1], "{balance:?}");
        assert_eq!(chosen(standing([Good, Ejected, Ejected])), [0, 1, 2], "half must be left: {balance:?}");
        assert_eq!(chosen(standing([Ejected, Bad, Bad])), [0], "{balance:?}");
        assert_eq!(chosen(standing([Bad, Bad, Bad])), [0, 1, 2], "{balance:?}");
    }
}

#[test]
fn what_was_tried_is_never_chosen_again_and_the_circle_widens_first() {
    for balance in &ALL {
        let table = of(balance, 3, 0);
        let pool = &table.services()[0].pools()[0];
        let view = View(vec![(0, 1, Standing::Good), (0, 1, Standing::Good), (0, 1, Standing::Bad)]);
        let mut tried = Vec::new();
        for n in 0..3 {
            let found = choose(pool, &view, &tried, draw(n)).unwrap();
            assert!(!tried.contains(&found.slot));
            assert!(n < 2 || found.slot.index() == 2, "the bad one comes last");
            tried.push(found.slot);
        }
        assert!(choose(pool, &view, &tried, draw(9)).is_none());
        assert!(choose(&of(balance, 1, 0).services()[0].pools()[0], &view, &tried, draw(9)).is_none());
    }
}

#[test]
fn a_consistent_hash_moves_only_the_clients_of_the_instance_that_left() {
    let (four, three) = (of(&BY_ADDRESS, 4, 0), of(&BY_ADDRESS, 3, 0));
    let view = View(vec![(0, 1, Standing::Good); 4]);
    let at = |table: &Table, n| choose(&table.services()[0].pools()[0], &view, &[], draw(n)).unwrap().address;
    let gone = four.services()[0].pools()[0].instances()[3].address;
    let mut moved = 0;
    for n in 0..1_000 {
        let (before, after) = (at(&four, n), at(&three, n));
        if before == gone {
            moved += 1;
        } else {
            assert_eq!(before, after);
        }
    }
    assert!(moved > 0);
}

#[test]
fn a_new_instance_starts_slowly() {
    for balance in &ALL[..3] {
        let table = of(balance, 2, 10_000);
        let pool = &table.services()[0].pools()[0];
        let mut young = pool.instances().to_vec();
        young[1].since = Tick(1_000_000);
        let pool = Pool { instances: young.into(), ..copy(pool) };
        let view = View(vec![(1, 1, Standing::Good); 2]);
        let hits = (0..1_000).filter(|n| choose(&pool, &view, &[], draw(*n)).unwrap().slot.index() == 1).count();
        assert!(hits < 150, "{balance:?}: {hits}");
    }
    let ramps: Vec<u32> =
        [0, 500, 5_000, 9_999, 10_000, u64::MAX].map(|age| ramp_permille(Millis(age), Millis(10_000))).into();
    assert_eq!(ramps, [100, 100, 500, 999, 1_000, 1_000]);
    assert_eq!(ramp_permille(Millis(0), Millis(0)), 1_000);
}

fn copy(pool: &Pool) -> Pool {
    Pool {
        release: pool.release,
        label: pool.label.clone(),
        weight: pool.weight,
        policy: pool.policy.clone(),
        probe: None,
        instances: pool.instances.clone(),
        series: pool.series.clone(),
        weighted_since: pool.weighted_since,
        ring: pool.ring.clone(),
    }
}

#[test]
fn two_draws_differ_and_cover_every_pair() {
    let pairs: BTreeSet<_> = (0..1_000).map(|n| two(draw(n).chance, 4)).collect();
    assert!(pairs.iter().all(|(a, b)| a != b && *a < 4 && *b < 4));
    assert_eq!(pairs.len(), 12);
}

#[test]
fn a_consistent_hash_gives_a_client_the_same_instance_at_any_time_and_clients_all_of_them() {
    let table = of(&Balance::ConsistentHash("header:x-user".parse().unwrap()), 4, 0);
    let view = View(vec![(0, 1, Standing::Good); 4]);
    let mut used = BTreeSet::new();
    for user in 0..100 {
        let name = format!("user {user}");
        let line = |asked: &str| asked.eq_ignore_ascii_case("X-User").then_some(name.as_bytes());
        let chosen: BTreeSet<usize> = (0..50)
            .map(|n| {
                let asker = Asker { line: &line, ..draw(n).asker };
                let draw = Draw { asker, now: Tick(n * 1_000), ..draw(n) };
                choose(&table.services()[0].pools()[0], &view, &[], draw).unwrap().slot.index()
            })
            .collect();
        assert_eq!(chosen.len(), 1, "{name}");
        used.extend(chosen);
    }
    assert_eq!(used.len(), 4);
}

#[test]
fn the_ring_is_the_same_in_every_proxy_of_every_build() {
    let table = of(&BY_ADDRESS, 3, 0);
    let pool = &table.services()[0].pools()[0];
    let view = View(vec![(0, 1, Standing::Good); 3]);
    let chosen = |last: u8| {
        let asker = Asker { address: [192, 0, 2, last].into(), line: &|_| None };
        choose(pool, &view, &[], Draw { asker, ..draw(0) }).unwrap().address.to_string()
    };
    let shown: Vec<String> = (1..=8).map(|last| format!("192.0.2.{last} {}", chosen(last))).collect();
    expect_test::expect![[r#"
        192.0.2.1 127.0.0.1:10003
        192.0.2.2 127.0.0.1:10002
        192.0.2.3 127.0.0.1:10002
        192.0.2.4 127.0.0.1:10002
        192.0.2.5 127.0.0.1:10001
        192.0.2.6 127.0.0.1:10001
        192.0.2.7 127.0.0.1:10003
        192.0.2.8 127.0.0.1:10003
    "#]]
    .assert_eq(&(shown.join("\n") + "\n"));
}
