//! Starting the process of a proxy, so that it outlives the controller.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// What of our environment a proxy is given: how it talks, what its times look like, and what tests tell it. Nothing that somebody keeps a secret in.
const HANDED_ON: [&str; 6] = ["GAPLESS_LOG", "GAPLESS_CRASH_AT", "RUST_BACKTRACE", "NO_COLOR", "TZ", "LANG"];

/// How the process is started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyCommand {
    /// The program, usually this one.
    pub program: PathBuf,
    /// Its arguments: the hidden verb `proxy` with the path of the control socket and of the state it keeps. The process makes a
    /// session of its own as its first act.
    pub arguments: Vec<OsString>,
    /// What it writes to its standard output and error is added here; made with mode 0600. Where that cannot be, what it writes is lost.
    pub log: PathBuf,
}

/// The process could not be started: the program cannot be run.
#[derive(Debug, thiserror::Error)]
#[error("cannot run {program:?}")]
pub struct SpawnFailed {
    /// Which.
    program: PathBuf,
    /// Why.
    #[source]
    source: io::Error,
}

/// A process that was started.
#[derive(Debug)]
pub struct Spawned {
    /// The process.
    pub child: tokio::process::Child,
    /// Why what it says is not written down; none where it is.
    pub log_failed: Option<io::Error>,
}

/// Starts the process. It is not waited for and does not end with us; dropping the child leaves it running, and the runtime reaps it
/// if it ends while we live. A log that cannot be written (the disk is full, or read-only) is no reason not to start it.
///
/// # Errors
/// [`SpawnFailed`].
pub fn spawn_proxy(command: &ProxyCommand) -> Result<Spawned, SpawnFailed> {
    let (out, errors, log_failed) = match log(&command.log) {
        Ok((out, errors)) => (out.into(), errors.into(), None),
        Err(error) => (Stdio::null(), Stdio::null(), Some(error)),
    };
    let failed = |source| SpawnFailed { program: command.program.clone(), source };
    let handed_on = HANDED_ON.iter().filter_map(|name| Some((name, std::env::var_os(name)?)));
    let child = tokio::process::Command::new(&command.program)
        .args(&command.arguments)
        .env_clear()
        .envs(handed_on)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(errors)
        .kill_on_drop(false)
        .spawn()
        .map_err(failed)?;
    Ok(Spawned { child, log_failed })
}

/// The log, twice. A link in its place is not followed.
fn log(path: &Path) -> io::Result<(File, File)> {
    let log = OpenOptions::new().create(true).append(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(path)?;
    let errors = log.try_clone()?;
    Ok((log, errors))
}
