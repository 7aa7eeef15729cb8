//! `gapless init`: writes a commented `gapless.toml` for the code in a folder.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use gapless_model::ServiceName;
use gapless_wire::config::CONFIG_BYTES_MAX;

use crate::follow::print_json;
use crate::init::{Listing, config_text, detect};
use crate::project::CONFIG_FILE;
use crate::{Context, Exit, Failure, hint};

/// The most files of a folder that are looked at.
const FILES_MAX: usize = 10_000;

/// What `gapless init` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The folder of the service's code
    #[arg(value_name = "DIR", default_value = ".")]
    pub folder: PathBuf,
    /// The name of the service [default: the name of the folder]
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// Replace a gapless.toml that is already there
    #[arg(long)]
    pub force: bool,
}

/// Runs the verb.
///
/// # Errors
/// The folder cannot be read or written, or has a `gapless.toml` already.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let path = args.folder.join(CONFIG_FILE);
    let service = name(args)?;
    if path.exists() && !args.force {
        let failure = Failure::new(format!("`{}` is there already", path.display()));
        return Err(failure.hint(hint::FORCE_INIT).exit(Exit::Refused));
    }
    let found = detect(&listing(&args.folder)?);
    let text = config_text(&service, found.as_ref());
    std::fs::write(&path, text)
        .map_err(|error| Failure::new(format!("cannot write `{}`", path.display())).because(&error))?;
    if context.json {
        let kind = found.as_ref().map(|found| found.what);
        print_json(&serde_json::json!({ "file": path, "service": service.as_str(), "found": kind }))?;
        return Ok(Exit::Done);
    }
    match &found {
        Some(found) => eprintln!("wrote `{}` for {}, service `{service}`", path.display(), found.what),
        None => eprintln!(
            "wrote `{}`: what kind of service this is could not be told, so write its command",
            path.display()
        ),
    }
    for note in found.iter().flat_map(|found| &found.notes) {
        eprintln!("  {note}");
    }
    eprintln!("next: look it over, start the controller with `gapless up` if it does not run, then `gapless deploy`");
    Ok(Exit::Done)
}

fn name(args: &Args) -> Result<ServiceName, Failure> {
    let wrong = |text: &str, error: &dyn std::error::Error| {
        let failure = Failure::new(format!("`{text}` cannot be the name of a service")).because(error);
        failure.hint(hint::NAME_INIT).exit(Exit::Usage)
    };
    if let Some(named) = &args.service {
        return ServiceName::new(named).map_err(|error| wrong(named, &error));
    }
    let folder = std::path::absolute(&args.folder).ok();
    let last = folder
        .as_deref()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().to_lowercase())
        .unwrap_or_default();
    let fitting: String = last.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(63).collect();
    let fitting = fitting.trim_matches('-');
    ServiceName::new(fitting).map_err(|error| wrong(&last, &error))
}

fn listing(folder: &Path) -> Result<Listing, Failure> {
    let failed =
        |error: &std::io::Error| Failure::new(format!("cannot read the folder `{}`", folder.display())).because(error);
    let mut listing = Listing::default();
    for entry in std::fs::read_dir(folder).map_err(|error| failed(&error))?.take(FILES_MAX) {
        let entry = entry.map_err(|error| failed(&error))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let text = if Listing::READ.contains(&name.as_str()) { text(&entry.path()) } else { String::new() };
        listing.files.insert(name, text);
    }
    Ok(listing)
}

/// The text of a file; empty when it cannot be read: what it would say is then not known.
fn text(path: &Path) -> String {
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(CONFIG_BYTES_MAX as u64).read_to_end(&mut text));
    read.map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}
