//! `gapless backup`: writes a copy of the journal to a file, while the controller runs.

use std::path::PathBuf;

use gapless_wire::api::{BackupAnswer, BackupRequest};

use crate::client::{Client, block_on};
use crate::{Context, Exit, Failure, hint};

/// What `gapless backup` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The file to write; it holds the services' configurations, so it is made with mode 0600
    #[arg(value_name = "FILE")]
    pub to: PathBuf,
    /// Take the place of a file that is there already
    #[arg(long)]
    pub replace: bool,
}

/// Runs the verb.
///
/// # Errors
/// No controller answers, or the file cannot be written.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let to = std::path::absolute(&args.to)
        .map_err(|error| Failure::new(format!("cannot tell where {} is", args.to.display())).because(&error))?;
    let to = to.to_str().ok_or_else(|| Failure::new("the name of the file is no UTF-8").hint(hint::NAME_BACKUP))?;
    let request = BackupRequest { to: to.to_owned(), replace: args.replace };
    let made: BackupAnswer = block_on(async { Client::new(context).post("/v1/backup", &request).await })?;
    if context.json {
        print_line!("{}", serde_json::json!(made))?;
    } else {
        print_line!("{}  {}", made.sha256, made.to)?;
        tell!(
            "the journal up to commit {} of term {} is in {} ({} bytes), read back and verified",
            made.commits,
            made.epoch,
            made.to,
            made.bytes
        );
    }
    Ok(Exit::Done)
}
