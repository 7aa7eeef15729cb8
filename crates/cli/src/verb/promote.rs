//! `gapless promote`: ends the observation that runs, as if its time had passed: an operator vouches for the candidate.

use gapless_wire::api::{OperatorRequest, OrderAccepted};

use crate::client::{Client, block_on};
use crate::follow::{self, Wanted};
use crate::{Context, Exit, Failure, project};

/// What `gapless promote` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

/// Runs the verb.
///
/// # Errors
/// There is nothing to do it to, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let service = project::service(args.service.as_deref())?;
    let client = Client::new(context);
    let request = OperatorRequest { by: project::operator(), reason: args.reason.clone() };
    block_on(async {
        let order: OrderAccepted = client.post(&format!("/v1/services/{service}/promote"), &request).await?;
        follow::rollout(context, &client, &order, Wanted::Forward, args.detach).await
    })
}
