//! `gapless proxy`: the data plane as a process. The controller starts it; with `--table` it runs by itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use gapless_proxy::data::Settings;
use gapless_proxy::{Confinement, Mode, Options, RunFailed};
use gapless_wire::config::Network;
use gapless_wire::control::SettingsDoc;

use crate::{Context, Exit, Failure, hint, talk};

/// The control socket in the state folder, unless another is named.
const SOCKET: &str = "proxy.sock";

/// What `gapless proxy` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Listen for the controller on this Unix socket [default: proxy.sock in the state folder]
    #[arg(long, value_name = "SOCKET", conflicts_with_all = ["table", "listen"])]
    pub control: Option<PathBuf>,
    /// Where the file system takes no socket, listen on this name of the abstract namespace
    #[arg(long, value_name = "NAME", requires = "control")]
    pub spare_control: Option<String>,
    /// Make this folder the working folder: the control socket and what is kept are in it
    #[arg(long, value_name = "FOLDER", requires = "control")]
    pub folder: Option<PathBuf>,
    /// Started by root, become this user and group
    #[arg(long, value_name = "UID:GID", value_parser = user_and_group)]
    pub user: Option<(u32, u32)>,
    /// The machine's settings, as the control protocol writes them
    #[arg(long, value_name = "JSON", value_parser = settings)]
    pub settings: Option<SettingsDoc>,
    /// Route by this table document, without a controller
    #[arg(long, value_name = "FILE", requires = "listen")]
    pub table: Option<PathBuf>,
    /// Listen for clients here, without a controller
    #[arg(long, value_name = "ADDRESS", requires = "table")]
    pub listen: Vec<SocketAddr>,
    /// Threads that serve requests [default: one per core]
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Keep to these cores
    #[arg(long, value_name = "N,…", value_delimiter = ',')]
    pub cpus: Vec<usize>,
    /// Write each request as a line of JSON
    #[arg(long, value_name = "FILE")]
    pub access_log: Option<PathBuf>,
    /// Believe the forwarding headers of peers in this network
    #[arg(long, value_name = "NETWORK")]
    pub trusted_peer: Vec<Network>,
    /// How long a client may take for the whole head of a request
    #[arg(long, value_name = "MS")]
    pub head_timeout_ms: Option<u64>,
    /// How long a client's connection may stay idle between requests
    #[arg(long, value_name = "MS")]
    pub keep_alive_timeout_ms: Option<u64>,
}

/// Runs the verb: until the controller or a signal ends it.
///
/// # Errors
/// What kept the proxy from serving.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    // First of all, and before there is a second thread: rights are given away by each thread for itself.
    let troubles = match args.control {
        Some(_) => gapless_proxy::confine(&Confinement { folder: args.folder.clone(), user: args.user }),
        None => Vec::new(),
    };
    talk::begin();
    for trouble in &troubles {
        tracing::warn!(trouble, "not as it should be");
    }
    match gapless_proxy::run(Options { troubles, ..options(args, context) }) {
        Ok(()) => Ok(Exit::Done),
        Err(failed) => Err(told(&failed)),
    }
}

fn options(args: &Args, context: &Context) -> Options {
    let defaults = Settings::default();
    let mode = match &args.table {
        Some(table) => Mode::Static { table: table.clone(), listen: args.listen.clone() },
        None => Mode::Controlled {
            socket: args.control.clone().unwrap_or_else(|| context.state.path().join(SOCKET)),
            spare: args.spare_control.clone(),
            state: args.folder.as_ref().map_or_else(|| context.state.path().to_path_buf(), |_| PathBuf::from(".")),
        },
    };
    let written = Settings {
        head_timeout_ms: args.head_timeout_ms.unwrap_or(defaults.head_timeout_ms),
        keep_alive_ms: args.keep_alive_timeout_ms.unwrap_or(defaults.keep_alive_ms),
        trusted_peers: args.trusted_peer.clone(),
        ..defaults
    };
    let told = args.settings.clone().unwrap_or_default();
    let access_log = told.access_log.as_ref().filter(|path| !path.is_empty()).map(PathBuf::from);
    Options {
        mode,
        threads: args.threads,
        cpus: args.cpus.clone(),
        access_log: access_log.or_else(|| args.access_log.clone()),
        settings: written.with(&told),
        troubles: Vec::new(),
    }
}

fn user_and_group(text: &str) -> Result<(u32, u32), String> {
    let parse = || {
        let (user, group) = text.split_once(':')?;
        Some((user.parse().ok()?, group.parse().ok()?))
    };
    parse().ok_or_else(|| "two numbers with a colon between, such as 65525:65525".to_owned())
}

fn settings(text: &str) -> Result<SettingsDoc, String> {
    serde_json::from_str(text).map_err(|error| error.to_string())
}

fn told(failed: &RunFailed) -> Failure {
    let failure = Failure::new("the proxy cannot serve").because(failed);
    match failed {
        RunFailed::Listen(_) => failure.hint(hint::PORT_IN_USE),
        _ => failure,
    }
}
