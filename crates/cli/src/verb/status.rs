//! `gapless status`: services, releases, instances and proxies.

use crate::{Context, Exit, Failure};

/// What `gapless status` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only this service
    pub service: Option<String>,
    /// Go on showing it as it changes, until the running rollout ends
    #[arg(short, long)]
    pub watch: bool,
    /// With --watch: give up after so many seconds
    #[arg(long, value_name = "SECONDS", requires = "watch")]
    pub timeout: Option<u64>,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless status` is not built yet"))
}
