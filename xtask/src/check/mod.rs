//! `cargo xtask check`: the rules of the house that a machine can check.
//!
//! The cheap ones come first, so that a long file or a forbidden edge is told before the compiler is started.

mod dependencies;
mod sizes;

use anyhow::bail;
use clap::Args;

use crate::{docs, workspace};

/// Which parts to leave out; none by default.
#[derive(Args, Default)]
pub struct Options {
    /// Only the rules that need no compiler: file sizes and dependencies.
    #[arg(long)]
    pub rules_only: bool,
}

/// Runs every check; the first that fails ends it with what to mend.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut findings = sizes::findings(&workspace::root())?;
    findings.extend(dependencies::findings(&workspace::root())?);
    for finding in &findings {
        eprintln!("error: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} rules of the house are broken (see above)", findings.len());
    }
    if options.rules_only {
        return Ok(());
    }
    workspace::run(&mut workspace::cargo(&["fmt", "--all", "--check"]))?;
    workspace::run(&mut workspace::cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]))?;
    docs::run(&docs::Options::default())
}
