//! What is to be released: the arguments that `deploy` and `plan` share.

use std::path::PathBuf;

use gapless_model::ReleaseLabel;

use crate::project::Project;
use crate::{Exit, Failure, hint};

/// What names a release that is to be.
#[derive(clap::Args, Debug)]
pub struct CandidateArgs {
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
}

impl CandidateArgs {
    /// Its configuration, which has to be that of the service that was named, if one was.
    pub(super) fn project(&self) -> Result<Project, Failure> {
        let project = Project::load(self.config.as_deref(), &self.from, self.strategy.as_deref())?;
        project.expect_service(self.service.as_deref())?;
        Ok(project)
    }

    /// The label that was given, else one made of the date and time.
    pub(super) fn label(&self) -> Result<ReleaseLabel, Failure> {
        let now = || jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
        let text = self.label.clone().unwrap_or_else(now);
        ReleaseLabel::new(&text).map_err(|error| {
            let failure = Failure::new(format!("`{text}` cannot be the label of a release")).because(&error);
            failure.hint(hint::NAME_LABEL).exit(Exit::Usage)
        })
    }
}
