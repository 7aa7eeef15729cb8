//! `gapless init`: writes a commented `gapless.toml` for the code in a folder.

use std::io::{BufRead as _, IsTerminal as _, Read as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use gapless_model::ServiceName;
use gapless_wire::config::CONFIG_BYTES_MAX;

use crate::follow::print_json;
use crate::init::{Listing, Machine, config_text, containers, detect};
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
    /// The user that instances run as, where the controller runs as root [default: asked for on a terminal]
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Replace a gapless.toml that is already there
    #[arg(long)]
    pub force: bool,
}

/// The folders in which a controller without a PATH of its own searches for programs.
const PATH_USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

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
    let listing = listing(&args.folder)?;
    let found = detect(&listing);
    let machine = Machine { user: user(args), path: found.as_ref().and_then(|found| path_for(&found.command)) };
    let text = config_text(&service, found.as_ref(), &machine);
    std::fs::write(&path, text)
        .map_err(|error| Failure::new(format!("cannot write `{}`", path.display())).because(&error))?;
    if context.json {
        let kind = found.as_ref().map(|found| found.what);
        print_json(&serde_json::json!({ "file": path, "service": service.as_str(), "found": kind }))?;
        return Ok(Exit::Done);
    }
    match &found {
        Some(found) => tell!("wrote `{}` for {}, service `{service}`", path.display(), found.what),
        None => {
            tell!("wrote `{}`: what kind of service this is could not be told, so write its command", path.display())
        }
    }
    let of_containers = found.is_none().then(|| containers(&listing)).flatten();
    for note in found.iter().flat_map(|found| &found.notes).chain(&of_containers) {
        tell!("  {note}");
    }
    if let Some(path) = &machine.path {
        tell!("  Its program is not where a service manager searches: `environment` says PATH = {path}");
    }
    if machine.user.is_none() && rustix::process::geteuid().is_root() {
        tell!(
            "  Where the controller runs as root its instances do too: name another user by `user` under [run], or with --user"
        );
    }
    tell!("next: look it over, start the controller with `gapless up` if it does not run, then `gapless deploy`");
    Ok(Exit::Done)
}

/// The user that was named; as root on a terminal the one that is answered with.
fn user(args: &Args) -> Option<String> {
    if args.user.is_some() || !rustix::process::geteuid().is_root() {
        return args.user.clone();
    }
    if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
        return None;
    }
    eprint!("run its instances as which user? (empty: as the controller's, which is root here) ");
    let mut line = String::new();
    std::io::stdin().lock().take(256).read_line(&mut line).ok()?;
    Some(line.trim().to_owned()).filter(|user| !user.is_empty())
}

/// Where programs have to be searched for so that this one is found, where that is not everywhere.
fn path_for(command: &[String]) -> Option<String> {
    let program = command.first().filter(|program| !program.contains('/'))?;
    let is_in = |folder: &Path| folder.join(program).is_file();
    if std::env::split_paths(PATH_USUAL).any(|folder| is_in(&folder)) {
        return None;
    }
    let path = std::env::var_os("PATH")?;
    let folder = std::env::split_paths(&path).find(|folder| folder.is_absolute() && is_in(folder))?;
    Some(format!("{}:{PATH_USUAL}", folder.to_str()?))
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
        let (Ok(name), Ok(kind)) = (entry.file_name().into_string(), entry.file_type()) else { continue };
        let text = if Listing::READ.contains(&name.as_str()) { text(&entry.path()) } else { String::new() };
        if kind.is_file() && is_program(&entry.path()) {
            listing.programs.insert(name.clone());
        }
        if kind.is_dir() {
            // One that cannot be read says nothing.
            let inside = std::fs::read_dir(entry.path()).into_iter().flatten().flatten().take(FILES_MAX);
            let names = inside.filter_map(|inner| inner.file_name().into_string().ok());
            listing.files.extend(names.map(|inner| (format!("{name}/{inner}"), String::new())));
        }
        listing.files.insert(name, text);
    }
    Ok(listing)
}

/// Whether a file is meant to be run: its mode says so, and it begins as programs of this machine do.
fn is_program(path: &Path) -> bool {
    let mut begin = [0; 4];
    let may_run = std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o111 != 0);
    let read = std::fs::File::open(path).and_then(|mut file| file.read_exact(&mut begin));
    may_run && read.is_ok() && begin == *b"\x7fELF"
}

/// The text of a file; empty when it cannot be read: what it would say is then not known.
fn text(path: &Path) -> String {
    let mut text = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(CONFIG_BYTES_MAX as u64).read_to_end(&mut text));
    read.map(|_| String::from_utf8_lossy(&text).into_owned()).unwrap_or_default()
}
