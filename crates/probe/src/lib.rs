//! Asking an instance how it is. The one implementation: the controller gates a start with it, a proxy watches its table with it.
//!
//! Owns: one question and its bounded answer ([`ask`], over HTTP, TCP or a command), and the pure counting that makes health of answers
//! ([`ProbeState`]). Refuses to know: when to ask, whom, and what follows.
//!
//! **Invariant Q1**: a question ends within its timeout, and a command with all of its process group (`tests/probe.rs`).
//! **Invariant Q2**: what is read of an answer is bounded ([`HEAD_BYTES_MAX`], [`BODY_BYTES_MAX`], [`OUTPUT_BYTES_MAX`]).
//! **Invariant Q3**: an instance is unknown, and not ready, until enough answers agree (tests of [`ProbeState`]).

mod command;
mod foreign;
mod http;
mod state;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

use gapless_model::{Millis, ProbeKind};
use tokio::net::TcpStream;

pub use command::{CommandEnded, CommandOrder, CommandUser, OUTPUT_BYTES_MAX, execute, run as run_command};
pub use foreign::Foreign;
pub use http::{BODY_BYTES_MAX, Get, GetFailed, HEAD_BYTES_MAX, Response, get};
pub use state::{Change, ProbeState};

/// Whom a probe asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeTarget {
    /// The instance's address.
    pub address: SocketAddr,
    /// The environment for a command, complete: what the instance itself was given.
    pub environment: BTreeMap<String, String>,
    /// The working folder for a command; the release's own.
    pub folder: PathBuf,
    /// The label of the release, for `{release}`.
    pub label: String,
}

/// What one probe found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProbeResult {
    /// It is well.
    Passed,
    /// It is not, or did not say so in time.
    Failed(ProbeFailure),
}

/// Why a probe failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProbeFailure {
    /// Nobody listens there, or the connection failed.
    Connect(String),
    /// It took longer than the probe's timeout.
    TimedOut(Millis),
    /// It answered with a status outside the expected range.
    Status(u16),
    /// It answered with something that is not HTTP, or broke off.
    Answer(String),
    /// The command could not be run, or did not exit with 0; with the end of what it wrote.
    Command(String),
    /// It passed, and it was another program that answered.
    Foreign(Foreign),
}

impl fmt::Display for ProbeFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ProbeFailure::Connect(reason) => write!(f, "cannot connect: {reason}"),
            ProbeFailure::TimedOut(timeout) => write!(f, "no answer within {timeout}"),
            ProbeFailure::Status(status) => write!(f, "answered with status {status}"),
            ProbeFailure::Answer(reason) => write!(f, "no proper answer: {reason}"),
            ProbeFailure::Command(reason) => write!(f, "the command failed: {reason}"),
            ProbeFailure::Foreign(foreign) => write!(f, "{foreign}"),
        }
    }
}

impl ProbeFailure {
    /// The failure as a sentence about what was asked: `connection refused on 127.0.0.1:22015`, `/healthz answered 404`.
    #[must_use]
    pub fn about(&self, kind: &ProbeKind, address: SocketAddr) -> String {
        let asked = match kind {
            ProbeKind::Http { path, .. } => path.as_str(),
            ProbeKind::Tcp => "the connection",
            ProbeKind::Process => "the process",
            ProbeKind::Command { .. } => "the health command",
        };
        match self {
            ProbeFailure::Connect(reason) => {
                // `Connection refused (os error 111)`: the number tells nobody more.
                let words = reason.split(" (os error").next().unwrap_or(reason);
                let mut letters = words.chars();
                let first = letters.next().map(|first| first.to_ascii_lowercase()).into_iter();
                format!("{} on {address}", first.chain(letters).collect::<String>())
            }
            ProbeFailure::TimedOut(timeout) => match kind {
                ProbeKind::Tcp => format!("no connection to {address} within {timeout}"),
                ProbeKind::Http { .. } | ProbeKind::Process | ProbeKind::Command { .. } => {
                    format!("{asked} did not answer within {timeout}")
                }
            },
            ProbeFailure::Status(status) => format!("{asked} answered {status}"),
            ProbeFailure::Answer(reason) => format!("{asked} gave no proper answer: {reason}"),
            ProbeFailure::Command(reason) => format!("{asked} failed: {reason}"),
            ProbeFailure::Foreign(foreign) => foreign.to_string(),
        }
    }
}

/// Asks once. Always answers within `timeout` (and the moment it takes to kill a command).
pub async fn ask(kind: &ProbeKind, target: &ProbeTarget, timeout: Millis) -> ProbeResult {
    let asked = async {
        match kind {
            ProbeKind::Http { path, host, expect } => {
                let host = host.clone().unwrap_or_else(|| target.address.to_string());
                let order =
                    Get { address: target.address, host, path: path.clone(), headers: Vec::new(), body_bytes_max: 0 };
                match get(&order).await {
                    Ok(response) if expect.holds(response.status) => ProbeResult::Passed,
                    Ok(response) => ProbeResult::Failed(ProbeFailure::Status(response.status)),
                    Err(GetFailed::Connect(error)) => ProbeResult::Failed(ProbeFailure::Connect(error.to_string())),
                    Err(error) => ProbeResult::Failed(ProbeFailure::Answer(error.to_string())),
                }
            }
            // Whoever asks hears of the end of the process by itself, and asks no more.
            ProbeKind::Process => ProbeResult::Passed,
            ProbeKind::Tcp => match TcpStream::connect(target.address).await {
                Ok(_) => ProbeResult::Passed,
                Err(error) => ProbeResult::Failed(ProbeFailure::Connect(error.to_string())),
            },
            ProbeKind::Command { argv } => {
                let replace = |text: &String| {
                    text.replace("{port}", &target.address.port().to_string()).replace("{release}", &target.label)
                };
                let order = CommandOrder {
                    argv: argv.iter().map(replace).collect(),
                    environment: target.environment.clone(),
                    folder: Some(target.folder.clone()),
                    user: None,
                };
                match run_command(&order).await {
                    Ok(()) => ProbeResult::Passed,
                    Err(reason) => ProbeResult::Failed(ProbeFailure::Command(reason)),
                }
            }
        }
    };
    match tokio::time::timeout(timeout.to_duration(), asked).await {
        Ok(result) => result,
        Err(_) => ProbeResult::Failed(ProbeFailure::TimedOut(timeout)),
    }
}
