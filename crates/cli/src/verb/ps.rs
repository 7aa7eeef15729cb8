//! `gapless ps`: the instances of all services, one line each.

use gapless_wire::api::Status;

use crate::client::{Client, block_on};
use crate::{Context, Exit, Failure, hint, project, show};

/// What `gapless ps` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only this service
    pub service: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// There is no such service, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let name = args.service.as_deref().map(|named| project::service(Some(named))).transpose()?;
    let mut status: Status = block_on(async { Client::new(context).get("/v1/status").await })?;
    if let Some(name) = name {
        status.services.retain(|service| service.service == name.as_str());
        if status.services.is_empty() {
            return Err(Failure::new(format!("there is no service `{name}`")).hint(hint::NAME_SERVICE));
        }
    }
    if context.json {
        let mut instances = status.services.iter().flat_map(show::ps::rows);
        instances.try_for_each(|row| crate::follow::print_json(&row))?;
    } else {
        crate::follow::print_text(&show::ps::text(&status, show::style::Style::of_stdout()))?;
    }
    Ok(Exit::Done)
}
