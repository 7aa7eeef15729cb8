//! The `gapless` program: one file per verb.
//!
//! Owns: the command line, how answers are shown to people and to programs, exit codes, and the words of every hint.
//! Refuses to know: how anything is decided. A verb reads its arguments, asks the controller (or starts a process of which it is
//! the entry), and shows the answer.
//!
//! **Invariant C1**: stdout is data, stderr is talk. What a program may want to read is on stdout; progress, notes and errors are not.
//!
//! **Invariant C2**: every end of the program is one of the exit codes in [`exit`]; the table there is the documentation.
//!
//! **Invariant C3**: an error has three parts, and its hint comes from [`hint`], so that the same trouble is mended by the same words.

/// Says a line on stderr. As `eprintln!`, which panics where nobody reads any more.
macro_rules! tell {
    ($($words:tt)*) => { gapless_drivers::talk::say(format_args!($($words)*)) };
}

/// Prints a line on stdout. As `println!`, which panics where nobody reads any more (`| head`).
macro_rules! print_line {
    ($($words:tt)*) => { $crate::follow::print_text(&format!("{}\n", format_args!($($words)*))) };
}

mod arguments;
pub mod client;
mod demo;
pub mod exit;
mod failure;
pub mod follow;
pub mod hint;
pub mod init;
pub mod project;
pub mod reference;
mod service_manager;
pub mod show;
mod state;
mod talk;
pub mod verb;

pub use arguments::{Arguments, Context, Verb};
pub use exit::Exit;
pub use failure::Failure;
pub use state::StateFolder;

use clap::Parser;

/// The whole program: parses the command line, runs the verb, prints the error if there is one.
#[must_use]
pub fn main() -> std::process::ExitCode {
    let arguments = Arguments::parse();
    let context = match arguments.context() {
        Ok(context) => context,
        Err(failure) => return failure.report(arguments.json).into(),
    };
    let exit = verb::run(arguments.verb, &context).unwrap_or_else(|failure| failure.report(context.json));
    gapless_drivers::talk::finish();
    exit.into()
}
