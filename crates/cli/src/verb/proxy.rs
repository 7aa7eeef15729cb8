//! `gapless proxy`: the data plane; started by the controller.

use crate::{Context, Exit, Failure};

/// What `gapless proxy` is given.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless proxy` is not built yet"))
}
