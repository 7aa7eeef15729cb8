//! `gapless explain`: what a service waits for, since when, and what happens next.

use crate::{Context, Exit, Failure, show};

/// What `gapless explain` is given.
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
    super::look::at(context, args.service.as_deref(), "", show::explain::text)?;
    Ok(Exit::Done)
}
