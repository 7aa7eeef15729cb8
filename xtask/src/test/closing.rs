//! What is told: a line for each suite as it ends, what failed, the table of repeated runs, and the sum.

use super::run::Outcome;
use super::suite::Suite;
use crate::bench::median::median;

/// How much of a failed suite's output is shown, in lines from its end; all of it is under `target/suites`.
const SHOWN_LINES_MAX: usize = 300;

/// One suite over its runs.
struct Row {
    name: String,
    seconds: Vec<f64>,
    failed_runs: u32,
    failures: Vec<String>,
}

/// Everything that was run so far.
pub struct Closing {
    repeat: u32,
    rows: Vec<Row>,
    passed: u64,
    failed: u64,
}

impl Closing {
    /// Nothing yet; each suite runs `repeat` times.
    pub fn new(repeat: u32) -> Self {
        Self { repeat, rows: Vec::new(), passed: 0, failed: 0 }
    }

    /// One more run of a suite. Its output is shown when something fails for the first time; later only that it failed.
    pub fn add(&mut self, suite: &Suite, round: u32, outcome: Outcome) {
        self.passed += outcome.counts.passed;
        self.failed += outcome.counts.failed;
        let failed = outcome.counts.failed > 0;
        if round == 0 {
            let name = suite.name.clone();
            self.rows.push(Row { name, seconds: Vec::new(), failed_runs: 0, failures: Vec::new() });
        }
        let Some(row) = self.rows.last_mut() else { return };
        row.seconds.push(outcome.seconds);
        if outcome.counts.passed + outcome.counts.failed > 0 {
            println!("{}", line(&row.name, round, self.repeat, &outcome));
        }
        if round == 0 {
            outcome.output.lines().filter(|line| line.contains("skipped: ")).for_each(|line| println!("    {line}"));
        }
        if !failed {
            return;
        }
        let failures = &outcome.counts.failures;
        let is_new = |name: &String| !row.failures.contains(name);
        if row.failed_runs == 0 || failures.iter().any(is_new) {
            println!("{}", tail(&outcome.output));
        }
        row.failed_runs += 1;
        let new: Vec<String> = failures.iter().filter(|name| is_new(name)).cloned().collect();
        row.failures.extend(new);
    }

    /// Shows the table and the sum; whether nothing failed. The last line is `N passed, N failed`.
    pub fn show(&mut self) -> bool {
        if self.repeat > 1 {
            self.show_table();
        }
        let failed: Vec<&Row> = self.rows.iter().filter(|row| row.failed_runs > 0).collect();
        if !failed.is_empty() {
            println!("\nfailed:");
        }
        for row in failed {
            println!("  {}", row.name);
            println!("{}", again(row));
        }
        let seconds: f64 = self.rows.iter().flat_map(|row| &row.seconds).sum();
        println!("\nall suites together: {:.0} s", seconds);
        println!("{} passed, {} failed", self.passed, self.failed);
        self.failed == 0
    }

    fn show_table(&mut self) {
        println!("\n{:<28} {:>5} {:>7} {:>9}", "suite", "runs", "failed", "median s");
        for row in &mut self.rows {
            let middle = median(&mut row.seconds).unwrap_or(0.0);
            println!("{:<28} {:>5} {:>7} {middle:>9.1}", row.name, row.seconds.len(), row.failed_runs);
        }
    }
}

/// `proxy/drain  5 passed  1.2 s`, with the round where there are several.
fn line(name: &str, round: u32, repeat: u32, outcome: &Outcome) -> String {
    let round = if repeat > 1 { format!(" {}/{repeat}", round + 1) } else { String::new() };
    let counts = &outcome.counts;
    let failed = if counts.failed > 0 { format!(", {} FAILED", counts.failed) } else { String::new() };
    let name = format!("{name}{round}");
    format!("{name:<32} {:>4} passed{failed} {:>8.1} s", counts.passed, outcome.seconds)
}

/// How to run what failed again.
fn again(row: &Row) -> String {
    if row.failures.is_empty() {
        return format!("    again: cargo xtask test --only {}", row.name);
    }
    let lines =
        row.failures.iter().map(|test| format!("    {test}\n    again: cargo xtask test --only {}:{test}", row.name));
    lines.collect::<Vec<_>>().join("\n")
}

/// The end of an output.
fn tail(output: &str) -> String {
    let lines: Vec<&str> = output.lines().collect();
    let shown = &lines[lines.len().saturating_sub(SHOWN_LINES_MAX)..];
    shown.iter().map(|line| format!("    │ {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::counts::{Counts, Held};

    fn outcome(output: &str, held: Held) -> Outcome {
        Outcome { counts: Counts::read(output, held), seconds: 1.0, output: output.to_owned() }
    }

    #[test]
    fn every_run_counts_and_a_failure_says_how_to_run_it_again() {
        let suite = Suite::named("proxy/drain");
        let mut closing = Closing::new(2);
        closing.add(&suite, 0, outcome("test a ... ok\ntest result: ok. 1 passed; 0 failed;", Held::Yes));
        closing.add(&suite, 1, outcome("test a ... FAILED\ntest result: FAILED. 0 passed; 1 failed;", Held::No));
        assert_eq!((closing.passed, closing.failed, closing.rows.len()), (1, 1, 1));
        assert_eq!(again(&closing.rows[0]), "    a\n    again: cargo xtask test --only proxy/drain:a");
        assert!(!closing.show());
    }
}
