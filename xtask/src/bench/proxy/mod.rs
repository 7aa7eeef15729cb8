//! CPU time per request of Gapless and its peers, side by side in one run.
//!
//! The measured proxy has one worker and one core to itself; the load generator (wrk, closed loop, keep-alive) and the instance share
//! another. Rounds go in turn over all proxies, so that a machine that slows down slows everybody; the median of the rounds is told, and for
//! the ratio to the floor the median of the rounds' own ratios.
//! CPU time is the process tree's user and system time over the whole of a round, divided by the requests wrk counted in it.

mod backend;
mod contenders;
mod floor;
mod report;
mod round;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

use super::process::{Cores, Group, await_listening, free_port, local};
use crate::tools;
use report::Report;

/// The names that `--only` takes, in the order of the table.
const NAMES: &[&str] = &["floor", "gapless", "nginx", "haproxy", "envoy", "traefik", "caddy"];
/// Cases by the number of connections.
const CONNECTIONS: &[usize] = &[64, 1_000];

#[derive(Args)]
pub struct Options {
    /// End stdout with one JSON object: cases → proxy → numbers.
    #[arg(long)]
    json: bool,
    /// Two short rounds of the 64-connection case: shows that it works, not who is fast.
    #[arg(long)]
    quick: bool,
    /// Only these, by name; the floor is always measured.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    only: Vec<String>,
    /// Rounds; the median of them is told.
    #[arg(long, default_value_t = 11)]
    rounds: usize,
    /// Seconds of load in each round.
    #[arg(long, default_value_t = 3)]
    seconds: u64,
    /// The `gapless` program to measure; default: built from this workspace.
    #[arg(long)]
    gapless: Option<PathBuf>,
    /// Writes the chart here; default for a full run: `docs/images/bench-proxy.svg`.
    #[arg(long)]
    chart: Option<PathBuf>,
}

/// What the measurement starts as processes of its own; not for users.
#[derive(clap::Subcommand)]
pub enum Part {
    /// The instance behind the proxies.
    Backend { address: SocketAddr },
    /// The byte forwarder.
    Floor { address: SocketAddr, upstream: SocketAddr },
}

/// Runs a part until it is killed.
pub fn run_part(part: &Part) -> anyhow::Result<()> {
    match part {
        Part::Backend { address } => backend::serve(*address),
        Part::Floor { address, upstream } => floor::serve(*address, *upstream),
    }
}

/// Measures and reports.
pub fn run(options: &Options) -> anyhow::Result<()> {
    tools::ensure(&[tools::WRK])?;
    let cores = Cores::choose()?;
    let wanted =
        |name: &str| name == "floor" || options.only.is_empty() || options.only.iter().any(|only| only == name);
    let contenders = contenders::all(&wanted, options.gapless.as_deref())?;
    let folder = tempfile::tempdir()?;
    let backend = local(free_port()?);
    let log = folder.path().join("backend.log");
    let mut command = std::process::Command::new(contenders::optimised()?);
    command.args(["bench-part", "backend", &backend.to_string()]);
    let _backend = Group::start(&mut command, Some(cores.rest), &log)?;
    await_listening(backend, &log)?;

    let cases = if options.quick { &CONNECTIONS[..1] } else { CONNECTIONS };
    let (rounds, seconds) = if options.quick { (2, 2) } else { (options.rounds, options.seconds) };
    let mut report = Report::default();
    for connections in cases {
        for number in 1..=rounds {
            for contender in &contenders {
                let setting =
                    round::Setting { cores, backend, connections: *connections, seconds, folder: folder.path() };
                let measured = round::measure(&**contender, &setting)?;
                eprintln!(
                    "{connections:>5} connections, round {number} of {rounds}: {:<8} {:>7.2} µs/request {:>8.0} requests/s",
                    contender.name(),
                    measured.cpu_us,
                    measured.rps
                );
                report.enter(*connections, contender.name(), measured);
            }
        }
    }
    eprint!("\n{}", report.table());
    let chart = options.chart.clone().or_else(|| {
        let whole = !options.quick && options.only.is_empty();
        whole.then(|| crate::workspace::root().join("docs/images/bench-proxy.svg"))
    });
    if let Some(path) = chart {
        report.write_chart(&path)?;
        eprintln!("chart: {}", path.display());
    }
    if options.json {
        println!("{}", report.json());
    }
    Ok(())
}
