//! `gapless explain`: what a service waits for, since when, and what happens next.

use gapless_wire::api::ServiceStatus;

use crate::client::{Client, block_on};
use crate::follow::{print_json, print_text};
use crate::show::style::Style;
use crate::{Context, Exit, Failure, project, show};

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
    let service = project::service(args.service.as_deref())?;
    let path = format!("/v1/services/{service}");
    let answer: ServiceStatus = block_on(async { Client::new(context).get(&path).await })?;
    if context.json {
        print_json(&answer)?
    } else {
        print_text(&show::explain::text(&answer, Style::of_stdout()))?
    }
    Ok(Exit::Done)
}
