//! `gapless up`: starts the controller and the proxy on this machine.

use std::path::PathBuf;

use crate::{Context, Exit, Failure};

/// What `gapless up` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The machine's configuration [default: gapless-server.toml in the state folder, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless up` is not built yet"))
}
