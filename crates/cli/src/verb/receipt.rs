//! `gapless receipt`: what a rollout cost its clients, counted.

use crate::{Context, Exit, Failure, show};

/// What `gapless receipt` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// The number of the rollout [default: the last one that ended]
    #[arg(long, value_name = "NUMBER")]
    pub rollout: Option<u64>,
}

/// Runs the verb. The exit code tells whether requests failed by Gapless.
///
/// # Errors
/// There is no such rollout, it has not ended, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let rollout = args.rollout.map_or_else(|| "last".to_owned(), |number| number.to_string());
    let path = format!("/rollouts/{rollout}/receipt");
    let receipt = super::look::at(context, args.service.as_deref(), &path, show::receipt::text)?;
    Ok(if receipt.failed_by_us > 0 { Exit::FailedByUs } else { Exit::Done })
}
