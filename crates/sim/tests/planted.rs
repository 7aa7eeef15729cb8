//! The suites can fail: each mistake planted in the machine is caught by some seed or some crash.

use gapless_rollout::PlantedBug;
use gapless_sim::{Fault, Hooks, Knobs, Order, Outcome, Quality, ReleaseShape, Script, random_script, run};

use gapless_model::{Amount, Millis, Order as BatchOrder, SecondOrder, Strategy, Tick};

/// How many seeds a planted bug may survive.
const SEEDS: u64 = 400;

/// The seed that finds the bug, and what it breaks.
fn caught(bug: PlantedBug) -> Option<(u64, Outcome)> {
    (0..SEEDS).find_map(|seed| {
        let script = random_script(seed);
        let knobs = Knobs { planted: Some(bug), ..Knobs::default() };
        let outcome = run(&Script { knobs, ..script }, seed);
        (!outcome.violations.is_empty()).then_some((seed, outcome))
    })
}

fn is_caught(bug: PlantedBug, invariants: &[&str]) {
    let (seed, outcome) = caught(bug).unwrap_or_else(|| panic!("{bug:?} survives {SEEDS} seeds"));
    let found = outcome.violations[0].invariant;
    assert!(invariants.contains(&found), "seed {seed} catches {bug:?} by {found}: {}", outcome.violations[0]);
}

#[test]
fn stopping_before_the_drain_is_caught() {
    is_caught(PlantedBug::StopBeforeDrained, &["I1"]);
}

#[test]
fn going_below_the_floor_is_caught() {
    is_caught(PlantedBug::BelowFloor, &["I2"]);
}

#[test]
fn not_waiting_for_acknowledgements_is_caught() {
    is_caught(PlantedBug::SkipAcknowledgement, &["I1"]);
}

#[test]
fn going_back_to_what_is_not_proven_is_caught() {
    is_caught(PlantedBug::UnprovenRollback, &["I11", "I2"]);
}

#[test]
fn counting_what_an_earlier_controller_saw_is_caught() {
    is_caught(PlantedBug::LatchedObservation, &["I10"]);
}

#[test]
fn an_order_that_is_displaced_without_an_end_is_caught() {
    is_caught(PlantedBug::SilentDisplacement, &["L2"]);
}

#[test]
fn words_about_an_order_told_to_the_rollout_that_runs_are_caught() {
    is_caught(PlantedBug::WordsToTheRunning, &["words", "L2"]);
}

#[test]
fn a_deadline_that_does_something_else_than_was_explained_is_caught() {
    is_caught(PlantedBug::FixedConsequence, &["explain"]);
}

#[test]
fn a_batch_that_waits_for_tunnels_is_caught() {
    is_caught(PlantedBug::WaitsForTunnels, &["L2"]);
}

/// The controller dies over each record of one rollout: the number of starts tells.
#[test]
fn starting_twice_is_caught() {
    let calm = run(&two_releases(Knobs::default()), 7);
    let knobs = |record| Knobs {
        planted: Some(PlantedBug::StartTwice),
        crash: Some(gapless_sim::CrashPoint { record, side: gapless_sim::Side::After, away: 10 }),
        ..Knobs::default()
    };
    let caught = (1..=calm.records).any(|record| {
        let outcome = run(&two_releases(knobs(record)), 7);
        outcome.starts != calm.starts || !outcome.violations.is_empty()
    });
    assert!(caught);
}

/// Old instances leave load by a switch, come back by a rollback, and leave again batch by batch while requests are in flight: a report
/// of their first drain that comes late must not stop them.
#[test]
fn believing_a_late_report_of_a_drain_is_caught() {
    let script = |knobs| {
        let mut script = two_releases(knobs);
        script.requests_until = Tick(12_000);
        script.orders[1].1 = deploy(2, Strategy::BlueGreen { bake: Millis(9_000) });
        script.orders.push((Tick(6_200), Order::Rollback));
        let strategy = Strategy::Rolling {
            batch: Amount::Count(1),
            order: BatchOrder::SurgeFirst,
            observe: Millis::ZERO,
            bake: Millis::ZERO,
        };
        script.orders.push((Tick(6_500), deploy(3, strategy)));
        script
    };
    let knobs = |planted, late| Knobs { planted, late, request_ms_max: 2_500, ..Knobs::default() };
    let calm = run(&script(knobs(None, None)), 7);
    assert_eq!(calm.violations, []);
    let breaks = |planted| {
        (1..=calm.news).any(|news| {
            (2_000..=5_000)
                .step_by(1_000)
                .any(|late| !run(&script(knobs(planted, Some((news, late)))), 7).violations.is_empty())
        })
    };
    assert!(breaks(Some(PlantedBug::UnfencedDrain)), "the bug survives");
    assert!(!breaks(None), "the fence does not hold");
}

/// A proxy stands still while the controller dies and is followed by another: what that one stops, the proxy may still route to.
#[test]
fn forgetting_a_silent_proxy_is_caught() {
    let script = |planted| {
        let mut script = two_releases(Knobs { planted, ..Knobs::default() });
        script.requests_until = Tick(16_000);
        script.orders[1].0 = Tick(3_000);
        script.faults = vec![(Tick(2_400), Fault::FreezeProxy(1, 9_000)), (Tick(2_500), Fault::KillController(200))];
        script
    };
    let broken = run(&script(Some(PlantedBug::ForgottenProxy)), 7);
    assert!(broken.violations.iter().any(|violation| violation.invariant == "I1"), "{:?}", broken.violations);
    let sound = run(&script(None), 7);
    assert_eq!(sound.violations, []);
    assert_eq!(sound.current, Some(2), "the rollout goes on when the proxy does: {:?}", sound.rollouts);
}

fn deploy(release: u64, strategy: Strategy) -> Order {
    let shape = ReleaseShape {
        instances: 2,
        floor: Amount::Count(1),
        strategy,
        checks: 0,
        hooks: Hooks::None,
        second_order: SecondOrder::Queue,
        drain_timeout: Millis::from_secs(8),
    };
    Order::Deploy { release, shape, quality: Quality::Good }
}

fn two_releases(knobs: Knobs) -> Script {
    let strategy = || Strategy::BlueGreen { bake: Millis(1_500) };
    Script {
        proxies: 2,
        tunnels_one_in: 0,
        request_every: 30,
        requests_until: Tick(9_000),
        orders: vec![(Tick(0), deploy(1, strategy())), (Tick(2_000), deploy(2, strategy()))],
        faults: Vec::new(),
        knobs,
    }
}
