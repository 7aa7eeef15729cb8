//! Sweeps over seeds.

use std::fmt;

use crate::outcome::Outcome;
use crate::random::random_script;
use crate::world::run;

/// A seed that broke an invariant.
#[derive(Debug)]
pub struct SweepFailed {
    /// The seed: `cargo xtask sim --seed N` plays it again.
    pub seed: u64,
    /// What came of it, with its timeline.
    pub outcome: Box<Outcome>,
}

impl fmt::Display for SweepFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} breaks an invariant; play it again with `cargo xtask sim --seed {}`",
            self.seed, self.seed
        )?;
        self.outcome.timeline.iter().try_for_each(|line| writeln!(f, "  {line}"))?;
        self.outcome.violations.iter().try_for_each(|violation| writeln!(f, "{violation}"))
    }
}

/// Plays the script of one seed.
#[must_use]
pub fn run_seed(seed: u64) -> Outcome {
    run(&random_script(seed), seed)
}

/// Plays all seeds of a range until one breaks an invariant.
///
/// # Errors
/// [`SweepFailed`] with the first such seed, played again with its timeline.
pub fn sweep(seeds: std::ops::Range<u64>) -> Result<u64, Box<SweepFailed>> {
    let mut requests = 0;
    for seed in seeds {
        let outcome = run_seed(seed);
        requests += outcome.requests;
        if !outcome.violations.is_empty() {
            let mut script = random_script(seed);
            script.knobs.keep_timeline = true;
            return Err(Box::new(SweepFailed { seed, outcome: Box::new(run(&script, seed)) }));
        }
    }
    Ok(requests)
}
