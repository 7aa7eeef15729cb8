//! `gapless deploy`: replaces the current release of a service by a new one.

use std::path::PathBuf;

use crate::{Context, Exit, Failure};

/// What `gapless deploy` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in its gapless.toml]
    pub service: Option<String>,
    /// What people will call the release, such as 1.4.0 [default: the current date and time]
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// The artefact: a folder, or a .tar.gz, .tar.zst, .tar or .zip file
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub from: PathBuf,
    /// The service's configuration [default: gapless.toml in the artefact's folder, else in this one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Another strategy than the configuration's, with its defaults: rolling or blue-green
    #[arg(long, value_name = "KIND")]
    pub strategy: Option<String>,
    /// Do not wait for the end of the rollout
    #[arg(long)]
    pub detach: bool,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless deploy` is not built yet"))
}
