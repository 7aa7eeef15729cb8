//! `cargo xtask sim`: sweeps seeds through the deterministic world in crate `sim`.

use clap::Args;

use crate::workspace;

#[derive(Args)]
pub struct Options {
    /// How many seeds each scenario is run with.
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// Replay exactly this seed, as printed by a failure.
    #[arg(long)]
    seed: Option<u64>,
}

/// The seeds reach the simulation's tests by the environment, so that plain `cargo test` sweeps with the same code.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut command = workspace::cargo(&["test", "--package", "gapless-sim", "--release"]);
    command.env("GAPLESS_SIM_SEEDS", options.seeds.to_string());
    if let Some(seed) = options.seed {
        // Only the sweep knows seeds, and a replay is there to be read.
        command.args(["--test", "sweep", "no_seed_breaks_an_invariant", "--", "--nocapture"]);
        command.env("GAPLESS_SIM_SEED", seed.to_string());
    }
    workspace::run(&mut command)
}
