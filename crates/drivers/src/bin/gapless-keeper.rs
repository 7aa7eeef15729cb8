//! The keeper as a program of its own, for the tests of this crate; `gapless keeper` is the same function.

use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|verb| verb != "keeper") {
        return ExitCode::from(2);
    }
    gapless_drivers::keeper::run(arguments)
}
