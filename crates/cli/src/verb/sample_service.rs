//! `gapless sample-service`: a small service to try things with.

use crate::{Context, Exit, Failure};

/// What `gapless sample-service` is given.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless sample-service` is not built yet"))
}
