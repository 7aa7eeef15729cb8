//! `gapless rollback`: goes back to an earlier release. A running rollout goes back to where it came from; otherwise a rollout to the release before begins.

use gapless_wire::api::{OrderAccepted, RollbackRequest};

use crate::client::{Client, block_on};
use crate::follow::{self, Wanted};
use crate::{Context, Exit, Failure, project};

/// What `gapless rollback` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// The label of the release to go back to [default: the one before the current]
    #[arg(long, value_name = "LABEL")]
    pub to: Option<String>,
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
    let request = RollbackRequest { to: args.to.clone(), by: project::operator(), reason: args.reason.clone() };
    block_on(async {
        let order: OrderAccepted = client.post(&format!("/v1/services/{service}/rollback"), &request).await?;
        follow::rollout(context, &client, &order, Wanted::Back, args.detach).await
    })
}
