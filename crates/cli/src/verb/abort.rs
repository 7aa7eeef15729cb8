//! `gapless abort`: ends the running rollout and goes back.

use crate::{Context, Exit, Failure};

/// What `gapless abort` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// Do not wait for the end of the rollback
    #[arg(long)]
    pub detach: bool,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless abort` is not built yet"))
}
