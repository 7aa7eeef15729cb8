//! `gapless keeper`: the parent of one instance; started by the controller.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::{Context, Exit, Failure};

/// What `gapless keeper` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The file that says what to keep
    #[arg(long, value_name = "FILE")]
    pub spec: PathBuf,
    /// The instance runs already and its keeper died
    #[arg(long)]
    pub take_over: bool,
}

/// Runs the verb. The keeper says by itself what fails, to its own log and to whoever started it.
///
/// # Errors
/// None.
pub fn run(args: &Args, _context: &Context) -> Result<Exit, Failure> {
    let mut arguments = vec![OsString::from("--spec"), args.spec.clone().into()];
    arguments.extend(args.take_over.then(|| OsString::from("--take-over")));
    let code = gapless_drivers::keeper::run(arguments);
    Ok(if code == ExitCode::SUCCESS { Exit::Done } else { Exit::Error })
}
