//! `gapless restore`: puts a copy of the journal back in its place, while no controller runs.

use std::path::{Path, PathBuf};

use gapless_controller::repair::{self, Existing, RepairFailed, Restored, StoreError};

use crate::client::block_on;
use crate::{Context, Exit, Failure, hint};

/// What `gapless restore` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// The copy, as `gapless backup` wrote it
    #[arg(value_name = "FILE")]
    pub copy: PathBuf,
    /// Also where the journal that is there, or what runs, is newer: `gapless up` will refuse it until `gapless recover` has taken
    /// what is newer over
    #[arg(long)]
    pub older: bool,
}

/// Runs the verb.
///
/// # Errors
/// A controller runs, the copy is not whole, or it is older than what is there.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let older = if args.older { Existing::Replace } else { Existing::Keep };
    let state = context.state.path();
    let restored = block_on(async {
        repair::restore(state, &args.copy, older).await.map_err(|failed| refused(&args.copy, &failed))
    })?;
    if context.json {
        print_line!("{}", json(&restored))?;
    }
    let Restored { copy, aside, outdated } = restored;
    tell!("the journal is the copy {} now, at {}", args.copy.display(), copy.position);
    if let Some(aside) = aside {
        tell!("the journal that was there is in {}", aside.display());
    }
    match outdated {
        Some(outdated) => tell!("`gapless up` will refuse it: {outdated}; {}", hint::RECOVER_NEXT),
        None => tell!("start `gapless up`: it takes over what runs"),
    }
    Ok(Exit::Done)
}

fn json(restored: &Restored) -> serde_json::Value {
    serde_json::json!({
        "epoch": restored.copy.position.epoch.0,
        "commits": restored.copy.position.commits,
        "sha256": restored.copy.sha256,
        "aside": restored.aside,
        "outdated": restored.outdated.as_ref().map(ToString::to_string),
    })
}

fn refused(copy: &Path, failed: &RepairFailed) -> Failure {
    let failure = Failure::new(format!("{} is not restored; nothing was changed", copy.display())).because(failed);
    let failure = failure.exit(Exit::Refused);
    match failed {
        RepairFailed::Store(StoreError::InUse { .. }) => failure.hint(hint::END_CONTROLLER),
        RepairFailed::Store(StoreError::NewerThanCopy { .. }) => failure.hint(hint::NEWER_THAN_COPY),
        RepairFailed::Store(StoreError::Newer { .. }) => failure.hint(hint::NEWER_JOURNAL),
        RepairFailed::Store(StoreError::Full) => failure.hint(hint::MAKE_ROOM),
        RepairFailed::Outdated(_) => failure.hint(hint::OLDER_COPY),
        RepairFailed::Survey(_) => failure.hint(hint::ASK_PROXY),
        RepairFailed::Store(_) | RepairFailed::Copy(_) => failure.hint(hint::ANOTHER_COPY),
        RepairFailed::Folder { .. }
        | RepairFailed::Nothing
        | RepairFailed::SeveralJournals(_)
        | RepairFailed::NoSuchJournal { .. }
        | RepairFailed::NoTermAbove { .. }
        | RepairFailed::Rebuild(_) => failure.hint(hint::NAME_STATE),
    }
}
