//! The service that a verb is about: found by name, or by the `gapless.toml` of the folder.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use gapless_drivers::artefact::read_text;
use gapless_model::{ReleaseSpec, ServiceName};
use gapless_wire::config::{CONFIG_BYTES_MAX, parse_service_config, with_strategy};

use crate::{Exit, Failure, hint};

/// The name of a service's configuration file.
pub const CONFIG_FILE: &str = "gapless.toml";

/// A service's configuration, read and understood.
#[derive(Clone, Debug)]
pub struct Project {
    /// The file as the user would name it.
    pub file: String,
    /// Its text, with the strategy that was asked for.
    pub text: String,
    /// What it means.
    pub spec: ReleaseSpec,
}

impl Project {
    /// Reads the configuration for an artefact: the named file, else `gapless.toml` in the artefact's folder, else in this one.
    ///
    /// # Errors
    /// No such file, or its faults.
    pub fn load(named: Option<&Path>, from: &Path, strategy: Option<&str>) -> Result<Project, Failure> {
        let (file, mut text) = match named.is_none() && from.is_file() {
            true => within(from)?,
            false => written(find(named, from)?)?,
        };
        parse_service_config(&text, &file)?;
        if let Some(kind) = strategy {
            text = with_strategy(&text, kind, &file)?;
        }
        let spec = parse_service_config(&text, &file).map_err(|errors| {
            Failure::new(format!("--strategy {kind} does not suit `{file}`", kind = strategy.unwrap_or_default()))
                .because(&errors)
                .exit(Exit::Refused)
        })?;
        Ok(Project { file, text, spec })
    }

    /// Checks that this is the service that was named, if one was.
    ///
    /// # Errors
    /// It is another one.
    pub fn expect_service(&self, named: Option<&str>) -> Result<(), Failure> {
        match named {
            Some(named) if named != self.spec.service.as_str() => {
                let what = format!("`{}` is about service `{}`, not `{named}`", self.file, self.spec.service);
                Err(Failure::new(what).hint(hint::NAME_OTHER_CONFIG).exit(Exit::Usage))
            }
            _ => Ok(()),
        }
    }
}

/// The service that was named, else the one of the `gapless.toml` in this folder.
///
/// # Errors
/// The name cannot be one, or none was given and there is no such file.
pub fn service(named: Option<&str>) -> Result<ServiceName, Failure> {
    if let Some(named) = named {
        return ServiceName::new(named).map_err(|error| {
            Failure::new(format!("`{named}` is not the name of a service"))
                .because(&error)
                .hint(hint::NAME_SERVICE)
                .exit(Exit::Usage)
        });
    }
    if !Path::new(CONFIG_FILE).exists() {
        let what = "no service is named, and there is no `gapless.toml` in this folder";
        return Err(Failure::new(what).hint(hint::NAME_SERVICE).exit(Exit::Usage));
    }
    Ok(Project::load(None, Path::new("."), None)?.spec.service)
}

/// The configuration within an archive, else the one of this folder.
fn within(archive: &Path) -> Result<(String, String), Failure> {
    let failed = |error: &dyn std::error::Error| {
        let failure = Failure::new(format!("cannot look for `{CONFIG_FILE}` in `{}`", archive.display()));
        failure.because(error).hint(hint::NAME_ARTEFACT).exit(Exit::Refused)
    };
    let found = read_text(archive, CONFIG_FILE, CONFIG_BYTES_MAX as u64).map_err(|error| failed(&error))?;
    match found {
        Some(text) => Ok((CONFIG_FILE.to_owned(), text)),
        None => written(find(None, archive)?),
    }
}

fn written(path: PathBuf) -> Result<(String, String), Failure> {
    Ok((path.display().to_string(), read(&path)?))
}

fn find(named: Option<&Path>, from: &Path) -> Result<PathBuf, Failure> {
    if let Some(named) = named {
        return Ok(named.to_path_buf());
    }
    let beside = from.join(CONFIG_FILE);
    let candidates = if from == Path::new(".") || !from.is_dir() {
        vec![CONFIG_FILE.into()]
    } else {
        vec![beside, CONFIG_FILE.into()]
    };
    let places =
        candidates.iter().map(|path: &PathBuf| format!("`{}`", path.display())).collect::<Vec<_>>().join(" or ");
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .ok_or_else(|| Failure::new(format!("there is no {places}")).hint(hint::WRITE_CONFIG))
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error: &std::io::Error| {
        let hint = if error.kind() == std::io::ErrorKind::NotFound { hint::WRITE_CONFIG } else { hint::READ_CONFIG };
        Failure::new(format!("cannot read `{}`", path.display())).because(error).hint(hint)
    };
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let mut text = String::new();
    file.take(CONFIG_BYTES_MAX as u64 + 1).read_to_string(&mut text).map_err(|error| failed(&error))?;
    Ok(text)
}

/// Who gives orders, for the record: the user behind sudo, else the user, else root or the user's number.
#[must_use]
pub fn operator() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"]
        .iter()
        .find_map(|name| std::env::var(name).ok().filter(|user| !user.is_empty()));
    let user = rustix::process::getuid();
    named.unwrap_or_else(|| if user.is_root() { "root".to_owned() } else { format!("user {}", user.as_raw()) })
}
