//! Starting the process of a proxy, so that it outlives the controller.

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::process::Stdio;

/// How the process is started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProxyCommand {
    /// The program, usually this one.
    pub program: PathBuf,
    /// Its arguments: the hidden verb `proxy` with the path of the control socket and of the state it keeps. The process makes a
    /// session of its own as its first act.
    pub arguments: Vec<OsString>,
    /// What it writes to its standard output and error is added here; made with mode 0600.
    pub log: PathBuf,
}

/// The process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnFailed {
    /// Its log cannot be written.
    #[error("cannot write the proxy's log {path:?}")]
    Log {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The program cannot be run.
    #[error("cannot run {program:?}")]
    Program {
        /// Which.
        program: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Starts the process. It is not waited for and does not end with us; dropping the child leaves it running, and the runtime reaps it
/// if it ends while we live.
///
/// # Errors
/// [`SpawnFailed`].
pub fn spawn_proxy(command: &ProxyCommand) -> Result<tokio::process::Child, SpawnFailed> {
    let log_failed = |source| SpawnFailed::Log { path: command.log.clone(), source };
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&command.log).map_err(log_failed)?;
    let errors = log.try_clone().map_err(log_failed)?;
    tokio::process::Command::new(&command.program)
        .args(&command.arguments)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .kill_on_drop(false)
        .spawn()
        .map_err(|source| SpawnFailed::Program { program: command.program.clone(), source })
}
