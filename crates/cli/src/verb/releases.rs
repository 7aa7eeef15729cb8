//! `gapless releases`: the releases of a service.

use crate::{Context, Exit, Failure, show};

/// What `gapless releases` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// There is no such service, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    super::look::at(context, args.service.as_deref(), "/releases", show::releases::text)?;
    Ok(Exit::Done)
}
