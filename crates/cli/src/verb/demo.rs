//! `gapless demo`: everything on this machine, under load, in a minute.

use crate::{Context, Exit, Failure};

/// What `gapless demo` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How long its load may last at most, in seconds
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(20..=600))]
    pub seconds: u32,
    /// Keep the folder with its state and logs
    #[arg(long)]
    pub keep: bool,
}

/// Runs the verb.
///
/// # Errors
/// What failed.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    crate::demo::run(args, context)
}
