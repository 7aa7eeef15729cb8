//! `gapless init`: writes a commented `gapless.toml`.

use std::path::PathBuf;

use crate::{Context, Exit, Failure};

/// What `gapless init` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder of the service's code
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// The name of the service [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Replace a gapless.toml that is already there
    #[arg(long)]
    pub force: bool,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(_args: &Args, _context: &Context) -> Result<Exit, Failure> {
    Err(Failure::new("`gapless init` is not built yet"))
}
