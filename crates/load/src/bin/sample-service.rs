//! The sample service by itself, for tests and benchmarks; users meet it as a hidden verb of `gapless`.

use std::process::ExitCode;

use clap::Parser;
use gapless_load::sample;

#[derive(Parser)]
#[command(name = "sample-service")]
struct Arguments {
    #[command(flatten)]
    options: sample::Options,
}

fn main() -> ExitCode {
    match sample::run(&Arguments::parse().options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
