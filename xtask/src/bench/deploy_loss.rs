//! What replacing a release costs the clients, for Gapless and its peers.

use clap::Args;

#[derive(Args)]
pub struct Options {
    /// End stdout with one JSON object.
    #[arg(long)]
    json: bool,
}

pub fn run(options: &Options) -> anyhow::Result<()> {
    anyhow::bail!("bench deploy-loss is not there yet (json: {})", options.json)
}
