//! What a proxy process is told when it starts.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::data::Settings;

/// Everything a proxy process is told when it starts.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where its table and its listening sockets come from.
    pub mode: Mode,
    /// Worker threads; as many as the process may use cores when none is given.
    pub threads: Option<usize>,
    /// The cores that the process keeps to; all it may use when empty.
    pub cpus: Vec<usize>,
    /// Where each request is written as a line of JSON; nowhere when none is given.
    pub access_log: Option<PathBuf>,
    /// Bounds and times that hold for every service.
    pub settings: Settings,
    /// What could not be done before the start, for people: told to the controller in every report.
    pub troubles: Vec<String>,
}

/// Where a proxy's table and listening sockets come from.
#[derive(Clone, Debug)]
pub enum Mode {
    /// From a controller, over a Unix socket; the last table is kept.
    Controlled {
        /// The control socket; made with mode 0600.
        socket: PathBuf,
        /// The name of a socket in Linux's abstract namespace, for when the file system takes no socket (it is full, or read-only).
        spare: Option<String>,
        /// The folder of the last table.
        state: PathBuf,
    },
    /// From a file and the command line, once: for running without a controller, and for measuring.
    Static {
        /// A table document; needs no checksum.
        table: PathBuf,
        /// Where to listen.
        listen: Vec<SocketAddr>,
    },
}
