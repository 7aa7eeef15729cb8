//! `gapless rollback`: goes back to an earlier release.

use crate::{Context, Exit, Failure};

/// What `gapless rollback` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// The label of the release to go back to [default: the one before the current]
    #[arg(long, value_name = "LABEL")]
    pub to: Option<String>,
    /// Do not wait for the end of the rollback
    #[arg(long)]
    pub detach: bool,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless rollback` is not built yet"))
}
