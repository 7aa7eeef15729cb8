//! `gapless history`: the rollouts of a service.

use gapless_wire::api::History;

use crate::client::{Client, block_on};
use crate::follow::{print_json, print_text};
use crate::show::style::Style;
use crate::{Context, Exit, Failure, project, show};

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
    let service = project::service(args.service.as_deref())?;
    let limit = args.limit;
    let path = format!("/v1/services/{service}/rollouts?limit={limit}");
    let answer: History = block_on(async { Client::new(context).get(&path).await })?;
    if context.json {
        print_json(&answer)?
    } else {
        print_text(&show::history::text(&answer, Style::of_stdout()))?
    }
    Ok(Exit::Done)
}
