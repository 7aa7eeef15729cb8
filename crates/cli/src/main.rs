//! The `gapless` program. All of it is in the library of this crate, where tests and the documentation generator reach it.

use std::process::ExitCode;

fn main() -> ExitCode {
    gapless_cli::main()
}
