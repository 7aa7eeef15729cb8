//! `gapless plan`: the phases of a rollout before it runs.

use std::path::PathBuf;

use crate::{Context, Exit, Failure};

/// What `gapless plan` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The artefact's folder
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub from: PathBuf,
    /// The service's configuration [default: gapless.toml in the artefact's folder, else in this one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Another strategy than the configuration's, with its defaults: rolling or blue-green
    #[arg(long, value_name = "KIND")]
    pub strategy: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless plan` is not built yet"))
}
