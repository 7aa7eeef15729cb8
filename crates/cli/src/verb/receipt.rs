//! `gapless receipt`: what a rollout cost its clients, counted.

use crate::{Context, Exit, Failure};

/// What `gapless receipt` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// The number of the rollout [default: the last one that ended]
    #[arg(long, value_name = "NUMBER")]
    pub rollout: Option<u64>,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless receipt` is not built yet"))
}
