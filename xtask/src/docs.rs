//! `cargo xtask docs`: writes the reference pages from the program's own tables, then builds the API documentation with every warning an
//! error.

use std::process::Command;

use clap::Args;

use crate::workspace;

#[derive(Args, Default)]
pub struct Options {
    /// Open it in a browser afterwards.
    #[arg(long)]
    open: bool,
}

/// What happens with the documentation once it is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// It lies in `target/doc`.
    Nothing,
    /// A browser shows it.
    Open,
}

/// Broken links and missing pages are errors: documentation that does not build is a defect like any other.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut reference = workspace::cargo(&["test", "--quiet", "--package", "gapless", "--test", "reference"]);
    workspace::run(reference.env("GAPLESS_WRITE_REFERENCE", "1"))?;
    workspace::run(&mut build(if options.open { After::Open } else { After::Nothing }))
}

/// Builds the API documentation and writes nothing into the sources: a check may not mend what it is to find.
pub fn build(after: After) -> Command {
    let mut command = workspace::cargo(&["doc", "--workspace", "--no-deps", "--document-private-items"]);
    if after == After::Open {
        command.arg("--open");
    }
    command.env("RUSTDOCFLAGS", "-D warnings");
    command
}
