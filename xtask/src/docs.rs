//! `cargo xtask docs`: writes the reference pages from the program's own tables, then builds the API documentation with every warning an
//! error.

use clap::Args;

use crate::workspace;

#[derive(Args, Default)]
pub struct Options {
    /// Open it in a browser afterwards.
    #[arg(long)]
    open: bool,
}

/// Broken links and missing pages are errors: documentation that does not build is a defect like any other.
pub fn run(options: &Options) -> anyhow::Result<()> {
    let mut reference = workspace::cargo(&["test", "--quiet", "--package", "gapless", "--test", "reference"]);
    workspace::run(reference.env("GAPLESS_WRITE_REFERENCE", "1"))?;
    let mut arguments = vec!["doc", "--workspace", "--no-deps", "--document-private-items"];
    if options.open {
        arguments.push("--open");
    }
    workspace::run(workspace::cargo(&arguments).env("RUSTDOCFLAGS", "-D warnings"))
}
