//! The project's own commands: one file per verb, `cargo xtask <verb>`.
//!
//! What a contributor runs and what CI runs is the same code: `.ci/run` calls `cargo xtask test`. The verbs print their
//! talk on stderr and their data on stdout, as the program itself does.

mod attack;
mod bench;
mod check;
mod docs;
mod faults;
mod nginx;
mod prepare;
mod sim;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "xtask", about = "The project's own commands.")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Format, lints, documentation, file sizes and the dependency rule between crates.
    Check(check::Options),
    /// Everything CI runs: `check`, unit tests, end-to-end suites with real servers. Installs what is missing.
    Test(test::Options),
    /// The whole fault suite: disks that are full, failing or slow, processes killed and frozen, journals damaged, under load.
    Faults(faults::Options),
    /// Attacks on the release build as data, and the same on other proxies: what gets through.
    Attack(attack::Options),
    /// What `attack` puts behind a proxy.
    #[command(name = attack::ORIGIN, hide = true)]
    AttackOrigin {
        /// The port, the folder of the cases, the file for the record.
        #[arg(num_args = 3)]
        arguments: Vec<String>,
    },
    /// Measurements.
    Bench {
        #[command(subcommand)]
        what: bench::Bench,
    },
    /// What `bench` starts as processes of its own.
    #[command(hide = true)]
    BenchPart {
        #[command(subcommand)]
        part: bench::Part,
    },
    /// What keeps a core busy for `test --busy`.
    #[command(hide = true)]
    Spin,
    /// The deterministic world: seeds swept through simulated rollouts.
    Sim(sim::Options),
    /// Builds the documentation, the generated parts first.
    Docs(docs::Options),
}

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            error.chain().skip(1).for_each(|cause| eprintln!("caused by: {cause}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> anyhow::Result<ExitCode> {
    match Arguments::parse().verb {
        Verb::Check(options) => check::run(&options)?,
        Verb::Test(options) => return test::run(&options),
        Verb::Faults(options) => return faults::run(&options),
        Verb::Attack(options) => attack::run(&options)?,
        Verb::AttackOrigin { arguments } => attack::serve_origin(&arguments)?,
        Verb::Bench { what } => bench::run(&what)?,
        Verb::BenchPart { part } => bench::run_part(&part)?,
        Verb::Spin => test::spin()?,
        Verb::Sim(options) => sim::run(&options)?,
        Verb::Docs(options) => docs::run(&options)?,
    }
    Ok(ExitCode::SUCCESS)
}
