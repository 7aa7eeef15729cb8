//! `gapless sample-service`: a small service to try things with.

use crate::{Context, Exit, Failure};

/// What `gapless sample-service` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How it runs, and how it misbehaves.
    #[command(flatten)]
    pub options: gapless_load::sample::Options,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(args: &Args, _context: &Context) -> Result<Exit, Failure> {
    gapless_load::sample::run(&args.options)
        .map(|()| Exit::Done)
        .map_err(|error| Failure::new("the sample service did not run").because(&error))
}
