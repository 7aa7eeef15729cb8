//! What replacing a release costs the clients, for Gapless and for its peers.
//!
//! The same service (four instances, start-up 1 s, graceful on SIGTERM) is replaced again and again, one instance at a time, behind
//! each load balancer in turn, while open-loop clients send over kept and over new connections, POSTs and chunked bodies included. A
//! request is lost when it gets no whole, right answer or a 5xx; the clients repeat nothing, because a POST may not be repeated and
//! many clients repeat no GET either.
//!
//! The peers are driven by the script their documentation recommends (each peer's `way`); Gapless by its own command line. No peer is
//! made to sleep longer than its own signs of "in force" ask for.

mod by_gapless;
mod by_script;
mod service;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use gapless_load::{Connections, Kind, Plan, Run, Sums};
use serde_json::{Value, json};

use super::peers;
use crate::workspace;

/// The names that `--only` takes.
const NAMES: &[&str] = &["gapless", "nginx", "haproxy", "caddy", "traefik", "envoy"];
/// Instances of the service.
const INSTANCES: usize = 4;
/// Load before the first deploy and after the last.
const MARGIN: Duration = Duration::from_secs(2);

#[derive(Args)]
pub struct Options {
    /// End stdout with one JSON object: proxy → lost, duplicated, slow, seconds_per_deploy.
    #[arg(long)]
    json: bool,
    /// Only these, by name.
    #[arg(long, value_delimiter = ',', value_parser = clap::builder::PossibleValuesParser::new(NAMES))]
    only: Vec<String>,
    /// How often the service is replaced.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=50))]
    rounds: u16,
    /// The `gapless` program to measure; default: built from this workspace.
    #[arg(long)]
    gapless: Option<PathBuf>,
}

/// Something that can replace the service behind a load balancer.
pub trait Deployer {
    fn name(&self) -> &'static str;
    fn way(&self) -> String;
    /// Where the clients connect.
    fn listen(&self) -> std::net::SocketAddr;
    /// Replaces the service once.
    fn deploy(&mut self, round: u16) -> anyhow::Result<()>;
}

/// One line of the table.
struct Row {
    name: &'static str,
    way: String,
    deploys: u16,
    seconds_per_deploy: f64,
    sums: Sums,
}

/// Measures and reports.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let wanted = |name: &str| options.only.is_empty() || options.only.iter().any(|only| only == name);
    let program = workspace::release_binary("gapless-load", "sample-service")?;
    let mut rows = Vec::new();
    if wanted("gapless") {
        let gapless = match &options.gapless {
            Some(program) => program.clone(),
            None => workspace::release_binary("gapless", "gapless")?,
        };
        let folder = tempfile::tempdir()?;
        let seen = folder.path().join("seen");
        let mut deployer = by_gapless::ByGapless::start(&gapless, &program, folder.path(), &seen)?;
        rows.push(measure(&mut deployer, options.rounds, seen)?);
    }
    for peer in peers::all(&wanted)? {
        let folder = tempfile::tempdir()?;
        let seen = folder.path().join("seen");
        let mut deployer = by_script::ByScript::start(peer, &program, folder.path(), &seen)?;
        rows.push(measure(&mut deployer, options.rounds, seen)?);
    }
    eprint!("\n{}", table(&rows));
    if options.json {
        println!("{}", object(&rows));
    }
    Ok(())
}

fn measure(deployer: &mut dyn Deployer, rounds: u16, seen: PathBuf) -> anyhow::Result<Row> {
    let name = deployer.name();
    let run = Run::start(plan(deployer.listen(), seen))?;
    std::thread::sleep(MARGIN);
    let mut seconds = 0.0;
    for round in 1..=rounds {
        let begun = std::time::Instant::now();
        deployer.deploy(round)?;
        let took = begun.elapsed().as_secs_f64();
        seconds += took;
        let lost = run.snapshot().lost;
        eprintln!("{name}: deploy {round} of {rounds} took {took:.1} s, {lost} requests lost so far");
    }
    std::thread::sleep(MARGIN);
    run.stop();
    let sums = run.finish()?;
    for incident in sums.incidents.iter().take(5) {
        eprintln!("{name}: {} {} at {} ms: {}", incident.kind, incident.id, incident.at_ms, incident.fate);
    }
    Ok(Row { name, way: deployer.way(), deploys: rounds, seconds_per_deploy: seconds / f64::from(rounds), sums })
}

/// The load: about 300 requests a second, some of them under way at any moment.
fn plan(listen: std::net::SocketAddr, seen: PathBuf) -> Plan {
    let post = Kind::Post { bytes: 1_024 };
    let mut plan = Plan::new(listen)
        .with(Kind::Get, Connections::Kept(32), 120.0, "/")
        .with(Kind::Get, Connections::New, 50.0, "/")
        .with(post, Connections::Kept(16), 60.0, "/")
        .with(post, Connections::New, 30.0, "/")
        .with(Kind::PostChunked { bytes: 20_000 }, Connections::Kept(8), 10.0, "/")
        .with(Kind::Get, Connections::Kept(16), 20.0, "/slow?ms=300")
        .with(Kind::SlowUpload { bytes: 50_000, over: Duration::from_secs(2) }, Connections::New, 2.0, "/");
    plan.duration = gapless_load::DURATION_MAX;
    plan.seen = Some(seen);
    plan
}

fn table(rows: &[Row]) -> String {
    let mut text = String::from(
        "| proxy | requests | lost | duplicated | slower than 1 s | p99.9 ms | seconds per deploy | what was lost |\n\
         |---|---|---|---|---|---|---|---|\n",
    );
    for row in rows {
        let sums = &row.sums;
        let by: Vec<String> = sums.lost_by.iter().map(|(how, count)| format!("{count} {how}")).collect();
        text.push_str(&format!(
            "| {} | {} | {} | {} | {} | {:.0} | {:.1} | {} |\n",
            row.name,
            sums.scheduled,
            sums.lost,
            sums.duplicated,
            sums.slow,
            sums.latency.p999_ms,
            row.seconds_per_deploy,
            by.join(", ")
        ));
    }
    text.push('\n');
    for row in rows {
        text.push_str(&format!("- {} ({} deploys): {}\n", row.name, row.deploys, row.way));
    }
    text
}

fn object(rows: &[Row]) -> Value {
    let entry = |row: &Row| {
        let sums = &row.sums;
        let value = json!({
            "requests": sums.scheduled, "lost": sums.lost, "lost_by": sums.lost_by, "duplicated": sums.duplicated,
            "slow": sums.slow, "deploys": row.deploys, "p999_ms": sums.latency.p999_ms,
            "seconds_per_deploy": (row.seconds_per_deploy * 1e3).round() / 1e3,
        });
        (row.name.to_owned(), value)
    };
    Value::Object(rows.iter().map(entry).collect())
}
