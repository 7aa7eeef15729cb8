//! What is to be released: the arguments that `deploy` and `plan` share.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

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
    /// The artefact: a folder, or a .tar.gz, .tar.zst, .tar or .zip file; `-` is an archive on stdin
    #[arg(long, value_name = "PATH", default_value = ".")]
    pub from: PathBuf,
    /// The service's configuration [default: gapless.toml in the artefact, else in this folder]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Another strategy than the configuration's
    #[arg(long, value_name = "KIND", value_parser = ["rolling", "blue-green"])]
    pub strategy: Option<String>,
}

/// Where a candidate's artefact lies. What came on stdin lies in a file of ours, for as long as this lives.
pub(super) struct Artefact {
    path: PathBuf,
    _received: Option<tempfile::TempPath>,
}

impl Artefact {
    /// As it was named, or where it lies now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl CandidateArgs {
    /// Its artefact, taken from stdin where it comes there.
    ///
    /// # Errors
    /// There is none.
    pub(super) fn artefact(&self) -> Result<Artefact, Failure> {
        if self.from == Path::new("-") {
            return received();
        }
        std::fs::metadata(&self.from).map_err(|error| no_artefact(&self.from).because(&error))?;
        Ok(Artefact { path: self.from.clone(), _received: None })
    }

    /// Its configuration, which has to be that of the service that was named, if one was.
    pub(super) fn project(&self, artefact: &Artefact) -> Result<Project, Failure> {
        let project = Project::load(self.config.as_deref(), artefact.path(), self.strategy.as_deref())?;
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

/// The most bytes that are taken from stdin: what the files of an artefact may have together, unpacked.
const STDIN_BYTES_MAX: u64 = 16 << 30;

/// The artefact's absolute path: the controller works in another folder.
pub(super) fn absolute(from: &Path) -> Result<String, Failure> {
    let failed = || no_artefact(from);
    let path = from.canonicalize().map_err(|error| failed().because(&error))?;
    path.into_os_string().into_string().map_err(|_| failed())
}

/// There is nothing where the artefact was said to be.
fn no_artefact(from: &Path) -> Failure {
    Failure::new(format!("there is no artefact at `{}`", from.display())).hint(hint::NAME_ARTEFACT)
}

fn received() -> Result<Artefact, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::new("the archive on stdin cannot be taken").because(error);
    let mut stdin = std::io::stdin().lock();
    if stdin.is_terminal() {
        let failure = Failure::new("`--from -` takes an archive on stdin, and stdin is a terminal");
        return Err(failure.hint(hint::PIPE_ARCHIVE).exit(Exit::Usage));
    }
    let mut file = tempfile::Builder::new().prefix("gapless-").tempfile().map_err(|error| failed(&error))?;
    let mut bounded = (&mut stdin).take(STDIN_BYTES_MAX + 1);
    let bytes = std::io::copy(&mut bounded, &mut file).map_err(|error| failed(&error))?;
    if bytes == 0 || bytes > STDIN_BYTES_MAX {
        let what = if bytes == 0 { "nothing came on stdin" } else { "the archive on stdin is larger than 16 GiB" };
        return Err(Failure::new(what).hint(hint::PIPE_ARCHIVE).exit(Exit::Refused));
    }
    let path = file.into_temp_path();
    Ok(Artefact { path: path.to_path_buf(), _received: Some(path) })
}
