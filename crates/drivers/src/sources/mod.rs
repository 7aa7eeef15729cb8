//! Variables that are read on the machine at each start of an instance: files of variables, and secrets.
//!
//! They are read by the controller, as its user, and given to the keeper through a pipe; so they lie in no file of the state folder, no journal and
//! no argument of a program. Who may read the environment of the instance's process (its user and root) may read them there.
//!
//! **Invariant D8**: what went wrong is told without a value: no error here holds more of what was read than a name or the number of a line.

pub mod env_file;

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_model::{Presence, RunSpec, SecretSource, TemplateInvalid, expand, is_own_variable};
use gapless_probe::{CommandOrder, OUTPUT_BYTES_MAX, execute};
use serde::{Deserialize, Serialize};

use crate::process::of_machine;
use env_file::NotUnderstood;

/// How long a command may take for its secret.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(10);
/// How long all sources of a start may take: a file may lie on a disk that is far away.
const ALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The largest file of variables.
const FILE_BYTES_MAX: u64 = 256 << 10;
/// The largest value: the kernel takes 128 KiB for a name and its value.
const VALUE_BYTES_MAX: usize = 64 << 10;
/// A value that is shorter than this is not masked in what others wrote: it would be found everywhere.
const MASKED_BYTES_MIN: usize = 4;

/// What an environment still lacks, and where it is read. Kept with an instance, so that commands beside it can be given the same.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) struct Sourced {
    files: Vec<File>,
    secrets: BTreeMap<String, Secret>,
    /// The names that the release's configuration gives values itself; `${NAME}` is replaced in those.
    declared: BTreeSet<String>,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct File {
    path: PathBuf,
    /// Whether it may be missing.
    optional: bool,
}

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Secret {
    File(PathBuf),
    Credential(String),
    Command(Vec<String>),
}

/// Why an environment is not complete.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// A file of variables cannot be read.
    #[error("cannot read the env_file {}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A file of variables is not understood.
    #[error("the env_file {} is not understood: {at}", path.display())]
    Syntax {
        /// Which.
        path: PathBuf,
        /// Where.
        at: NotUnderstood,
    },
    /// A secret cannot be read.
    #[error("cannot read the secret {name} from {from}")]
    Secret {
        /// The name of its variable.
        name: String,
        /// Where it was looked for.
        from: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A secret's command failed.
    #[error("the command for the secret {name} failed: {reason}")]
    Command {
        /// The name of the secret's variable.
        name: String,
        /// Why.
        reason: String,
    },
    /// What was read cannot be the value of a variable.
    #[error("the value of {name} {what}")]
    Value {
        /// The name of the variable.
        name: String,
        /// What is wrong with it.
        what: &'static str,
    },
    /// A value asks for a name that no source gives.
    #[error("the value of {name} is not complete: {why}")]
    Template {
        /// The name of the variable.
        name: String,
        /// Which.
        why: TemplateInvalid,
    },
    /// It takes too long.
    #[error("env_file and secrets were not read within {} s", ALL_TIMEOUT.as_secs())]
    TooLong,
}

impl Sourced {
    /// What instances of this configuration read at each start; none where they read nothing.
    pub(crate) fn of(run: &RunSpec) -> Option<Sourced> {
        if run.sources.is_empty() {
            return None;
        }
        let files = run
            .sources
            .files
            .iter()
            .map(|file| File { path: PathBuf::from(&file.path), optional: file.presence == Presence::Optional });
        let secret = |source: &SecretSource| match source {
            SecretSource::File(path) => Secret::File(PathBuf::from(path)),
            SecretSource::Credential(name) => Secret::Credential(name.clone()),
            SecretSource::Command(argv) => Secret::Command(argv.clone()),
        };
        let secrets = run.sources.secrets.iter().map(|(name, source)| (name.clone(), secret(source)));
        Some(Sourced {
            files: files.collect(),
            secrets: secrets.collect(),
            declared: run.environment.keys().cloned().collect(),
        })
    }

    /// Reads all sources, and completes an environment by them: above what describes the machine, below what the configuration and Gapless say.
    /// Relative paths, and commands, are in the release's folder.
    ///
    /// # Errors
    /// [`SourceError`].
    pub(crate) async fn complete(
        &self,
        environment: BTreeMap<String, String>,
        release: &Path,
    ) -> Result<BTreeMap<String, String>, SourceError> {
        let all = async {
            let read = {
                let (sourced, release) = (self.clone(), release.to_owned());
                tokio::task::spawn_blocking(move || sourced.read_files(&release)).await
            };
            // It panics, or the runtime is being shut down.
            let mut found = read.map_err(|_| SourceError::TooLong)??;
            for (name, secret) in &self.secrets {
                if let Secret::Command(argv) = secret {
                    found.insert(name.clone(), of_command(name, argv, release).await?);
                }
            }
            Ok(found)
        };
        let found = tokio::time::timeout(ALL_TIMEOUT, all).await.map_err(|_| SourceError::TooLong)??;
        self.together(environment, found)
    }

    /// A text in which no secret of the environment stands any more.
    pub(crate) fn masked(&self, text: &str, environment: &BTreeMap<String, String>) -> String {
        let values = self.secrets.keys().filter_map(|name| environment.get(name));
        values
            .filter(|value| value.len() >= MASKED_BYTES_MIN)
            .fold(text.to_owned(), |text, value| text.replace(value.as_str(), "***"))
    }

    fn together(
        &self,
        mut environment: BTreeMap<String, String>,
        found: BTreeMap<String, String>,
    ) -> Result<BTreeMap<String, String>, SourceError> {
        for name in &self.declared {
            let Some(text) = environment.get(name) else { continue };
            let value = expand(text, |wanted| found.get(wanted).map(|value| Cow::Borrowed(value.as_str())));
            let value = value.map_err(|why| SourceError::Template { name: name.clone(), why })?;
            environment.insert(name.clone(), checked(name, value)?);
        }
        let others = found.into_iter().filter(|(name, _)| !self.declared.contains(name) && !is_own_variable(name));
        environment.extend(others);
        Ok(environment)
    }

    /// Blocks. Commands are not among what is read.
    fn read_files(&self, release: &Path) -> Result<BTreeMap<String, String>, SourceError> {
        let mut found = BTreeMap::new();
        for File { path, optional } in &self.files {
            let path = release.join(path);
            let failed = |source| SourceError::File { path: path.clone(), source };
            let bytes = match read(&path) {
                Err(error) if *optional && error.kind() == io::ErrorKind::NotFound => continue,
                read => read.map_err(failed)?,
            };
            let text = String::from_utf8(bytes).map_err(|_| failed(not_text()))?;
            let variables = env_file::parse(&text).map_err(|at| SourceError::Syntax { path: path.clone(), at })?;
            for (name, value) in variables {
                let value = checked(&name, value)?;
                found.insert(name, value);
            }
        }
        for (name, secret) in &self.secrets {
            let (path, from) = match secret {
                Secret::File(path) => (Ok(release.join(path)), release.join(path).display().to_string()),
                Secret::Credential(credential) => (credential_path(credential), format!("credential {credential}")),
                Secret::Command(_) => continue,
            };
            let failed = |source| SourceError::Secret { name: name.clone(), from, source };
            let value =
                path.and_then(|path| read(&path)).and_then(|bytes| String::from_utf8(bytes).map_err(|_| not_text()));
            found.insert(name.clone(), secret_of(name, &value.map_err(failed)?)?);
        }
        Ok(found)
    }
}

/// A regular file, in bounds.
fn read(path: &Path) -> io::Result<Vec<u8>> {
    // A pipe that nobody writes to would keep us for ever.
    let file = OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(io::Error::other(format!("it is larger than {FILE_BYTES_MAX} bytes")));
    }
    Ok(bytes)
}

fn not_text() -> io::Error {
    io::Error::other("it is not text in UTF-8")
}

fn credential_path(name: &str) -> io::Result<PathBuf> {
    let folder = std::env::var_os("CREDENTIALS_DIRECTORY")
        .ok_or_else(|| io::Error::other("systemd gave the controller no credentials (LoadCredential= in its unit)"))?;
    Ok(PathBuf::from(folder).join(name))
}

/// A secret without the line end that editors and programs put behind it.
fn secret_of(name: &str, text: &str) -> Result<String, SourceError> {
    let text = text.strip_suffix('\n').map_or(text, |text| text.strip_suffix('\r').unwrap_or(text));
    if text.is_empty() {
        return Err(SourceError::Value { name: name.to_owned(), what: "is empty" });
    }
    checked(name, text.to_owned())
}

fn checked(name: &str, value: String) -> Result<String, SourceError> {
    let refused = |what| Err(SourceError::Value { name: name.to_owned(), what });
    match () {
        () if value.len() > VALUE_BYTES_MAX => refused("is longer than 64 KiB"),
        () if value.contains('\0') => refused("holds a NUL byte"),
        () => Ok(value),
    }
}

async fn of_command(name: &str, argv: &[String], release: &Path) -> Result<String, SourceError> {
    let failed = |reason: String| SourceError::Command { name: name.to_owned(), reason };
    let order =
        CommandOrder { argv: argv.to_vec(), environment: of_machine(), folder: Some(release.to_owned()), user: None };
    let ended = match tokio::time::timeout(COMMAND_TIMEOUT, execute(&order)).await {
        Ok(ended) => ended.map_err(failed)?,
        Err(_) => return Err(failed(format!("it took longer than {} s", COMMAND_TIMEOUT.as_secs()))),
    };
    if !ended.status.success() {
        // What it said on its standard output may be the secret; on its standard error programs say what is wrong.
        let said = String::from_utf8_lossy(&ended.stderr);
        let said: String =
            said.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or_default().chars().take(200).collect();
        return Err(failed(if said.is_empty() {
            ended.status.to_string()
        } else {
            format!("{}: {said}", ended.status)
        }));
    }
    if ended.stdout.len() >= OUTPUT_BYTES_MAX {
        return Err(failed(format!("it wrote {OUTPUT_BYTES_MAX} bytes or more")));
    }
    let text = String::from_utf8(ended.stdout)
        .map_err(|_| failed("it wrote something other than text in UTF-8".to_owned()))?;
    secret_of(name, &text)
}

#[cfg(test)]
mod tests;
