//! `gapless receipt`: what a rollout cost its clients, counted.

use gapless_wire::api::Receipt;

use crate::client::{Client, block_on};
use crate::follow::{print_json, print_text};
use crate::show::style::Style;
use crate::{Context, Exit, Failure, project, show};

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
    let service = project::service(args.service.as_deref())?;
    let rollout = args.rollout.map_or_else(|| "last".to_owned(), |number| number.to_string());
    let path = format!("/v1/services/{service}/rollouts/{rollout}/receipt");
    let answer: Receipt = block_on(async { Client::new(context).get(&path).await })?;
    if context.json {
        print_json(&answer)?
    } else {
        print_text(&show::receipt::text(&answer, Style::of_stdout()))?
    }
    Ok(if answer.failed_by_us > 0 { Exit::FailedByUs } else { Exit::Done })
}
