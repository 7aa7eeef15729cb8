//! `gapless completions`: the completions for a shell, on stdout.

use clap::CommandFactory;

use crate::follow::print_text;
use crate::{Arguments, Context, Exit, Failure};

/// What `gapless completions` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Runs the verb.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &Args, _context: &Context) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Arguments::command(), "gapless", &mut script);
    print_text(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}
