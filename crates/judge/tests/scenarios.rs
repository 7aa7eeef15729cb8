//! Whole decisions: every file of `scenarios/` is a rollout with the verdicts that are right for it.
//!
//! Printed with `--nocapture`: the confusion matrix and what the bad releases cost. `scenarios/generate.py` writes the files.

mod support;

use std::collections::BTreeMap;
use std::path::PathBuf;
use support::script::{Script, read};
use support::world::{Outcome, play};

fn scenarios() -> Vec<(String, Script)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "txt"))
        .collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let script = read(&std::fs::read_to_string(&path).unwrap()).unwrap_or_else(|why| panic!("{name}: {why}"));
            (name, script)
        })
        .collect()
}

/// Plays all, on two threads.
fn outcomes(scenarios: &[(String, Script)]) -> Vec<Outcome> {
    let (left, right) = scenarios.split_at(scenarios.len() / 2);
    std::thread::scope(|scope| {
        let right = scope.spawn(|| right.iter().map(|(_, script)| play(script)).collect::<Vec<_>>());
        let mut all: Vec<Outcome> = left.iter().map(|(_, script)| play(script)).collect();
        all.extend(right.join().unwrap());
        all
    })
}

#[test]
fn every_rollout_ends_with_a_right_verdict() {
    let scenarios = scenarios();
    assert!(scenarios.len() >= 200, "{} scenarios", scenarios.len());
    let outcomes = outcomes(&scenarios);
    let mut matrix: BTreeMap<(String, &str), usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    let (mut cost, mut healthy, mut rolled_back) = (0.0, 0, 0);
    for ((name, script), outcome) in scenarios.iter().zip(&outcomes) {
        let word = outcome.verdict.word();
        *matrix.entry((script.truth.clone(), word)).or_default() += 1;
        if script.truth == "healthy" {
            healthy += 1;
            rolled_back += usize::from(outcome.verdict.rolls_back());
        }
        if script.truth == "bad" {
            cost += outcome.cost;
        }
        if !script.expect.iter().any(|expected| expected == word) {
            wrong.push(format!(
                "{name}: {word} after {} s, expected {}\n{}",
                outcome.second,
                script.expect.join(" or "),
                outcome.evidence
            ));
        }
    }
    for ((truth, verdict), count) in &matrix {
        eprintln!("{truth:8} {verdict:14} {count:4}");
    }
    eprintln!("bad answers beyond the current release's rate, before the verdict, over all bad releases: {cost:.0}");
    assert!(wrong.is_empty(), "{} of {} wrong:\n{}", wrong.len(), scenarios.len(), wrong.join("\n"));
    assert!(rolled_back * 100 <= healthy, "{rolled_back} of {healthy} healthy releases rolled back");
}

#[test]
fn a_scenario_that_is_not_understood_says_which_line() {
    assert_eq!(read("seed 1\ntrafic 3\nexpect pass").unwrap_err(), "not understood: trafic 3");
}
