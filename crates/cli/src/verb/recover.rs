//! `gapless recover`: rebuilds a lost or damaged journal from what runs, while no controller runs.

use gapless_controller::repair::{
    self, ManifestsOf, Purpose, RebuildFailed, RecoveredService, Recovery, RepairFailed, StoreError,
};

use crate::client::block_on;
use crate::{Context, Exit, Failure, hint};

/// What `gapless recover` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Show what would be rebuilt, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Where the manifests are of several journals: rebuild from those of the journal ID and set the others aside, or from `all`
    #[arg(long, value_name = "ID")]
    pub manifests_of: Option<String>,
}

/// Runs the verb.
///
/// # Errors
/// A controller runs, or what runs could not be kept.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let purpose = if args.dry_run { Purpose::Show } else { Purpose::Act };
    let state = context.state.path();
    let manifests = match args.manifests_of.as_deref() {
        None => ManifestsOf::TheOne,
        Some("all") => ManifestsOf::All,
        Some(journal) => ManifestsOf::Journal(journal.to_owned()),
    };
    let recovery = block_on(async {
        repair::rebuild_journal(state, purpose, manifests).await.map_err(|failed| refused(&failed))
    })?;
    match context.json {
        true => print_line!("{}", json(&recovery))?,
        false => recovery.services.iter().try_for_each(|service| print_line!("{}", line(service)))?,
    }
    for service in &recovery.services {
        service.remarks.iter().for_each(|remark| tell!("{}: {remark}", service.name));
    }
    recovery.unreadable.iter().for_each(|remark| tell!("not used: {remark}"));
    for aside in &recovery.manifests_aside {
        tell!("a manifest that names another journal is now {}", aside.display());
    }
    if let Some(aside) = &recovery.aside {
        tell!("the journal that was there is in {}", aside.display());
    }
    match purpose {
        Purpose::Show => tell!("nothing was changed; without --dry-run this becomes the journal"),
        Purpose::Act => tell!("the journal is rebuilt; start `gapless up`: it takes over what runs"),
    }
    Ok(Exit::Done)
}

fn line(service: &RecoveredService) -> String {
    let current = service.current.as_deref().unwrap_or("none");
    format!(
        "{}: release {current} is current, {} instances taken over, {} releases kept",
        service.name, service.instances, service.releases
    )
}

fn json(recovery: &Recovery) -> serde_json::Value {
    let service = |service: &RecoveredService| {
        serde_json::json!({
            "service": service.name.to_string(),
            "current": service.current,
            "instances": service.instances,
            "releases": service.releases,
            "remarks": service.remarks,
        })
    };
    serde_json::json!({
        "services": recovery.services.iter().map(service).collect::<Vec<_>>(),
        "epoch": recovery.epoch.0,
        "aside": recovery.aside,
        "manifests_aside": recovery.manifests_aside,
        "unreadable": recovery.unreadable,
    })
}

fn refused(failed: &RepairFailed) -> Failure {
    let failure = Failure::new("the journal is not rebuilt; nothing was changed").because(failed).exit(Exit::Refused);
    match failed {
        RepairFailed::Store(StoreError::InUse { .. }) => failure.hint(hint::END_CONTROLLER),
        RepairFailed::Store(StoreError::Full) => failure.hint(hint::MAKE_ROOM),
        RepairFailed::Survey(_) => failure.hint(hint::ASK_PROXY),
        RepairFailed::NoTermAbove { .. } => failure.hint(hint::IMPOSSIBLE_TERM),
        RepairFailed::Nothing => failure.hint(hint::NAME_STATE),
        RepairFailed::SeveralJournals(_) | RepairFailed::NoSuchJournal { .. } => failure.hint(hint::CHOOSE_MANIFESTS),
        RepairFailed::Rebuild(RebuildFailed::UnknownRelease { .. }) => failure.hint(hint::TELL_RELEASE),
        RepairFailed::Rebuild(_)
        | RepairFailed::Store(_)
        | RepairFailed::Copy(_)
        | RepairFailed::Outdated(_)
        | RepairFailed::Folder { .. } => failure.hint(hint::NAME_COPY),
    }
}
