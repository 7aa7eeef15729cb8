//! The engine against enumeration, closed forms and SciPy's values.

use gapless_judge::dispersion::Dispersion;
use gapless_judge::engine::{
    Engine, EngineSettings, Exposure, GRID_LEN, Table, Taken, beta_mixture_log_evidence, log_likelihood_at, log_psi,
};
use gapless_judge::special::{kl_bernoulli, ln_beta, ln_choose, ln_gamma};
use proptest::prelude::*;
use serde_json::Value;

fn reference() -> Value {
    serde_json::from_str(include_str!("fixtures/reference.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
}

fn close(ours: f64, theirs: f64, relative: f64, what: &str) {
    assert!((ours - theirs).abs() <= relative * theirs.abs().max(1.0), "{what}: {ours} instead of {theirs}");
}

fn table_of(cells: &[f64]) -> Table {
    Table::new((cells[0] as u64, cells[1] as u64), (cells[2] as u64, cells[3] as u64))
}

#[test]
fn special_functions_agree_with_scipy() {
    let reference = reference();
    for row in reference["ln_gamma"].as_array().unwrap() {
        let row = numbers(row);
        close(ln_gamma(row[0]), row[1], 1e-13, "ln_gamma");
    }
    for row in reference["ln_beta"].as_array().unwrap() {
        let row = numbers(row);
        close(ln_beta(row[0], row[1]), row[2], 1e-11, "ln_beta");
    }
    for row in reference["kl"].as_array().unwrap() {
        let row = numbers(row);
        close(kl_bernoulli(row[0], row[1]), row[2], 1e-13, "kl");
    }
}

#[test]
fn the_likelihood_agrees_with_scipy_in_every_way_it_is_computed() {
    for row in reference()["likelihood"].as_array().unwrap() {
        let table = table_of(&numbers(&row["table"]));
        for value in row["values"].as_array().unwrap() {
            let value = numbers(value);
            let ours = log_likelihood_at(&table, Exposure::Trials, value[0])
                - log_likelihood_at(&table, Exposure::Trials, 1.25);
            // Laplace's method is an approximation: within 2e-5 of a nat, and as much of far values as double precision leaves.
            let what = format!("{table:?} at {}", value[0]);
            assert!((ours - value[1]).abs() <= 2e-5 + 1e-8 * value[1].abs(), "{what}: {ours} instead of {}", value[1]);
            if table.events() <= 96 {
                close(ours, value[1], 1e-9, &format!("{table:?} at {}", value[0]));
            }
        }
    }
}

#[test]
fn rare_events_of_many_trials_are_summed_exactly_too() {
    for row in reference()["rare"].as_array().unwrap() {
        let (table, psi) = (table_of(&numbers(&row["table"])), row["psi"].as_f64().unwrap());
        let at = |psi: f64| log_likelihood_at(&table, Exposure::Trials, psi);
        let (ours, exact) = (at(psi) - at(1.25), row["exact"].as_f64().unwrap());
        assert!((ours - exact).abs() <= 2e-5 + 1e-8 * exact.abs(), "{table:?} at {psi}: {ours} instead of {exact}");
        let along_a_measure = |psi: f64| log_likelihood_at(&table, Exposure::Time, psi);
        let rare = row["rare"].as_f64().unwrap();
        close(along_a_measure(psi) - along_a_measure(1.25), rare, 1e-9, "the form for events along a measure");
    }
}

#[test]
fn many_trials_with_rare_events_expect_at_most_one_on_both_sides() {
    let mut would_break = 0;
    for row in reference()["rare_expectations"].as_array().unwrap() {
        let row = numbers(row);
        let (n_c, n_b, m, null, psi) = (row[0] as u64, row[1] as u64, row[2] as u64, row[3], row[4]);
        let expected = expectation(n_c, n_b, m, psi, null, null);
        assert!(expected <= 1.0 + 2e-5, "{n_c} {n_b} {m} at {psi} against {null}: {expected}");
        would_break += usize::from(row[5] > 1e-3);
    }
    assert!(would_break > 5, "the form for events along a measure does break it: {would_break}");
}

#[test]
fn events_along_a_measure_are_binomial_as_scipy_knows_it_and_expect_at_most_one_on_both_sides() {
    for row in reference()["measure"].as_array().unwrap() {
        let (exposures, events) = (numbers(&row["exposures"]), row["events"].as_u64().unwrap());
        let (null, psi) = (row["null"].as_f64().unwrap(), row["psi"].as_f64().unwrap());
        let (theirs, law) = (numbers(&row["log_ratios"]), numbers(&row["law"]));
        let gain = |x: u64| {
            let table = Table::new((exposures[0] as u64, x), (exposures[1] as u64, events - x));
            let at = |psi: f64| log_likelihood_at(&table, Exposure::Time, psi);
            at(psi) - at(null)
        };
        for (x, theirs) in theirs.iter().enumerate() {
            close(gain(x as u64), *theirs, 1e-9, &format!("{x} of {events} at {psi} against {null}"));
        }
        let expected: f64 = law.iter().enumerate().map(|(x, p)| p * gain(x as u64).exp()).sum();
        assert!((expected - 1.0).abs() < 1e-9, "{events} at {psi} against {null}: {expected}");
    }
}

#[test]
fn the_law_is_fishers_as_scipy_knows_it() {
    for row in reference()["law"].as_array().unwrap() {
        let cells = numbers(&row["table"]);
        let (n_c, n_b, m) = (cells[0] as u64, cells[1] as u64, cells[2] as u64);
        let psi = row["psi"].as_f64().unwrap();
        for (x, theirs) in numbers(&row["pmf"]).into_iter().enumerate() {
            let table = Table::new((n_c, x as u64), (n_b, m - x as u64));
            // pmf = weight(x) ψ^x / Z(ψ); the likelihood leaves out the weight and a constant, found at ψ = 1.
            let weight = ln_choose(n_c as f64, x as f64) + ln_choose(n_b as f64, (m - x as u64) as f64);
            let at_one = weight - ln_choose((n_c + n_b) as f64, m as f64);
            let ours = at_one + log_likelihood_at(&table, Exposure::Trials, psi)
                - log_likelihood_at(&table, Exposure::Trials, 1.0);
            close(ours.exp(), theirs, 1e-9, "pmf");
        }
    }
}

/// E of what a block of two windows multiplies the evidence by, bounded, at the worst truth of the null, over all outcomes.
fn bounded_expectation(windows: [(u64, u64, u64); 2], settings: &EngineSettings, truth: f64, pass: bool) -> f64 {
    let outcomes = |(n_c, n_b, m): (u64, u64, u64)| -> Vec<(Table, f64)> {
        let range = m.saturating_sub(n_b)..=m.min(n_c);
        let weight = |x: u64| {
            (ln_choose(n_c as f64, x as f64) + ln_choose(n_b as f64, (m - x) as f64) + x as f64 * truth.ln()).exp()
        };
        let whole: f64 = range.clone().map(weight).sum();
        range.map(|x| (Table::new((n_c, x), (n_b, m - x)), weight(x) / whole)).collect()
    };
    let mut expected = 0.0;
    for (first, p) in outcomes(windows[0]) {
        for (second, q) in outcomes(windows[1]) {
            let engine = run(&[first, second], settings.clone());
            let log = if pass { engine.pass_log_evidence() } else { engine.fail_log_evidence() };
            expected += p * q * log.exp();
        }
    }
    expected
}

#[test]
fn a_bounded_block_expects_at_most_one() {
    let settings = EngineSettings::default();
    for windows in
        [[(10, 90, 3), (12, 88, 5)], [(50, 50, 6), (40, 60, 9)], [(1, 99, 8), (2, 98, 1)], [(30, 5, 4), (9, 90, 0)]]
    {
        for truth in [0.5, 1.0, 1.25] {
            let expected = bounded_expectation(windows, &settings, truth, false);
            assert!(expected <= 1.0 + 1e-9, "fail {windows:?} {truth}: {expected}");
        }
        for truth in [2.0, 4.0] {
            let expected = bounded_expectation(windows, &settings, truth, true);
            assert!(expected <= 1.0 + 1e-9, "pass {windows:?} {truth}: {expected}");
        }
        assert!(bounded_expectation(windows, &settings, 6.0, false) > 1.0, "a worse truth is found, so this can fail");
    }
}

#[test]
fn no_ten_seconds_prove_anything_alone() {
    // An outage that begins three seconds earlier at the candidate: uncapped it would be beyond any doubt.
    let mut outage: Vec<Table> = (0..3).map(|_| Table::new((100, 100), (900, 0))).collect();
    let engine = run(&outage, EngineSettings::default());
    assert!(engine.fail_log_evidence() <= 2.2, "{}", engine.fail_log_evidence());
    outage.extend((0..30).map(|_| Table::new((100, 100), (900, 900))));
    outage.extend((0..300).map(|_| Table::new((100, 1), (900, 9))));
    assert!(run(&outage, EngineSettings::default()).fail_log_evidence() < 2.0);
    // The same for bursts on one side, three of them with quiet between.
    let mut engine = Engine::new(EngineSettings::default());
    for burst in 0..3_u64 {
        engine.handle_stratum(burst * 600_000, 0, &Table::new((100, 60), (900, 0)));
    }
    let one_by_one = engine.fail_log_evidence();
    assert!(one_by_one < 3.0 * 2.2 && one_by_one > 3.0, "{one_by_one}");
}

#[test]
fn strata_cancel_a_mix_that_differs() {
    // One route fails in 20 %, one never; the candidate's clients use the first one more. As bad within each route.
    let seconds: Vec<[Table; 2]> = (0..600)
        .map(|second| [Table::new((40, 8), (100, 20)), Table::new((10, u64::from(second % 100 == 0)), (400, 4))])
        .collect();
    let (mut stratified, mut mixed) = (Engine::new(EngineSettings::default()), Engine::new(EngineSettings::default()));
    for (second, routes) in seconds.iter().enumerate() {
        let mut all = routes[0];
        all.add(&routes[1]);
        mixed.handle_window(&all);
        for (route, table) in routes.iter().enumerate() {
            stratified.handle_stratum(second as u64 * 1_000, route as u16, table);
        }
    }
    assert!(stratified.fail_log_evidence() < 0.0 && mixed.fail_log_evidence() > 10.0);
}

#[test]
fn alpha_is_for_all_phases_together_and_a_later_phase_is_found_by_itself() {
    let settings = EngineSettings { phases: 4, ..EngineSettings::default() };
    let mut engine = Engine::new(settings);
    for _ in 0..3_000 {
        engine.handle_window(&Table::new((10, 1), (90, 9)));
    }
    let whole = engine.fail_log_evidence();
    engine.begin_phase();
    assert!((engine.fail_log_evidence() - 0.1_f64.ln()).abs() < 0.01, "{whole} and what the phase may spend");
    for _ in 0..300 {
        engine.handle_window(&Table::new((50, 20), (50, 5)));
    }
    assert!(engine.fail_log_evidence() > 133_f64.ln(), "{}", engine.fail_log_evidence());
}

#[test]
fn an_interval_never_holds_what_is_called_disproven() {
    for (bad, base) in [(2, 9), (3, 9), (5, 9), (20, 9)] {
        let mut engine = Engine::new(EngineSettings::default());
        for _ in 0..2_000 {
            engine.handle_window(&Table::new((100, bad), (900, base)));
            let interval = engine.interval(0.01);
            if engine.fail_log_evidence() >= 134_f64.ln() {
                assert!(interval.lower >= 1.25, "{interval:?}");
            }
            assert!(
                interval.lower <= interval.estimate && interval.upper.is_none_or(|upper| upper >= interval.estimate)
            );
        }
    }
}

/// E[exp ℓ(ψ; null)] with x_C drawn by Fisher's law at `truth`, over all x_C of the margins.
fn expectation(n_c: u64, n_b: u64, m: u64, psi: f64, null: f64, truth: f64) -> f64 {
    let range = m.saturating_sub(n_b)..=m.min(n_c);
    let weight =
        |x: u64| ln_choose(n_c as f64, x as f64) + ln_choose(n_b as f64, (m - x) as f64) + x as f64 * truth.ln();
    let highest = range.clone().map(weight).fold(f64::NEG_INFINITY, f64::max);
    let total: f64 = range.clone().map(|x| (weight(x) - highest).exp()).sum();
    range
        .map(|x| {
            let table = Table::new((n_c, x), (n_b, m - x));
            let gain =
                log_likelihood_at(&table, Exposure::Trials, psi) - log_likelihood_at(&table, Exposure::Trials, null);
            (weight(x) - highest + gain).exp() / total
        })
        .sum()
}

#[test]
fn expectation_under_the_null_is_at_most_one() {
    for (n_c, n_b) in [(1, 1), (1, 50), (10, 90), (50, 50), (90, 10), (300, 2_700), (2_000, 3_000)] {
        for m in [1, 2, 7, 40, 150, 1_000, 2_900] {
            if m > n_c + n_b {
                continue;
            }
            for truth in [0.3, 1.0, 1.25] {
                for psi in [1.375, 2.0, 10.0, 125.0] {
                    let expected = expectation(n_c, n_b, m, psi, 1.25, truth);
                    assert!(expected <= 1.0 + 2e-5, "fail: {n_c} {n_b} {m} {truth} {psi}: {expected}");
                }
            }
            for truth in [2.0, 5.0] {
                for psi in [0.2, 1.0, 1.8] {
                    let expected = expectation(n_c, n_b, m, psi, 2.0, truth);
                    assert!(expected <= 1.0 + 2e-5, "pass: {n_c} {n_b} {m} {truth} {psi}: {expected}");
                }
            }
        }
    }
}

#[test]
fn small_windows_are_joined_until_they_say_something() {
    let mut engine = Engine::new(EngineSettings::default());
    for second in 1..10 {
        assert_eq!(engine.handle_window(&Table::new((1, 1), (0, 0))), Taken::OneArmOnly, "second {second}");
    }
    assert_eq!(engine.handle_window(&Table::new((0, 0), (1, 0))), Taken::Counted, "ten exposures");
    assert_eq!(engine.totals(), &Table::new((9, 9), (1, 0)));
    for second in 1..10 {
        assert_eq!(engine.handle_window(&Table::new((0, 0), (0, 0))), Taken::OneArmOnly, "second {second}");
    }
    assert_eq!(engine.handle_window(&Table::new((1, 1), (1, 0))), Taken::Counted, "ten windows");
    assert_eq!(engine.handle_window(&Table::new((1, 1), (1, 0))), Taken::Joined);
    assert_eq!(engine.handle_window(&Table::new((10, 1), (1, 0))), Taken::Counted, "joined with the one before");
    assert_eq!(engine.totals(), &Table::new((21, 12), (4, 0)));
    // Of two requests a second the pairs say half of what the tables of two pairs say.
    let evidence = |joined: u64| {
        let mut engine = Engine::new(EngineSettings::default());
        for window in 0..40 / joined {
            engine.handle_stratum(
                window * joined * 1_000,
                0,
                &Table::new((5 * joined, 2 * joined), (5 * joined, joined)),
            );
        }
        engine.fail_log_evidence()
    };
    assert!(evidence(2) > evidence(1), "{} {}", evidence(2), evidence(1));
}

#[test]
fn a_wrong_null_breaks_the_expectation_so_the_test_above_can_fail() {
    assert!(expectation(10, 90, 7, 10.0, 1.25, 2.0) > 1.1);
}

#[test]
fn the_beta_mixture_has_its_closed_form() {
    for row in reference()["beta_mixture"].as_array().unwrap() {
        let row = numbers(row);
        let ours = beta_mixture_log_evidence(row[0], row[1], row[2] as u64, row[3] as u64, row[4]);
        close(ours, row[5], 1e-9, "beta mixture");
    }
    // The engine with a Beta(a, b) prior on p = ψw/(1+ψw) in place of its grid: the integral over the likelihood ratio.
    let (a, b, ratio, table) = (2.0, 5.0, 0.25, Table::new((25, 9), (100, 11)));
    let steps = 20_000;
    let integral: f64 = (0..steps)
        .map(|step| {
            let p = (f64::from(step) + 0.5) / f64::from(steps);
            let psi = p / (1.0 - p) / ratio;
            let gain = log_likelihood_at(&table, Exposure::Time, psi) - log_likelihood_at(&table, Exposure::Time, 1.0);
            (gain + (a - 1.0) * p.ln() + (b - 1.0) * (1.0 - p).ln() - ln_beta(a, b)).exp() / f64::from(steps)
        })
        .sum();
    close(integral.ln(), beta_mixture_log_evidence(a, b, 9, 20, ratio), 1e-6, "integral");
}

fn run(tables: &[Table], settings: EngineSettings) -> Engine {
    let mut engine = Engine::new(settings);
    tables.iter().for_each(|table| {
        engine.handle_window(table);
    });
    engine
}

#[test]
fn a_shared_outage_cancels_and_a_bad_candidate_does_not() {
    let outage: Vec<Table> = (0..60).map(|_| Table::new((100, 30), (900, 270))).collect();
    assert!(run(&outage, EngineSettings::default()).fail_log_evidence() < -5.0);
    let bad: Vec<Table> = (0..60).map(|_| Table::new((100, 5), (900, 9))).collect();
    let engine = run(&bad, EngineSettings::default());
    // Six blocks of ten seconds, each bounded.
    assert!(engine.fail_log_evidence() > 8.0);
    let bad: Vec<Table> = (0..600).map(|_| Table::new((100, 5), (900, 9))).collect();
    let engine = run(&bad, EngineSettings::default());
    assert!(engine.fail_log_evidence() > 90.0);
    let interval = engine.interval(0.01);
    assert!(interval.lower > 3.0 && interval.upper.unwrap() < 9.0, "{interval:?}");
    assert!((interval.estimate - 5.2).abs() < 0.2, "{interval:?}");
}

#[test]
fn healthy_traffic_proves_a_pass_and_its_interval_holds_one() {
    let tables: Vec<Table> = (0..300).map(|_| Table::new((100, 2), (900, 18))).collect();
    let engine = run(&tables, EngineSettings::default());
    assert!(engine.pass_log_evidence() > 20f64.ln());
    let interval = engine.interval(0.01);
    assert!(interval.lower > 0.6 && interval.lower < 1.0 && interval.upper.unwrap() < 1.5, "{interval:?}");
}

#[test]
fn counts_from_nothing_to_a_billion_stay_sound() {
    for scale in [1_u64, 1_000, 1_000_000, 1_000_000_000] {
        let healthy: Vec<Table> =
            (0..1_000).map(|_| Table::new((scale, scale / 10), (9 * scale, 9 * (scale / 10)))).collect();
        let engine = run(&healthy, EngineSettings::default());
        assert!(engine.fail_log_evidence() <= 1e-9, "{scale}: {}", engine.fail_log_evidence());
        assert!(engine.interval(0.01).lower <= 1.01, "{scale}");
    }
    let rare = run(&[Table::new((1_000_000_000, 3), (1_000_000_000, 3))], EngineSettings::default());
    assert!(rare.fail_log_evidence().abs() < 2.0);
}

#[test]
fn impossible_and_one_sided_windows_change_no_evidence() {
    let mut engine = Engine::new(EngineSettings::default());
    let before = engine.fail_log_evidence();
    assert_eq!(engine.handle_window(&Table::new((10, 11), (90, 0))), Taken::Impossible);
    assert_eq!(engine.handle_window(&Table::new((u64::MAX, 1), (90, 0))), Taken::Impossible);
    assert_eq!(engine.handle_window(&Table::new((0, 0), (900, 5))), Taken::OneArmOnly);
    assert_eq!(engine.handle_window(&Table::new((1_000, 1_000), (0, 0))), Taken::OneArmOnly);
    assert_eq!(engine.fail_log_evidence(), before);
    assert_eq!(engine.refused(), 2);
}

#[test]
fn a_candidate_with_a_request_now_and_then_is_compared_all_the_same() {
    let mut engine = Engine::new(EngineSettings::default());
    for second in 0..6_000_u64 {
        let candidate = if second % 20 == 0 { (1, u64::from(second % 40 == 0)) } else { (0, 0) };
        engine.handle_window(&Table::new(candidate, (3, u64::from(second % 30 == 0))));
    }
    assert_eq!(engine.windows(), 300);
    assert!(engine.fail_log_evidence() > 20.0, "{}", engine.fail_log_evidence());
}

#[test]
fn a_far_alternative_is_divided_by_more_where_events_come_in_clusters() {
    assert_eq!(Dispersion::none().for_steps(GRID_LEN), 1.0);
    let clustered = Dispersion::new(9.0);
    assert!(clustered.for_steps(0) == 9.0 && clustered.for_steps(12) > 12.0 && clustered.for_steps(23) > 20.0);
}

proptest! {
    #[test]
    fn more_candidate_events_never_lower_the_evidence(n_c in 1_u64..500, n_b in 1_u64..500, m in 1_u64..400, x in 0_u64..400) {
        let (lowest, highest) = (m.saturating_sub(n_b), m.min(n_c));
        prop_assume!(m <= n_c + n_b && x >= lowest && x < highest);
        let evidence = |x: u64| run(&[Table::new((n_c, x), (n_b, m - x))], EngineSettings::default()).fail_log_evidence();
        prop_assert!(evidence(x + 1) >= evidence(x) - 1e-9);
    }

    #[test]
    fn the_estimate_is_within_its_interval(n in 1_u64..400, x_c in 0_u64..60, x_b in 0_u64..60) {
        prop_assume!(x_c <= n && x_b <= n);
        let engine = run(&[Table::new((n, x_c), (n, x_b))], EngineSettings::default());
        let interval = engine.interval(0.01);
        prop_assert!(interval.lower <= interval.estimate + 1e-9);
        prop_assert!(interval.upper.is_none_or(|upper| upper >= interval.estimate - 1e-9));
        prop_assert!(interval.estimate >= log_psi(0).exp() - 1e-9);
    }

    #[test]
    fn any_counts_give_finite_evidence(n_c in any::<u64>(), n_b in any::<u64>(), x_c in any::<u64>(), x_b in any::<u64>(), time in any::<bool>()) {
        let exposure = if time { Exposure::Time } else { Exposure::Trials };
        let engine = run(&[Table::new((n_c, x_c), (n_b, x_b))], EngineSettings { exposure, ..EngineSettings::default() });
        prop_assert!(engine.fail_log_evidence().is_finite() && engine.pass_log_evidence().is_finite());
    }

    #[test]
    fn possible_counts_of_any_size_give_finite_evidence(n_c in 1_u64..1_000_000_000_000, n_b in 1_u64..1_000_000_000_000, share_c in 0.0_f64..=1.0, share_b in 0.0_f64..=1.0, shrink in 0_u32..40) {
        let (n_c, n_b) = ((n_c >> shrink).max(1), (n_b >> (shrink / 2)).max(1));
        let of = |n: u64, share: f64| ((n as f64 * share) as u64).min(n);
        let table = Table::new((n_c, of(n_c, share_c)), (n_b, of(n_b, share_b)));
        let engine = run(&[table], EngineSettings::default());
        prop_assert!(engine.fail_log_evidence().is_finite() && engine.pass_log_evidence().is_finite(), "{:?}", table);
    }
}
