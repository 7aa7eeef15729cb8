//! `gapless logs`: what the instances of a service write.

use crate::{Context, Exit, Failure};

/// What `gapless logs` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// Go on with what is written from now on
    #[arg(short, long)]
    pub follow: bool,
    /// Only the instances of this release (its label)
    #[arg(long, value_name = "LABEL")]
    pub release: Option<String>,
    /// So many lines of the past per instance
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(0..=100_000))]
    pub tail: u32,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless logs` is not built yet"))
}
