//! `gapless deploy`: replaces the current release of a service by a new one, and waits for the end.

use std::path::{Path, PathBuf};

use gapless_model::ReleaseLabel;
use gapless_wire::api::{DeployRequest, OrderAccepted};

use crate::client::{Client, block_on};
use crate::follow::{self, Wanted};
use crate::project::{self, Project};
use crate::{Context, Exit, Failure, hint};

/// What `gapless deploy` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The service [default: the one in its gapless.toml]
    pub service: Option<String>,
    /// What people will call the release, such as 1.4.0 [default: the current date and time]
    #[arg(long, value_name = "LABEL")]
    pub label: Option<String>,
    /// The artefact: a folder, or a .tar.gz, .tar.zst, .tar or .zip file
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub from: PathBuf,
    /// The service's configuration [default: gapless.toml in the artefact's folder, else in this one]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Another strategy than the configuration's
    #[arg(long, value_name = "KIND", value_parser = ["rolling", "blue-green"])]
    pub strategy: Option<String>,
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
    let project = Project::load(args.config.as_deref(), &args.from, args.strategy.as_deref())?;
    project.expect_service(args.service.as_deref())?;
    let request = DeployRequest {
        label: label(args.label.as_deref())?.to_string(),
        from: artefact(&args.from)?,
        config: project.text,
        config_name: project.file,
        by: project::operator(),
        reason: args.reason.clone(),
    };
    let service = project.spec.service;
    let client = Client::new(context);
    block_on(async {
        let order: OrderAccepted = client.post(&format!("/v1/services/{service}/releases"), &request).await?;
        follow::rollout(context, &client, &order, Wanted::Forward, args.detach).await
    })
}

/// The label that was given, else one made of the date and time.
pub(super) fn label(given: Option<&str>) -> Result<ReleaseLabel, Failure> {
    let text = given.map_or_else(|| jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string(), str::to_owned);
    ReleaseLabel::new(&text).map_err(|error| {
        let failure = Failure::new(format!("`{text}` cannot be the label of a release")).because(&error);
        failure.hint(hint::NAME_LABEL).exit(Exit::Usage)
    })
}

/// The artefact's absolute path: the controller works in another folder.
fn artefact(from: &Path) -> Result<String, Failure> {
    let failed = || Failure::new(format!("there is no artefact at `{}`", from.display())).hint(hint::NAME_ARTEFACT);
    let path = from.canonicalize().map_err(|error| failed().because(&error))?;
    path.into_os_string().into_string().map_err(|_| failed())
}
