//! `gapless completions`: completions for a shell.

use crate::{Context, Exit, Failure};

/// What `gapless completions` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless completions` is not built yet"))
}
