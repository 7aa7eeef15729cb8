//! `gapless history`: the rollouts of a service.

use crate::{Context, Exit, Failure, show};

/// What `gapless history` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// So many rollouts at most, the newest first
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub limit: u32,
}

/// Runs the verb.
///
/// # Errors
/// There is no such service, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let path = format!("/rollouts?limit={}", args.limit);
    super::look::at(context, args.service.as_deref(), &path, show::history::text)?;
    Ok(Exit::Done)
}
