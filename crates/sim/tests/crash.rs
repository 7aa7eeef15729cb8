//! The controller dies before and after every record of a rollout: the end is the same as without a crash, no instance is started
//! twice, no request is lost.

use gapless_model::{Amount, HookPoint, Millis, Order as BatchOrder, SecondOrder, Strategy, Tick};
use gapless_rollout::Adjustment;
use gapless_sim::{CrashPoint, Hooks, Knobs, Order, Outcome, Quality, ReleaseShape, Script, crash_everywhere};

fn shape(strategy: Strategy, checks: usize) -> ReleaseShape {
    ReleaseShape {
        instances: 3,
        floor: Amount::Count(2),
        strategy,
        checks,
        hooks: Hooks::None,
        second_order: SecondOrder::Queue,
        drain_timeout: Millis::from_secs(5),
    }
}

fn script(strategy: Strategy, checks: usize, quality: Quality) -> Script {
    let first = shape(strategy.clone(), 0);
    let second = shape(strategy, checks);
    Script {
        proxies: 2,
        tunnels_one_in: 0,
        request_every: 25,
        requests_until: Tick(16_000),
        orders: vec![
            (Tick(0), Order::Deploy { release: 1, shape: first, quality: Quality::Good }),
            (Tick(2_000), Order::Deploy { release: 2, shape: second, quality }),
        ],
        faults: Vec::new(),
        knobs: Knobs::default(),
    }
}

/// What has to be the same whether or not the controller died.
fn end(outcome: &Outcome) -> (Vec<&'static str>, Option<u64>, [usize; 4]) {
    let outcomes = outcome.rollouts.iter().map(|end| end.outcome).collect();
    (outcomes, outcome.current, [outcome.live, outcome.running, outcome.starts, outcome.one_offs])
}

fn check(script: &Script, expected: &[&str]) {
    let (calm, crashed) = crash_everywhere(script, 7, 300);
    assert_eq!(calm.violations, []);
    assert_eq!(calm.lost, 0);
    let outcomes: Vec<&str> = calm.rollouts.iter().map(|end| end.outcome).collect();
    assert_eq!(outcomes, expected, "the script is about another end");
    assert!(crashed.len() > 30, "only {} points: the script is too short to show anything", crashed.len());
    let differ: Vec<(CrashPoint, String)> = crashed
        .iter()
        .filter(|(_, outcome)| {
            end(outcome) != end(&calm)
                || !outcome.violations.is_empty()
                || outcome.lost > 0
                || outcome.lost_to_faults > 0
                || outcome.cut > 0
        })
        .map(|(point, outcome)| (*point, format!("{:?} {:?}", end(outcome), outcome.violations)))
        .collect();
    assert!(
        differ.is_empty(),
        "{} of {} points differ from {:?}: {differ:#?}",
        differ.len(),
        crashed.len(),
        end(&calm)
    );
}

fn rolling(order: BatchOrder) -> Strategy {
    Strategy::Rolling { batch: Amount::Count(1), order, observe: Millis(500), bake: Millis(800) }
}

#[test]
fn a_rolling_rollout_ends_the_same_wherever_the_controller_dies() {
    check(&script(rolling(BatchOrder::SurgeFirst), 1, Quality::Good), &["done", "done"]);
}

#[test]
fn a_rolling_rollout_in_place_ends_the_same_wherever_the_controller_dies() {
    check(&script(rolling(BatchOrder::InPlace), 1, Quality::Good), &["done", "done"]);
}

#[test]
fn a_blue_green_rollout_ends_the_same_wherever_the_controller_dies() {
    let strategy = Strategy::BlueGreen { bake: Millis(1_500) };
    check(&script(strategy, 2, Quality::Good), &["done", "done"]);
}

#[test]
fn a_restart_and_two_changes_of_size_end_the_same_wherever_the_controller_dies() {
    let mut script = script(rolling(BatchOrder::SurgeFirst), 0, Quality::Good);
    script.requests_until = Tick(36_000);
    script.orders.push((Tick(12_000), Order::Restart { release: 3 }));
    script.orders.push((Tick(24_000), Order::Adjust(Adjustment::Scale { instances: 5 })));
    script.orders.push((Tick(32_000), Order::Adjust(Adjustment::Scale { instances: 2 })));
    check(&script, &["done", "done", "done", "done", "done"]);
}

/// Nobody sends requests meanwhile: those of a stopped service are refused, which would be counted as lost.
#[test]
fn a_stop_and_a_start_end_the_same_wherever_the_controller_dies() {
    let mut script = script(rolling(BatchOrder::SurgeFirst), 0, Quality::Good);
    script.requests_until = Tick(9_000);
    script.orders.push((Tick(12_000), Order::Adjust(Adjustment::Stop)));
    check(&script, &["done", "done", "done"]);
    script.orders.push((Tick(20_000), Order::Adjust(Adjustment::Start)));
    check(&script, &["done", "done", "done", "done"]);
    script.orders.push((Tick(28_000), Order::Adjust(Adjustment::Remove)));
    check(&script, &["done", "done", "done", "done", "done"]);
}

#[test]
fn a_rollback_ends_the_same_wherever_the_controller_dies() {
    let strategy = Strategy::BlueGreen { bake: Millis(1_500) };
    check(&script(strategy, 2, Quality::ChecksFail), &["done", "rolled-back"]);
}

/// The second release of a script has a release command and a hook at each point.
fn with_hooks(mut script: Script) -> Script {
    if let Some((_, Order::Deploy { shape, .. })) = script.orders.get_mut(1) {
        shape.hooks = Hooks::EveryPoint;
    }
    script
}

#[test]
fn each_hook_of_a_rollout_runs_once_wherever_the_controller_dies() {
    for strategy in [rolling(BatchOrder::SurgeFirst), Strategy::BlueGreen { bake: Millis(500) }] {
        let script = with_hooks(script(strategy, 1, Quality::Good));
        check(&script, &["done", "done"]);
        // The release command, and the four points that a rollout that succeeds comes by.
        assert_eq!(gapless_sim::run(&script, 7).one_offs, 5);
    }
}

#[test]
fn a_release_command_that_fails_turns_back_before_anything_starts_wherever_the_controller_dies() {
    let script = with_hooks(script(rolling(BatchOrder::InPlace), 0, Quality::HookFails(HookPoint::Release)));
    check(&script, &["done", "rolled-back"]);
    assert_eq!(gapless_sim::run(&script, 7).starts, 3, "no instance of the candidate was started");
}

#[test]
fn a_hook_that_fails_after_exposure_turns_back_wherever_the_controller_dies() {
    let strategy = Strategy::BlueGreen { bake: Millis(500) };
    let script = with_hooks(script(strategy, 0, Quality::HookFails(HookPoint::AfterExpose)));
    check(&script, &["done", "rolled-back"]);
}
