//! `gapless keeper`: the parent of one instance; started by the controller.

use crate::{Context, Exit, Failure};

/// What `gapless keeper` is given.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless keeper` is not built yet"))
}
