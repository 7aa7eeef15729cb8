//! `gapless help`: the configuration files, the exit codes, a verb.

use crate::{Context, Exit, Failure};

/// What `gapless help` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// config, exit-codes, or a verb
    pub topic: Option<String>,
    /// A key of a configuration file, such as health.interval
    pub key: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless help` is not built yet"))
}
