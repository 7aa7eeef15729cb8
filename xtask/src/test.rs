//! `cargo xtask test`: what CI runs.

use clap::Args;

use crate::{check, workspace};

#[derive(Args)]
pub struct Options {
    /// A few minutes instead of all: fewer seeds and the shortest end-to-end suite.
    #[arg(long)]
    quick: bool,
}

/// `check`, then every test of the workspace.
pub fn run(options: &Options) -> anyhow::Result<()> {
    check::run(&check::Options::default())?;
    let mut command = workspace::cargo(&["test", "--workspace"]);
    if options.quick {
        command.env("GAPLESS_QUICK", "1");
    }
    workspace::run(&mut command)
}
