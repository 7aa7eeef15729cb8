//! Every strategy, bent at every place in turn: each effect fails, each is performed twice, each piece of news comes late.

use gapless_model::{Amount, Millis, Order as BatchOrder, SecondOrder, Strategy, Tick};
use gapless_sim::{Hooks, Knobs, Order, Outcome, Quality, ReleaseShape, Script, TwistEffect, run};

const SEED: u64 = 11;

fn strategies() -> [(&'static str, Strategy); 3] {
    let rolling = |order| Strategy::Rolling { batch: Amount::Count(1), order, observe: Millis(300), bake: Millis(400) };
    [
        ("rolling", rolling(BatchOrder::SurgeFirst)),
        ("rolling in place", rolling(BatchOrder::InPlace)),
        ("blue-green", Strategy::BlueGreen { bake: Millis(700) }),
    ]
}

fn script(strategy: &Strategy, knobs: Knobs) -> Script {
    let shape = ReleaseShape {
        instances: 2,
        floor: Amount::Count(1),
        strategy: strategy.clone(),
        checks: 1,
        hooks: Hooks::EveryPoint,
        second_order: SecondOrder::Queue,
        drain_timeout: Millis::from_secs(5),
    };
    let deploy = |release| Order::Deploy { release, shape: shape.clone(), quality: Quality::Good };
    Script {
        proxies: 2,
        tunnels_one_in: 0,
        request_every: 30,
        requests_until: Tick(12_000),
        // A third order behind the second: what comes late from one rollout reaches the next.
        orders: vec![(Tick(0), deploy(1)), (Tick(2_000), deploy(2)), (Tick(5_000), deploy(3))],
        faults: Vec::new(),
        knobs,
    }
}

/// Plays the strategy with one knob turned at each of `count` places; gives what was broken.
fn at_every_place(
    count: impl Fn(&Outcome) -> u64,
    knobs: impl Fn(u64) -> Knobs,
    fine: impl Fn(&Outcome, &Outcome) -> bool,
) {
    for (name, strategy) in strategies() {
        let calm = run(&script(&strategy, Knobs::default()), SEED);
        assert_eq!(calm.violations, [], "{name} without a bend");
        let places = count(&calm);
        assert!(places > 20, "{name} has only {places} places");
        for place in 1..=places {
            let outcome = run(&script(&strategy, knobs(place)), SEED);
            assert!(
                outcome.violations.is_empty() && outcome.lost == 0 && fine(&calm, &outcome),
                "{name}, bent at {place} of {places}: {:#?}\n{:?}\ninstead of\n{:?}",
                outcome.violations,
                outcome.rollouts,
                calm.rollouts
            );
        }
    }
}

#[test]
fn an_effect_performed_twice_is_as_good_as_once() {
    at_every_place(
        |calm| calm.effects,
        |place| Knobs { effect: Some((place, TwistEffect::Twice)), ..Knobs::default() },
        |calm, outcome| calm.rollouts == outcome.rollouts && calm.starts == outcome.starts,
    );
}

#[test]
fn an_effect_that_fails_loses_nothing_and_the_rollout_ends() {
    at_every_place(
        |calm| calm.effects,
        |place| Knobs { effect: Some((place, TwistEffect::Fails)), ..Knobs::default() },
        |_, outcome| !outcome.rollouts.is_empty(),
    );
}

#[test]
fn news_that_come_late_lose_nothing_and_the_rollout_ends() {
    at_every_place(
        |calm| calm.news,
        |place| Knobs { late: Some((place, 4_000)), ..Knobs::default() },
        |_, outcome| !outcome.rollouts.is_empty(),
    );
}
