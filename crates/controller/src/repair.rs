//! What is done to a journal while no controller runs: a copy put in its place, or a journal rebuilt from what runs. Neither ends,
//! starts or tells anything; the next `gapless up` acts.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gapless_journal::{BackUp, Batch, Sequence, SqliteStore, Store, inspect, refuse_in_use};
pub use gapless_journal::{Existing, StoreError};
use gapless_model::{Digest, Epoch, ReleaseId, ServiceName, Tick};
use gapless_wire::record::{REST_KIND, ReleaseRecord, RestRecord};

use crate::identity;
use crate::manifest;
pub use crate::rebuild::RebuildFailed;
use crate::rebuild::{Known, Rebuilt, rebuild};
use crate::survey::{Survey, SurveyFailed};
use gapless_fleet::recover::{self, RecoverError, Recovered};
use gapless_fleet::tables::{IDENTITY, RECEIPTS, RELEASES, fact_key};
use gapless_fleet::traces::{Outdated, Traces};

/// The folder in which a journal is made or looked into before it takes its place.
const WORKSHOP: &str = "journal.workshop";

/// Why a journal was not repaired. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum RepairFailed {
    /// What runs and lies beside the journal cannot be looked at.
    #[error("it cannot be told what runs")]
    Survey(#[from] SurveyFailed),
    /// The journal or the copy cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The copy cannot be replayed.
    #[error("the copy cannot be used")]
    Copy(#[from] RecoverError),
    /// The copy is older than what runs.
    #[error("a controller on this copy would not be allowed to act")]
    Outdated(#[from] Outdated),
    /// The manifests are of several journals.
    #[error("the manifests were written from several journals: {}", shown_journals(.0))]
    SeveralJournals(Vec<(String, Vec<ServiceName>)>),
    /// None of the manifests is of the journal that was chosen.
    #[error("no manifest was written from journal {chosen:?}; there are those of {}", shown_journals(named))]
    NoSuchJournal {
        /// Which was chosen.
        chosen: String,
        /// Which there are.
        named: Vec<(String, Vec<ServiceName>)>,
    },
    /// There is nothing to rebuild from.
    #[error("nothing is left of which a journal could be rebuilt")]
    Nothing,
    /// Somebody remembers a term that no controller can have come to.
    #[error("no term can follow term {seen}, which {by} names: no controller has ever come that far")]
    NoTermAbove {
        /// Which.
        seen: Epoch,
        /// Who remembers it.
        by: String,
    },
    /// A service cannot be rebuilt.
    #[error("the journal cannot be rebuilt")]
    Rebuild(#[from] RebuildFailed),
    /// A folder cannot be made or removed.
    #[error("cannot make {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn shown_journals(named: &[(String, Vec<ServiceName>)]) -> String {
    let one = |(journal, services): &(String, Vec<ServiceName>)| {
        let services: Vec<&str> = services.iter().map(ServiceName::as_str).collect();
        format!("{journal} ({})", services.join(", "))
    };
    named.iter().map(one).collect::<Vec<_>>().join(", ")
}

/// Which manifests a journal is rebuilt from.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum ManifestsOf {
    /// All, where they are of one journal.
    #[default]
    TheOne,
    /// Those of the journal with this identity; the others are set aside.
    Journal(String),
    /// All; the rebuilt journal is a new one.
    All,
}

/// What a restore did.
#[derive(Debug)]
pub struct Restored {
    /// The copy that is the journal now.
    pub copy: gapless_journal::Standing,
    /// Where the journal that was there is now.
    pub aside: Option<PathBuf>,
    /// Why `gapless up` will refuse it; only where an older one was asked for.
    pub outdated: Option<Outdated>,
}

/// What a rebuild found, and did where it was told to.
#[derive(Debug)]
pub struct Recovery {
    /// The services as they are in the new journal.
    pub services: Vec<RecoveredService>,
    /// The epoch that the new journal has come to, above every other that is remembered.
    pub epoch: Epoch,
    /// Where the journal that was there is now.
    pub aside: Option<PathBuf>,
    /// Where the manifests are now that name another journal.
    pub manifests_aside: Vec<PathBuf>,
    /// What could not be read.
    pub unreadable: Vec<String>,
}

/// One service of a rebuilt journal.
#[derive(Debug)]
pub struct RecoveredService {
    /// Its name.
    pub name: ServiceName,
    /// The label of the release that serves.
    pub current: Option<String>,
    /// Its releases.
    pub releases: usize,
    /// Its instances.
    pub instances: usize,
    /// What an operator should know.
    pub remarks: Vec<String>,
}

/// Whether a rebuilt journal takes the journal's place, or is only shown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// It takes its place.
    Act,
    /// It is shown.
    Show,
}

/// Puts a verified copy in the journal's place. A copy that knows less than the journal that is there, or than what runs, is refused
/// unless an older one is asked for.
///
/// # Errors
/// [`RepairFailed`].
pub async fn restore(state: &Path, copy: &Path, older: Existing) -> Result<Restored, RepairFailed> {
    refuse_in_use(state)?;
    let standing = inspect(copy)?;
    let survey = Survey::of(state).await?.heard()?;
    let workshop = Workshop::open(state)?;
    gapless_journal::restore(&workshop.0, copy, Existing::Replace)?;
    let replayed = recover::read(SqliteStore::open(&workshop.0)?)?;
    let outdated = survey.traces().allow(&replayed.standing()).err();
    drop(replayed);
    if let (Some(outdated), Existing::Keep) = (&outdated, older) {
        return Err(outdated.clone().into());
    }
    let aside = gapless_journal::restore(state, copy, older)?;
    Ok(Restored { copy: standing, aside, outdated })
}

/// Rebuilds a journal from what runs and what lies in the state folder. The history and the receipts of a journal that is there and can be
/// read are kept; else they are lost, and nothing that runs is.
///
/// # Errors
/// [`RepairFailed`].
pub async fn rebuild_journal(state: &Path, purpose: Purpose, manifests: ManifestsOf) -> Result<Recovery, RepairFailed> {
    refuse_in_use(state)?;
    let mut survey = Survey::of(state).await?.heard()?;
    let traces = survey.traces();
    if traces.any().is_none() {
        return Err(RepairFailed::Nothing);
    }
    let identity = choose(&mut survey, manifests)?;
    let earlier = earlier_journal(state)?;
    let rebuilt = services(state, &survey, earlier.as_ref())?;
    let of_journal = earlier.as_ref().map_or(Epoch(0), |journal| journal.standing().position.epoch);
    let known = possible(traces.highest_epoch().max(of_journal), &traces)?;
    let shown = rebuilt.iter().map(shown).collect();
    let mut recovery = Recovery {
        services: shown,
        epoch: known.next(),
        aside: None,
        manifests_aside: Vec::new(),
        unreadable: survey.unreadable.clone(),
    };
    if purpose == Purpose::Show {
        return Ok(recovery);
    }
    let receipts = earlier.map(Recovered::into_store).map(|mut store| store.facts(RECEIPTS)).transpose()?;
    let workshop = Workshop::open(state)?;
    let copy = workshop.0.join("copy");
    write(&workshop.0, &copy, known, &identity, &rebuilt, receipts.unwrap_or_default())?;
    recovery.aside = gapless_journal::restore(state, &copy, Existing::Replace)?;
    // Only now: what is interrupted before can be ordered again.
    let aside = manifest::set_aside_others(state, &identity);
    recovery.manifests_aside =
        aside.map_err(|source| RepairFailed::Folder { path: manifest::folder(state), source })?;
    Ok(recovery)
}

/// A term above which others can be begun, as the highest that was seen is.
fn possible(highest: Epoch, traces: &Traces) -> Result<Epoch, RepairFailed> {
    if highest.is_plausible() {
        return Ok(highest);
    }
    let positions = traces.positions.iter().map(|(_, position, by)| (position.epoch, by));
    let mut seen = traces.epochs.iter().map(|(epoch, by)| (*epoch, by)).chain(positions);
    let by = seen.find(|(epoch, _)| *epoch == highest).map_or("the journal".to_owned(), |(_, by)| by.to_string());
    Err(RepairFailed::NoTermAbove { seen: highest, by })
}

/// The journal that is there, where it can be read: for its history alone. A controller that runs on it is left alone.
fn earlier_journal(state: &Path) -> Result<Option<Recovered<SqliteStore>>, RepairFailed> {
    if !SqliteStore::is_there(state) {
        return Ok(None);
    }
    match SqliteStore::open(state) {
        Ok(store) => Ok(recover::read(store).ok()),
        Err(error @ StoreError::InUse { .. }) => Err(error.into()),
        Err(error) => {
            tracing::info!(error = &error as &dyn std::error::Error, "the journal that is there cannot be read");
            Ok(None)
        }
    }
}

/// Leaves the chosen manifests alone in the survey, and answers the identity of the journal that is rebuilt from them: theirs, or a new one where
/// they have none in common.
fn choose(survey: &mut Survey, manifests: ManifestsOf) -> Result<String, RepairFailed> {
    let mut named: BTreeMap<String, Vec<ServiceName>> = BTreeMap::new();
    for (service, manifest) in &survey.manifests {
        named.entry(manifest.journal.clone()).or_default().push(service.clone());
    }
    match manifests {
        ManifestsOf::Journal(chosen) if named.contains_key(&chosen) => {
            survey.manifests.retain(|_, manifest| manifest.journal == chosen);
            Ok(chosen)
        }
        ManifestsOf::Journal(chosen) => Err(RepairFailed::NoSuchJournal { chosen, named: named.into_iter().collect() }),
        ManifestsOf::TheOne if named.len() > 1 => Err(RepairFailed::SeveralJournals(named.into_iter().collect())),
        ManifestsOf::TheOne | ManifestsOf::All => {
            let the_one = (named.len() == 1).then(|| named.into_keys().next()).flatten();
            Ok(the_one.unwrap_or_else(identity::by_chance))
        }
    }
}

fn services(
    state: &Path,
    survey: &Survey,
    earlier: Option<&Recovered<SqliteStore>>,
) -> Result<Vec<Rebuilt>, RepairFailed> {
    let tables: BTreeMap<&ServiceName, _> =
        survey.table.iter().flat_map(|table| &table.services).map(|service| (&service.name, service)).collect();
    let mut names: BTreeSet<&ServiceName> = survey.manifests.keys().chain(tables.keys().copied()).collect();
    names.extend(survey.remains.iter().map(|left| &left.instance.service));
    let one = |name: &ServiceName| {
        let remains: Vec<_> = survey.remains.iter().filter(|left| left.instance.service == *name).collect();
        let mut releases: BTreeMap<ReleaseId, ReleaseRecord> = BTreeMap::new();
        for left in &remains {
            if let Some(record) = of_folder(state, name, left) {
                releases.insert(left.instance.release, record);
            }
        }
        let before = earlier.and_then(|journal| journal.services().get(name));
        let registered = before.iter().flat_map(|tended| &tended.releases);
        releases.extend(registered.map(|(id, known)| (*id, known.record.clone())));
        let last_rollout = before.map_or(0, |tended| tended.state.last_rollout().0);
        let (manifest, table) = (survey.manifests.get(name), tables.get(name).copied());
        // An older journal tells of a rollout that ran only where none came after it.
        let newest = manifest.is_none_or(|manifest| manifest.last_rollout <= last_rollout);
        let in_journal = before.filter(|_| newest).and_then(|tended| manifest::running(&tended.state));
        let running = manifest.and_then(|manifest| manifest.running.clone()).or(in_journal);
        rebuild(&Known { name, manifest, table, remains, releases, last_rollout, running })
    };
    Ok(names.into_iter().map(one).collect::<Result<_, _>>()?)
}

/// A release as its folder tells of it: its digest is the folder's name, its configuration the `gapless.toml` in it.
fn of_folder(state: &Path, name: &ServiceName, left: &gapless_drivers::process::Remains) -> Option<ReleaseRecord> {
    let digest: Digest = left.release_folder.file_name()?.to_str()?.parse().ok()?;
    let folder = state.join("releases").join(name.as_str()).join(digest.to_string());
    let config = fs::read_to_string(folder.join("gapless.toml")).ok()?;
    Some(ReleaseRecord {
        id: left.instance.release.0,
        label: left.label.clone(),
        digest: digest.to_string(),
        config,
        registered_wall_ms: 0,
        bytes: None,
    })
}

fn shown(rebuilt: &Rebuilt) -> RecoveredService {
    let current = rebuilt.rest.current;
    let label = rebuilt.releases.iter().find(|record| Some(ReleaseId(record.id)) == current);
    RecoveredService {
        name: rebuilt.rest.name.clone(),
        current: label.map(|record| record.label.clone()),
        releases: rebuilt.releases.len(),
        instances: rebuilt.rest.instances.len(),
        remarks: rebuilt.remarks.clone(),
    }
}

/// Writes the new journal in one transaction, and a copy of it that can be put in place by one rename.
fn write(
    workshop: &Path,
    copy: &Path,
    known: Epoch,
    identity: &str,
    services: &[Rebuilt],
    receipts: Vec<(String, Vec<u8>)>,
) -> Result<(), StoreError> {
    let mut store = SqliteStore::open(workshop)?;
    store.begin_term_above(known)?;
    let mut batch = Batch::new();
    batch.put(IDENTITY.0, IDENTITY.1, identity);
    for rebuilt in services {
        let name = &rebuilt.rest.name;
        for record in &rebuilt.releases {
            let bytes = serde_json::to_vec(record).expect("BUG: a record is always JSON");
            batch.put(RELEASES, fact_key(name, record.id), bytes);
        }
        // A snapshot stands for records before it; this one stands for all that were lost.
        batch.append(name.as_str(), "rebuilt/1", Vec::new());
        batch.snapshot(name.as_str(), REST_KIND, RestRecord::of(&rebuilt.rest, Tick::ZERO).to_bytes(), Sequence(1));
    }
    for (key, bytes) in receipts {
        batch.put(RECEIPTS, key, bytes);
    }
    store.commit(&batch)?;
    store.back_up(copy, Existing::Replace).map(|_| ())
}

/// A folder of its own within the state folder, gone at the end.
struct Workshop(PathBuf);

impl Workshop {
    fn open(state: &Path) -> Result<Workshop, RepairFailed> {
        use std::os::unix::fs::DirBuilderExt;
        let path = state.join(WORKSHOP);
        let _leftover = fs::remove_dir_all(&path);
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
        made.map_err(|source| RepairFailed::Folder { path: path.clone(), source })?;
        Ok(Workshop(path))
    }
}

impl Drop for Workshop {
    fn drop(&mut self) {
        let _gone = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gapless_fleet::traces::Witness;

    #[test]
    fn a_term_that_none_can_follow_is_an_error_that_names_who_says_so() {
        let traces = |epoch| Traces { epochs: vec![(Epoch(epoch), Witness::TableFile)], ..Traces::default() };
        assert_eq!(possible(Epoch(7), &traces(7)).unwrap(), Epoch(7));
        for epoch in [u64::MAX, u64::MAX - 1, i64::MAX as u64] {
            let refused = possible(Epoch(epoch), &traces(epoch)).unwrap_err().to_string();
            assert!(refused.contains(&format!("term {epoch}, which the proxy's table on disk names")), "{refused}");
        }
    }
}
