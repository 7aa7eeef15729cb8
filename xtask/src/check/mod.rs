//! `cargo xtask check`: the rules of the house that a machine can check.
//!
//! The cheap ones come first, so that a long file or a forbidden edge is told before the compiler is started.

mod dependencies;
mod shape;
mod sizes;

use std::process::Command;

use anyhow::bail;
use clap::Args;

use crate::{docs, workspace};

/// Which parts to leave out; none by default.
#[derive(Args, Default)]
pub struct Options {
    /// Only the rules that need no compiler: file sizes, dependencies between crates, methods and circles among files.
    #[arg(long)]
    pub rules_only: bool,
}

/// One thing that is checked. `cargo xtask test` runs each as a suite of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// File sizes, the dependency rule between crates, and the shape of each.
    Rules,
    /// `cargo fmt`.
    Format,
    /// `cargo clippy` with every warning an error.
    Lints,
    /// `cargo doc` with every warning an error. The pages in `docs/reference` have a suite of their own, `cli/reference`.
    Documentation,
}

impl Step {
    /// All of them, the cheap ones first.
    pub const ALL: &[Self] = &[Self::Rules, Self::Format, Self::Lints, Self::Documentation];

    /// Its name among the suites.
    pub fn name(self) -> &'static str {
        match self {
            Self::Rules => "rules",
            Self::Format => "format",
            Self::Lints => "lints",
            Self::Documentation => "documentation",
        }
    }

    /// Whether it needs no compiler.
    pub fn is_quick(self) -> bool {
        match self {
            Self::Rules | Self::Format => true,
            Self::Lints | Self::Documentation => false,
        }
    }

    /// The process that checks it.
    pub fn command(self) -> Command {
        match self {
            Self::Rules => {
                let mut command = Command::new(workspace::this_program());
                command.args(["check", "--rules-only"]).current_dir(workspace::root());
                command
            }
            Self::Format => workspace::cargo(&["fmt", "--all", "--check"]),
            Self::Lints => workspace::cargo(&["clippy", "--workspace", "--all-targets", "--", "--deny", "warnings"]),
            Self::Documentation => docs::build(docs::After::Nothing),
        }
    }
}

/// Runs every check; the first that fails ends it with what to mend.
pub fn run(options: &Options) -> anyhow::Result<()> {
    rules()?;
    if options.rules_only {
        return Ok(());
    }
    let others = Step::ALL.iter().filter(|step| **step != Step::Rules);
    others.into_iter().try_for_each(|step| workspace::run(&mut step.command()))
}

fn rules() -> anyhow::Result<()> {
    let mut findings = sizes::findings(&workspace::root())?;
    findings.extend(dependencies::findings(&workspace::root())?);
    findings.extend(shape::findings(&workspace::root())?);
    for finding in &findings {
        eprintln!("error: {finding}");
    }
    if !findings.is_empty() {
        bail!("{} rules of the house are broken (see above)", findings.len());
    }
    Ok(())
}
