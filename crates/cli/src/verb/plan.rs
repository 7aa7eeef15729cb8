//! `gapless plan`: the phases of a rollout before it runs.

use std::path::PathBuf;

use gapless_wire::api::{PlanAnswer, PlanRequest};

use crate::client::{Client, block_on};
use crate::follow::{print_json, print_text};
use crate::project::Project;
use crate::show::plan;
use crate::show::style::Style;
use crate::{Context, Exit, Failure};

/// What `gapless plan` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in its gapless.toml]
    pub service: Option<String>,
    /// What people would call the release
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// The artefact's folder
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub from: PathBuf,
    /// The service's configuration [default: gapless.toml in the artefact's folder, else in this one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Another strategy than the configuration's
    #[arg(long, value_name = "KIND", value_parser = ["rolling", "blue-green"])]
    pub strategy: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// The configuration is refused, the order would be, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let project = Project::load(args.config.as_deref(), &args.from, args.strategy.as_deref())?;
    project.expect_service(args.service.as_deref())?;
    let label = super::deploy::label(args.label.as_deref())?.to_string();
    let request = PlanRequest { label, config: project.text, config_name: project.file };
    let answer: PlanAnswer = block_on(async { Client::new(context).post("/v1/plan", &request).await })?;
    if context.json {
        print_json(&answer)?
    } else {
        print_text(&plan::text(&answer, Style::of_stdout()))?
    }
    Ok(Exit::Done)
}
