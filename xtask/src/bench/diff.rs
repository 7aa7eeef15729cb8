//! Two runs of one release, compared: what `logs diff` says where nothing has changed, and whether it sees the one line that has.
//!
//! Every finding here is false but the planted one: an ERROR of which there is one line in the second run.

use super::services::{Layout, Service, read_all};
use anyhow::Context;
use clap::Args;
use gapless_judge::logs::{Change, Comparison, Difference, Options as Compare, Reader, Side, Tally, compare};
use serde::Serialize;

/// Lines of a run, in records.
const SIZES: [usize; 2] = [2_000, 100_000];
/// The message of the planted line, and its words that no service writes.
const PLANTED: &str = "ledger checksum mismatch in segment 7";
const PLANTED_WORDS: &str = "checksum mismatch";

#[derive(Args)]
pub struct Options {
    /// Pairs of runs for each service and size.
    #[arg(long, default_value_t = 1)]
    pairs: u64,
    /// Only the services with this in their names.
    #[arg(long)]
    only: Option<String>,
    /// Only runs of 2,000 records.
    #[arg(long)]
    quick: bool,
    /// Show every finding.
    #[arg(long)]
    findings: bool,
    /// End stdout with one JSON object.
    #[arg(long)]
    json: bool,
    /// Print what one service logs in one run instead, a JSON object per call of the logger: what the programs that write the
    /// labelled samples are given.
    #[arg(long, value_name = "SERVICE")]
    events: Option<String>,
    /// With --events: how many.
    #[arg(long, default_value_t = 300)]
    count: usize,
    /// With --events: which run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Findings over all services at one size.
#[derive(Debug, Serialize)]
struct Row {
    records: usize,
    diffs: usize,
    findings_median: usize,
    findings_p95: usize,
    findings_max: usize,
    planted_found: usize,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    let services = read_all()?;
    if let Some(name) = &options.events {
        let service = services.iter().find(|service| service.name == *name).context("no such service")?;
        for event in service.run(options.count, options.seed) {
            println!("{}", serde_json::to_string(&event)?);
        }
        return Ok(());
    }
    let wanted = |service: &&Service| options.only.as_ref().is_none_or(|part| service.name.contains(part));
    let services: Vec<&Service> = services.iter().filter(wanted).collect();
    let mut rows = Vec::new();
    eprintln!("{:>8} {:<16} {:>9} {:>8}", "records", "service", "findings", "planted");
    for &size in if options.quick { &SIZES[..1] } else { &SIZES[..] } {
        let mut findings = Vec::new();
        let mut planted_found = 0;
        for service in &services {
            for pair in 0..options.pairs {
                let (count, planted) = diff_of(service, size, pair, options.findings);
                eprintln!("{size:>8} {:<16} {count:>9} {:>8}", service.name, if planted { "found" } else { "MISSED" });
                findings.push(count);
                planted_found += usize::from(planted);
            }
        }
        findings.sort_unstable();
        rows.push(row(size, &findings, planted_found));
    }
    for row in &rows {
        eprintln!(
            "{} records: {} diffs, findings median {}, p95 {}, most {}; planted line found in {}",
            row.records, row.diffs, row.findings_median, row.findings_p95, row.findings_max, row.planted_found
        );
    }
    if options.json {
        println!("{}", serde_json::to_string(&serde_json::json!({ "diff": rows }))?);
    }
    Ok(())
}

fn row(records: usize, findings: &[usize], planted_found: usize) -> Row {
    let at = |share: f64| {
        let place = (findings.len() as f64 * share).ceil() as usize;
        findings.get(place.saturating_sub(1)).copied().unwrap_or(0)
    };
    Row {
        records,
        diffs: findings.len(),
        findings_median: at(0.5),
        findings_p95: at(0.95),
        findings_max: at(1.0),
        planted_found,
    }
}

/// False findings of one pair of runs, and whether the planted line was found.
fn diff_of(service: &Service, size: usize, pair: u64, show: bool) -> (usize, bool) {
    let mut tally = Tally::new();
    take(&text(service, size, pair * 2 + 1, None), Side::Current, &mut tally);
    take(&text(service, size, pair * 2 + 2, Some(size * 2 / 3)), Side::Candidate, &mut tally);
    let comparison = compare(&tally, &Compare::default());
    let is_planted =
        |row: &Difference| row.change == Change::New && row.counted.signature.template.contains(PLANTED_WORDS);
    if show {
        show_findings(&comparison);
    }
    let found = comparison.rows.iter().filter(|row| row.change != Change::Same);
    let (planted, others): (Vec<&Difference>, Vec<&Difference>) = found.partition(|row| is_planted(row));
    (others.len(), planted.iter().any(|row| row.counted.counts == [0, 1]))
}

fn show_findings(comparison: &Comparison) {
    for row in comparison.rows.iter().filter(|row| row.change != Change::Same) {
        let signature = &row.counted.signature;
        let [old, new] = row.counted.counts;
        eprintln!(
            "    {:?} {old} → {new}  {:?} {:?} {}",
            row.change, signature.severity, signature.logger, signature.template
        );
    }
}

/// One run as a file has it; `planted`: before which record the ERROR of the second run stands.
fn text(service: &Service, size: usize, seed: u64, planted: Option<usize>) -> String {
    let mut layout = Layout::new(&service.layout);
    let mut out = String::new();
    for (index, event) in service.run(size, seed).enumerate() {
        if planted == Some(index) {
            let error = service.error_like(&event, PLANTED);
            layout.write(&error, &mut out);
        }
        layout.write(&event, &mut out);
    }
    out
}

fn take(text: &str, side: Side, tally: &mut Tally) {
    let mut reader = Reader::default();
    for chunk in text.as_bytes().chunks(64 * 1024) {
        reader.push(chunk, |record| {
            tally.add(side, record);
        });
    }
    reader.finish(|record| {
        tally.add(side, record);
    });
}
