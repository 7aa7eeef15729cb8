//! The sample service: a small real service that can be told how to misbehave.
//!
//! It is what the demo, the benchmarks and the end-to-end suites put behind a proxy. It does by default what a well-made service does:
//! listens when it can serve, answers health checks, and on SIGTERM stops accepting, ends what is under way, announces `Connection:
//! close` and exits 0. Each fault of [`Options`] is one thing real services get wrong.
//!
//! | path | answer |
//! |---|---|
//! | `/healthz` | 200, or by fault 503 or nothing |
//! | `/slow?ms=…` | 200 after that long |
//! | `/large?bytes=…` | so many bytes, counted |
//! | `/stream?bytes=…&ms=…` | so many bytes in chunks, spread over that long |
//! | `/sse?events=…&ms=…` | server-sent events, one each `ms`; ended at an event boundary by SIGTERM |
//! | `/ws` | a WebSocket echo; ended with Close 1001 by SIGTERM |
//! | `/whoami` | JSON: release, process, requests answered |
//! | any other | GET: 1 KiB; with a body: its echo |

mod answers;
mod faults;
mod serve;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use thiserror::Error;

/// How the service runs. Durations are in milliseconds, as flags of the hidden verb `sample-service`.
#[derive(Debug, Clone, Default, Args)]
pub struct Options {
    /// The port to listen on at 127.0.0.1; default: the environment's PORT.
    #[arg(long)]
    pub port: Option<u16>,
    /// The label to answer with; default: the environment's GAPLESS_RELEASE, else `unlabelled`.
    #[arg(long)]
    pub release: Option<String>,
    /// Listens only after this long, as a service that loads its data first.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub startup_delay: u64,
    /// Waits this long before each answer, as a service with work to do.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub work: u64,
    /// After SIGTERM, keeps idle connections this long before it closes them.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub linger: u64,
    /// Fault: the health check answers 503 for ever.
    #[arg(long)]
    pub never_healthy: bool,
    /// Fault: the health check never answers.
    #[arg(long)]
    pub hang_health: bool,
    /// Fault: never listens.
    #[arg(long)]
    pub never_listen: bool,
    /// Fault: exits with 70 this long after its start.
    #[arg(long, value_name = "MS")]
    pub crash_after: Option<u64>,
    /// Fault: exits with 70 this long after the first request that is not a health check.
    #[arg(long, value_name = "MS")]
    pub crash_in_load: Option<u64>,
    /// Fault: goes on after SIGTERM as if nothing had been said.
    #[arg(long)]
    pub ignore_sigterm: bool,
    /// Fault: so many in a hundred requests are answered 500, health checks not.
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    pub fail_percent: u8,
    /// Fault: leaves a child behind that sleeps five minutes in a process group of its own.
    #[arg(long)]
    pub fork_away: bool,
}

/// Why the sample service could not run.
#[derive(Debug, Error)]
pub enum SampleError {
    /// Neither flag nor environment.
    #[error("no port: give --port or set PORT")]
    NoPort,
    /// The port is taken, or may not be had.
    #[error("cannot listen on {address}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// The file of seen ids.
    #[error("cannot open the file of seen ids {path}")]
    Seen {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Signals, threads, children.
    #[error("cannot set the sample service up")]
    SetUp(#[source] io::Error),
}

/// The exit code of a crash by fault.
pub const CRASH_CODE: i32 = 70;

/// Serves until SIGTERM, then until what is under way has ended. Blocks; makes its own runtime.
///
/// # Errors
/// When it cannot listen or be set up.
pub fn run(options: &Options) -> Result<(), SampleError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(SampleError::SetUp)?;
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, serve::serve(options))
}

impl Options {
    /// Where to listen.
    fn address(&self) -> Result<SocketAddr, SampleError> {
        let of_environment = || std::env::var("PORT").ok()?.parse().ok();
        let port = self.port.or_else(of_environment).ok_or(SampleError::NoPort)?;
        Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }

    /// The label to answer with, fit for a header.
    fn label(&self) -> String {
        let of_environment = || std::env::var("GAPLESS_RELEASE").ok();
        let label = self.release.clone().or_else(of_environment).unwrap_or_else(|| "unlabelled".into());
        label.chars().filter(|c| c.is_ascii_graphic()).take(128).collect()
    }
}

fn millis(ms: u64) -> Duration {
    Duration::from_millis(ms)
}
