//! `gapless plan`: the phases of a rollout before it runs.

use gapless_wire::api::{PlanAnswer, PlanRequest};

use super::candidate::{CandidateArgs, absolute};
use crate::client::{Client, block_on};
use crate::show::plan;
use crate::{Context, Exit, Failure};

/// What `gapless plan` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// What would be released.
    #[command(flatten)]
    pub candidate: CandidateArgs,
}

/// Runs the verb. The exit code tells whether something is missing on this machine that a deploy would fail for.
///
/// # Errors
/// The configuration is refused, the order would be, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let artefact = args.candidate.artefact()?;
    let project = args.candidate.project(&artefact)?;
    let label = args.candidate.label()?.to_string();
    let from = Some(absolute(artefact.path())?);
    let request = PlanRequest { label, config: project.text, config_name: project.file, from };
    let answer: PlanAnswer = block_on(async { Client::new(context).post("/v1/plan", &request).await })?;
    super::look::print(context, &answer, plan::text)?;
    Ok(if answer.problems.is_empty() { Exit::Done } else { Exit::Refused })
}
