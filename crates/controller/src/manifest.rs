//! The manifests of the services in the state folder (`manifests/SERVICE.json`, mode 0600): what a journal is rebuilt from when it is lost.
//!
//! Written whenever what they hold has changed, a moment after it became durable in the journal, so that they never know more than
//! it. A manifest that cannot be written lags behind; that is said and costs nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gapless_drivers::whole_file;
use gapless_fleet::{Fleet, ServiceEntry};
use gapless_journal::Store;
use gapless_model::ServiceName;
use gapless_rollout::{Service, SituationReport};
use gapless_wire::record::{ManifestRecord, RunningRecord, ScaledRecord};

use crate::shared::Shared;

/// The least time between two writes of a manifest, so that an instance that is restarted again and again does not keep the disk busy.
const PAUSE: Duration = Duration::from_millis(200);

/// The largest manifest that is read: some hundred releases with configurations of 64 KiB.
const BYTES_MAX: u64 = 16 << 20;

/// Where they are.
#[must_use]
pub fn folder(state: &Path) -> PathBuf {
    state.join("manifests")
}

/// A manifest with its service, or why a file is none.
pub type Read = Result<(ServiceName, ManifestRecord), String>;

/// Every file that is there: a manifest, or why it is none.
///
/// # Errors
/// When the folder is there and cannot be read.
pub fn read_all(state: &Path) -> io::Result<Vec<(PathBuf, Read)>> {
    let entries = match fs::read_dir(folder(state)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let read = read(&path);
            found.push((path, read));
        }
    }
    found.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(found)
}

fn read(path: &Path) -> Read {
    let meta = fs::metadata(path).map_err(|error| error.to_string())?;
    if meta.len() > BYTES_MAX {
        return Err("it is too long for a manifest".to_owned());
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let record = ManifestRecord::from_bytes(&bytes).map_err(|error| error.to_string())?;
    let name = record.name().map_err(|error| error.to_string())?;
    Ok((name, record))
}

/// Keeps the manifests in step with the journal until the controller ends.
pub async fn keep(shared: Arc<Shared>) {
    let mut written: BTreeMap<ServiceName, ManifestRecord> = BTreeMap::new();
    let mut absent: BTreeSet<ServiceName> = BTreeSet::new();
    let mut changed = shared.changed.subscribe();
    loop {
        changed.borrow_and_update();
        let now = manifests(&shared.core());
        let without = gone(&shared.core());
        for name in without {
            if absent.insert(name.clone()) {
                drop(written.remove(&name));
                let path = file(&shared.state, &name);
                match tokio::task::spawn_blocking(move || remove(&path)).await {
                    Ok(Ok(())) | Err(_) => {}
                    Ok(Err(error)) => {
                        tracing::warn!(service = %name, %error, "the manifest of a service that is gone could not be removed");
                    }
                }
            }
        }
        for (name, manifest) in now {
            absent.remove(&name);
            if written.get(&name).is_some_and(|last| says_the_same(last, &manifest)) {
                continue;
            }
            let state = shared.state.clone();
            let (path, record) = (file(&state, &name), manifest.clone());
            let wrote = tokio::task::spawn_blocking(move || write(&path, &record)).await;
            match wrote {
                Ok(Ok(())) => drop(written.insert(name, manifest)),
                Ok(Err(error)) => tracing::warn!(service = %name, %error, "a manifest could not be written"),
                Err(error) => tracing::error!(%error, "BUG: writing a manifest ended by itself"),
            }
        }
        tokio::time::sleep(PAUSE).await;
        tokio::select! {
            changed = changed.changed() => if changed.is_err() { return },
            () = shared.ended() => return,
        }
    }
}

/// The manifests of all services as the journal has them.
pub fn manifests<S: Store>(core: &Fleet<S>) -> Vec<(ServiceName, ManifestRecord)> {
    let named = core.services().iter().filter(|(_, tended)| is_deployed(tended));
    named.map(|(name, tended)| (name.clone(), manifest(core, name, tended))).collect()
}

/// The services of which nothing is left that a journal could be rebuilt from.
fn gone<S: Store>(core: &Fleet<S>) -> Vec<ServiceName> {
    core.services().iter().filter(|(_, tended)| !is_deployed(tended)).map(|(name, _)| name.clone()).collect()
}

fn is_deployed(tended: &ServiceEntry) -> bool {
    tended.kept_releases().next().is_some()
}

fn manifest<S: Store>(core: &Fleet<S>, name: &ServiceName, tended: &ServiceEntry) -> ManifestRecord {
    let position = core.position();
    ManifestRecord {
        journal: core.journal().to_owned(),
        epoch: position.epoch.0,
        commits: position.commits,
        current: tended.state.current().map(|release| release.id.0),
        history: tended.state.history().iter().map(|release| release.0).collect(),
        stopped: matches!(tended.state.situation(), SituationReport::Stopped { .. }),
        scaled: tended
            .state
            .scaled()
            .iter()
            .map(|(release, instances)| ScaledRecord { release: release.0, instances: *instances })
            .collect(),
        last_effect: tended.state.last_effect().0,
        last_ordinal: tended.state.last_ordinal(),
        last_rollout: tended.state.last_rollout().0,
        running: running(&tended.state),
        releases: tended.kept_releases().map(|known| known.record.clone()).collect(),
        ..ManifestRecord::new(name)
    }
}

/// The rollout of a service that runs.
pub fn running(state: &Service) -> Option<RunningRecord> {
    let rollout = state.rollout()?.0;
    let to = state.candidate().map(|candidate| candidate.label.to_string()).unwrap_or_default();
    Some(RunningRecord { rollout, to })
}

/// Sets aside the manifests that name another journal than this: a journal beside them would never act. Answers where they are.
///
/// # Errors
/// When one cannot be renamed; those before it are set aside.
pub fn set_aside_others(state: &Path, journal: &str) -> io::Result<Vec<PathBuf>> {
    let mut aside = Vec::new();
    for (path, read) in read_all(state)? {
        if read.is_ok_and(|(_, manifest)| manifest.journal != journal) {
            let name = |number: u32| path.with_extension(format!("json.aside-{number}"));
            let to = (1..).map(name).find(|to| !to.exists()).expect("BUG: numbers end");
            fs::rename(&path, &to)?;
            aside.push(to);
        }
    }
    if !aside.is_empty() {
        File::open(folder(state))?.sync_all()?;
    }
    Ok(aside)
}

/// Whether two differ at most in how far journal and effects had come, which every step changes.
fn says_the_same(a: &ManifestRecord, b: &ManifestRecord) -> bool {
    let neutral = |record: &ManifestRecord| ManifestRecord { commits: 0, last_effect: 0, ..record.clone() };
    neutral(a) == neutral(b)
}

fn file(state: &Path, name: &ServiceName) -> PathBuf {
    folder(state).join(format!("{name}.json"))
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn write(path: &Path, manifest: &ManifestRecord) -> io::Result<()> {
    let folder = path.parent().unwrap_or(path);
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    whole_file::write(path, &manifest.to_bytes())
}
