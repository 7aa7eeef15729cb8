//! Measurements, one file per question. Each prints a table on stderr and, with `--json`, one final object on stdout.

mod deploy_loss;
mod diff;
mod judge;
mod logs;
mod logs_speed;
pub mod median;
mod peers;
pub mod process;
mod proxy;
mod services;

use clap::Subcommand;

/// What can be measured. A further measurement is a variant here, an arm in [`run`] and a file beside this one.
#[derive(Subcommand)]
pub enum Bench {
    /// CPU time per request, side by side with other proxies and a byte forwarder as the floor.
    Proxy(proxy::Options),
    /// What the judge's guarantee is worth: false roll-backs, delay against the bound, other systems' rules.
    Judge(judge::Options),
    /// What a deploy costs the clients, side by side with other load balancers.
    DeployLoss(deploy_loss::Options),
    /// How well and how fast log lines become signatures.
    Logs(logs::Options),
    /// What `logs diff` finds between two runs of one release, and whether it sees one new ERROR line.
    Diff(diff::Options),
}

/// Runs one measurement to its end.
pub fn run(what: &Bench) -> anyhow::Result<()> {
    match what {
        Bench::Proxy(options) => proxy::run(options),
        Bench::Judge(options) => judge::run(options),
        Bench::DeployLoss(options) => deploy_loss::run(options),
        Bench::Logs(options) => logs::run(options),
        Bench::Diff(options) => diff::run(options),
    }
}

pub use proxy::{Part, run_part};
