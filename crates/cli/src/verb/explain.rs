//! `gapless explain`: what a service waits for, since when, and what happens next.

use crate::{Context, Exit, Failure};

/// What `gapless explain` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless explain` is not built yet"))
}
