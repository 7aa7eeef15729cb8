//! `gapless judge`: compares a candidate with the current release.

use crate::{Context, Exit, Failure};

/// What `gapless judge` is given.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless judge` is not built yet"))
}
