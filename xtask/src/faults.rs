//! `cargo xtask faults`: the whole fault suite, of which `cargo xtask test` runs the short form.

use std::process::ExitCode;

use clap::Args;

use crate::test;

/// What `cargo xtask faults` is given.
#[derive(Args)]
pub struct Options {
    /// Only cases with one of these in their names, such as `full-disk`; all of them without any.
    cases: Vec<String>,
    /// Runs each case so many times in a row.
    #[arg(long, value_name = "TIMES", default_value_t = 1)]
    repeat: u32,
    /// Keeps every core busy with something else meanwhile.
    #[arg(long)]
    busy: bool,
}

/// Runs the suite `cli/faults` in its whole form.
pub fn run(options: &Options) -> anyhow::Result<ExitCode> {
    test::run(&test::Options::of_faults(&options.cases, options.repeat, options.busy))
}
