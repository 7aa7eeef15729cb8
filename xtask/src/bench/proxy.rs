//! CPU time per request of Gapless and its peers, measured in turn in one run.

use clap::Args;

#[derive(Args)]
pub struct Options {
    /// End stdout with one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::bail!("bench proxy is not there yet (json: {})", options.json)
}
