//! `gapless rollback`: goes back to an earlier release. A running rollout goes back to where it came from; otherwise a rollout to the release before begins.

use gapless_wire::api::RollbackRequest;

use super::order::OrderArgs;
use crate::follow::Wanted;
use crate::{Context, Exit, Failure, project};

/// What `gapless rollback` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What every order is given.
    #[command(flatten)]
    pub order: OrderArgs,
    /// The label of the release to go back to [default: the one before the current]
    #[arg(long, value_name = "LABEL")]
    pub to: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// There is nothing to do it to, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let request = RollbackRequest { to: args.to.clone(), by: project::operator(), reason: args.order.reason.clone() };
    args.order.order("rollback", &request, Wanted::Back)?.give(context)
}
