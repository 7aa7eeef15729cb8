//! `cargo xtask test`: what CI runs, in a fresh clone as anywhere.
//!
//! Everything is built once, then each suite runs as a process of its own, whether the ones before it passed or not. What
//! failed is listed at the end, with the command that runs it again.

mod busy;
mod closing;
mod counts;
mod discover;
mod run;
mod select;
mod suite;

use std::process::ExitCode;

use clap::Args;

use crate::tools::{self, HAPROXY, MKFS, NGINX, NODE, SERVERS, WRK};
use busy::Busy;
pub use busy::spin;
use closing::Closing;
use run::Runner;
use select::Selection;
use suite::Suite;

/// Where the end-to-end suites find the Python programs; without it those suites say what they lack and are skipped.
pub const PYTHON_ENV: &str = "GAPLESS_E2E_PYTHON";
/// Set when every suite has to run: a suite that lacks something then fails instead of being skipped.
pub const ALL_ENV: &str = "GAPLESS_E2E";
/// Set for the short form: suites take fewer seeds, fewer crash points, shorter loads.
pub const QUICK_ENV: &str = "GAPLESS_QUICK";

/// The fault suite's name.
const FAULTS: &str = "cli/faults";
/// Set for the long form of the fault suite.
pub const FAULTS_ENV: &str = "GAPLESS_FAULTS";

/// The most times one suite is run in a row.
const REPEATS_MAX: u32 = 1_000;

/// What `cargo xtask test` is given.
#[derive(Args)]
pub struct Options {
    /// A few minutes instead of all, for daily use: fewer seeds, shorter loads, no lints, no documentation.
    #[arg(long)]
    quick: bool,
    /// Only these suites, as `--list` names them: `proxy/drain`, `cli/e2e:crash` (a part of a test's name behind the colon), `proxy` (all
    /// of a crate), `demo`.
    #[arg(long, value_name = "SUITE", value_delimiter = ',')]
    only: Vec<Selection>,
    /// Runs each suite so many times in a row and shows how often it failed.
    #[arg(long, value_name = "TIMES", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=i64::from(REPEATS_MAX)))]
    repeat: u32,
    /// Keeps every core busy with something else meanwhile: what holds only on a quiet machine does not hold.
    #[arg(long)]
    busy: bool,
    /// Lists the suites and runs none.
    #[arg(long)]
    list: bool,
    /// Every case of the fault suite instead of those that are marked `short`.
    #[arg(long)]
    all_faults: bool,
}

impl Options {
    /// The fault suite whole, or the cases of it that are named.
    pub fn of_faults(cases: &[String], repeat: u32, busy: bool) -> Self {
        let named = |case: &String| Selection { suite: FAULTS.to_owned(), filter: Some(case.clone()) };
        let mut only: Vec<Selection> = cases.iter().map(named).collect();
        if only.is_empty() {
            only.push(Selection { suite: FAULTS.to_owned(), filter: None });
        }
        Self { quick: false, only, repeat, busy, list: false, all_faults: true }
    }
}

/// Builds and runs every selected suite. The exit code says whether all of them passed; nothing is written behind the closing line.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let suites = suites(options)?;
    if options.list {
        suites.iter().for_each(|suite| println!("{}", suite.name));
        return Ok(ExitCode::SUCCESS);
    }
    let runner = Runner::new(environment(options, &suites)?)?;
    let busy = options.busy.then(Busy::start).transpose()?;
    let mut closing = Closing::new(options.repeat);
    for suite in &suites {
        for round in 0..options.repeat {
            closing.add(suite, round, runner.run(suite));
        }
    }
    drop(busy);
    Ok(if closing.show() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The suites that are selected, in the order in which they run: what is quickly told comes first.
fn suites(options: &Options) -> anyhow::Result<Vec<Suite>> {
    let mut all = Vec::new();
    if select::any_of(&options.only, "check") {
        all.extend(suite::checks(options.quick && options.only.is_empty()));
    }
    all.extend(discover::built(&options.only)?);
    if select::any_of(&options.only, "doc") {
        all.push(suite::documentation_examples());
    }
    if select::any_of(&options.only, "demo") && !(options.quick && options.only.is_empty()) {
        all.push(suite::demo());
    }
    let wanted = select::choose(all, &options.only)?;
    Ok(wanted)
}

/// What the suites find in their environment. What they need and the machine lacks is installed before.
fn environment(options: &Options, suites: &[Suite]) -> anyhow::Result<Vec<(&'static str, std::ffi::OsString)>> {
    let mut environment = Vec::new();
    if suites.iter().any(|suite| suite.name.starts_with("cli/")) {
        tools::ensure(&[NGINX, HAPROXY, NODE, WRK])?;
        if rustix::process::geteuid().is_root() {
            tools::ensure(&[MKFS])?;
        }
        environment.push((ALL_ENV, "1".into()));
        environment.push((PYTHON_ENV, tools::python_packages(SERVERS)?.into_os_string()));
    }
    if options.all_faults {
        environment.push((FAULTS_ENV, "whole".into()));
    }
    if options.quick {
        environment.push((QUICK_ENV, "1".into()));
    }
    Ok(environment)
}
