//! `gapless deploy`: replaces the current release of a service by a new one, and waits for the end.

use gapless_wire::api::DeployRequest;

use super::candidate::{CandidateArgs, absolute};
use super::order::Order;
use crate::follow::Wanted;
use crate::{Context, Exit, Failure, project};

/// What `gapless deploy` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What is to be released.
    #[command(flatten)]
    pub candidate: CandidateArgs,
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
/// The configuration, label or artefact is refused, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let artefact = args.candidate.artefact()?;
    let project = args.candidate.project(&artefact)?;
    let path = format!("/v1/services/{}/releases", project.spec.service);
    let request = DeployRequest {
        label: args.candidate.label()?.to_string(),
        from: absolute(artefact.path())?,
        config: project.text,
        config_name: project.file,
        by: project::operator(),
        reason: args.reason.clone(),
    };
    Order { path, request: &request, wanted: Wanted::Forward, detach: args.detach }.give(context)
}
