//! Seeds, swept: random orders, random faults, every invariant after every event.
//!
//! `GAPLESS_SIM_SEEDS` says how many seeds, `GAPLESS_SIM_SEED` plays one of them with its timeline.

use gapless_sim::{Knobs, Script, random_script, run, run_seed, sweep};

/// How many seeds plain `cargo test` plays: what fits into a few seconds of a debug build.
const SEEDS: u64 = 150;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is a number, not {text:?}")))
}

#[test]
fn no_seed_breaks_an_invariant() {
    if let Some(seed) = number("GAPLESS_SIM_SEED") {
        let script = random_script(seed);
        let script = Script { knobs: Knobs { keep_timeline: true, ..Knobs::default() }, ..script };
        println!("{script:#?}");
        let outcome = run(&script, seed);
        outcome.timeline.iter().for_each(|line| println!("{line}"));
        println!("{:#?}", gapless_sim::Outcome { timeline: Vec::new(), ..outcome.clone() });
        assert!(outcome.violations.is_empty(), "seed {seed}: {:#?}", outcome.violations);
        return;
    }
    match sweep(0..number("GAPLESS_SIM_SEEDS").unwrap_or(SEEDS)) {
        Ok(requests) => assert!(requests > 10_000, "only {requests} requests were sent: the sweep tests nothing"),
        Err(failed) => panic!("{failed}"),
    }
}

#[test]
fn a_seed_replays_exactly() {
    for seed in [3, 14, 15] {
        assert_eq!(run_seed(seed), run_seed(seed));
    }
}
