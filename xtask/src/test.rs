//! `cargo xtask test`: what CI runs, in a fresh clone as anywhere.

use clap::Args;

use crate::tools::{self, NGINX, NODE, SERVERS, WRK};
use crate::{check, workspace};

/// Where the end-to-end suites find the Python programs; without it those suites say what they lack and are skipped.
pub const PYTHON_ENV: &str = "GAPLESS_E2E_PYTHON";
/// Set when every suite has to run: a suite that lacks something then fails instead of being skipped.
pub const ALL_ENV: &str = "GAPLESS_E2E";
/// Set for the short form: suites take fewer seeds, fewer crash points, shorter loads.
pub const QUICK_ENV: &str = "GAPLESS_QUICK";

#[derive(Args)]
pub struct Options {
    /// A few minutes instead of all: fewer seeds, the shortest end-to-end suites, no lints.
    #[arg(long)]
    quick: bool,
}

/// The rules first, then what has to be installed, then every test of the workspace.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let rules_only = options.quick;
    check::run(&check::Options { rules_only })?;
    tools::ensure(&[NGINX, NODE, WRK])?;
    let programs = tools::python_packages(SERVERS)?;
    let mut units = workspace::cargo(&["test", "--workspace", "--lib", "--bins", "--tests"]);
    units.env(ALL_ENV, "1").env(PYTHON_ENV, programs);
    if options.quick {
        units.env(QUICK_ENV, "1");
    }
    workspace::run(&mut units)?;
    workspace::run(&mut workspace::cargo(&["test", "--workspace", "--doc"]))?;
    Ok(())
}
