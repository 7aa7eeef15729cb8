//! From the options of a proxy process to its threads and its desk.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;

use gapless_drivers::proxylink::{ListenFailed, open_listeners};
use gapless_routing::TableInvalid;
use gapless_wire::control::{SealBroken, SealedTable};

use super::access_log::AccessLog;
use super::desk::{Desk, Ends, Inbox};
use super::keeping::Keeping;
use super::options::{Mode, Options};
use super::server::{ControlSocket, SocketFailed};
use super::station::{Equipment, Station};
use super::store::Store;
use crate::data::DataPlane;

/// Events of worker threads that may wait.
const EVENTS_MAX: usize = 4_096;

/// Why a proxy process ended with an error.
#[derive(Debug, thiserror::Error)]
pub enum RunFailed {
    /// The control socket cannot be had.
    #[error(transparent)]
    Socket(#[from] SocketFailed),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenFailed),
    /// The table file cannot be read.
    #[error("cannot read the table {path:?}")]
    TableFile {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The table file holds no table.
    #[error("the table {path:?} is not usable")]
    TableBroken {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: SealBroken,
    },
    /// The table is not whole.
    #[error("the table {path:?} is not whole")]
    TableInvalid {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: TableInvalid,
    },
    /// The process cannot be kept to the cores it was given.
    #[error("cannot keep to the cores {cpus:?}")]
    Cpus {
        /// Which.
        cpus: Vec<usize>,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system gives no thread, event queue or signal.
    #[error("the system refused what a proxy needs")]
    System(#[from] io::Error),
}

/// Runs a proxy until it is told to end, by its controller or a signal.
///
/// # Errors
/// [`RunFailed`]; what goes wrong once it serves is told, not returned.
pub fn run(options: Options) -> Result<(), RunFailed> {
    keep_to_cpus(&options.cpus)?;
    raise_descriptor_limit();
    let threads = match options.threads {
        Some(threads) => threads.max(1),
        None => std::thread::available_parallelism()?.get(),
    };
    // First of all, so that a second proxy on the same state does nothing at all.
    let socket = match &options.mode {
        Mode::Controlled { socket, spare, .. } => Some(ControlSocket::bind(socket, spare.as_deref())?),
        Mode::Static { .. } => None,
    };
    if socket.is_some() {
        let _leader_already = rustix::process::setsid(); // outlive the terminal and the controller
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Before anybody is served: whoever asks it to end from then on waits for what it has begun.
    let ends = {
        let _within = runtime.enter();
        Ends::listen()?
    };
    let access_log = options.access_log.as_deref().map(AccessLog::start).transpose()?;
    let records = access_log.as_ref().map(|log| log.records.clone());
    let (told, events) = sync_channel(EVENTS_MAX);
    let plane = DataPlane::start(threads, options.settings.clone(), &told, records.as_ref())?;
    drop((told, records));
    let (told_kept, kept) = tokio::sync::mpsc::channel(EVENTS_MAX);
    let store = match &options.mode {
        Mode::Controlled { state, .. } => Some(Store::new(state)),
        Mode::Static { .. } => None,
    };
    let found = store.as_ref().map(Store::load);
    let keeping = store.map(|store| Keeping::start(store, told_kept)).transpose()?;
    let Options { mode, settings, troubles, .. } = options;
    let mut station = Station::new(plane, Equipment { keeping, settings, access_log, troubles });
    let notices = match (&mode, found) {
        (Mode::Static { table, listen }, _) => begin(&mut station, table, listen, threads)?,
        (Mode::Controlled { .. }, found) => found.map_or_else(Vec::new, |found| station.restore(found)),
    };
    let outcome = runtime.block_on(async {
        let mut desk = Desk::new(station, threads, notices);
        desk.serve(socket, Inbox { events, kept, ends }).await
    });
    runtime.shutdown_background();
    Ok(outcome?)
}

/// Begins with the table and the listening sockets of a proxy without a controller; what an operator should hear.
fn begin(station: &mut Station, path: &Path, listen: &[SocketAddr], threads: usize) -> Result<Vec<String>, RunFailed> {
    let bytes = std::fs::read(path).map_err(|source| RunFailed::TableFile { path: path.to_owned(), source })?;
    let broken = |source| RunFailed::TableBroken { path: path.to_owned(), source };
    let spec = SealedTable::from_bytes(&bytes).and_then(|table| table.open_unsealed()).map_err(broken)?;
    station.begin(&spec).map_err(|source| RunFailed::TableInvalid { path: path.to_owned(), source })?;
    for address in listen {
        for listening in open_listeners(*address, threads)? {
            let named = listening.address.to_string();
            if let Err(error) = station.lend(&named, listening.socket.into()) {
                return Err(RunFailed::System(io::Error::other(error)));
            }
        }
        tracing::info!(%address, "listening");
    }
    Ok(Vec::new())
}

fn keep_to_cpus(cpus: &[usize]) -> Result<(), RunFailed> {
    if cpus.is_empty() {
        return Ok(());
    }
    let mut set = rustix::thread::CpuSet::new();
    for cpu in cpus {
        if *cpu >= rustix::thread::CpuSet::MAX_CPU {
            let source = io::Error::from(io::ErrorKind::InvalidInput);
            return Err(RunFailed::Cpus { cpus: cpus.to_vec(), source });
        }
        set.set(*cpu);
    }
    // Threads inherit it, and there are none yet.
    rustix::thread::sched_setaffinity(None, &set)
        .map_err(|error| RunFailed::Cpus { cpus: cpus.to_vec(), source: error.into() })
}

/// Two descriptors per request in flight are needed; the usual limit of 1,024 is a courtesy to programs that use `select`, which this one
/// does not.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::warn!(%error, "the limit of open descriptors stays as it is");
    }
}
