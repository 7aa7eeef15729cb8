//! Gathering what is known of earlier terms outside of the journal: files read, the proxy and the keepers asked. Nothing is changed by it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_drivers::process::{Remains, remains};
use gapless_drivers::proxylink::LinkFailed;
use gapless_model::ServiceName;
use gapless_routing::TableSpec;
use gapless_wire::control::SealedTable;
use gapless_wire::record::ManifestRecord;

use crate::manifest;
use crate::proxies::{kept_tables, newest_epoch};
use crate::traces::{Traces, Witness};
use gapless_journal::Position;
use gapless_model::Epoch;

/// How long the proxy may take to say whom it obeys: it may have to be scheduled on a machine that is busy.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// The longest file of a table that is read: as long as a frame may be.
const TABLE_BYTES_MAX: u64 = gapless_wire::control::frame::FRAME_BYTES_MAX as u64;

/// What there is of earlier terms.
#[derive(Debug, Default)]
pub struct Survey {
    /// The highest epoch that a running proxy obeys; none where no proxy runs.
    pub proxy: Option<Epoch>,
    /// The newest table that a proxy keeps on disk.
    pub table: Option<TableSpec>,
    /// The manifests, by service.
    pub manifests: BTreeMap<ServiceName, ManifestRecord>,
    /// What is left of instances.
    pub remains: Vec<Remains>,
    /// Services that have folders of releases.
    pub releases: Vec<String>,
    /// What could not be read, for people.
    pub unreadable: Vec<String>,
}

/// Why the traces could not be gathered.
#[derive(Debug, thiserror::Error)]
pub enum SurveyFailed {
    /// A folder cannot be read.
    #[error("cannot read {}", path.display())]
    Folder {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A proxy is there and does not say whom it obeys.
    #[error("the proxy does not say whom it obeys")]
    Proxy(#[source] LinkFailed),
}

impl Survey {
    /// Looks at a state folder and asks who runs there.
    ///
    /// # Errors
    /// [`SurveyFailed`]: what cannot be asked may know more than the journal.
    pub async fn of(state: &Path) -> Result<Survey, SurveyFailed> {
        let proxy = newest_epoch(state, ANSWER_WITHIN).await.map_err(SurveyFailed::Proxy)?;
        let folder = |path: PathBuf| move |source| SurveyFailed::Folder { path, source };
        let remains = remains(state).await.map_err(folder(state.join("instances")))?;
        let releases = release_folders(state).map_err(folder(state.join("releases")))?;
        let mut survey = Survey { proxy, remains, releases, ..Survey::default() };
        survey.read_tables(state);
        survey.read_manifests(state).map_err(folder(manifest::folder(state)))?;
        Ok(survey)
    }

    /// What it says about the journal.
    #[must_use]
    pub fn traces(&self) -> Traces {
        let mut traces = Traces::default();
        traces.epochs.extend(self.proxy.map(|epoch| (epoch, Witness::Proxy)));
        if let Some(table) = self.table.as_ref().filter(|table| table.version.epoch > Epoch(0)) {
            traces.epochs.push((table.version.epoch, Witness::TableFile));
            let pools = table.services.iter().flat_map(|service| &service.pools);
            let named = pools.flat_map(|pool| &pool.instances).map(|instance| instance.id.clone());
            traces.instances.extend(named.map(|instance| (instance, Witness::TableFile)));
        }
        for left in &self.remains {
            let by = Witness::Instance(left.instance.clone());
            traces.epochs.push((left.epoch, by.clone()));
            traces.instances.push((left.instance.clone(), by));
        }
        for (service, manifest) in &self.manifests {
            let position = Position { epoch: Epoch(manifest.epoch), commits: manifest.commits };
            traces.positions.push((manifest.journal.clone(), position, Witness::Manifest(service.clone())));
        }
        traces.others.extend(self.releases.iter().cloned().map(Witness::Releases));
        traces
    }

    fn read_tables(&mut self, state: &Path) {
        for path in kept_tables(state) {
            match read_table(&path) {
                Ok(Some(table)) => {
                    if self.table.as_ref().is_none_or(|known| known.version < table.version) {
                        self.table = Some(table);
                    }
                }
                Ok(None) => {}
                Err(reason) => self.unreadable.push(format!("{}: {reason}", path.display())),
            }
        }
    }

    fn read_manifests(&mut self, state: &Path) -> io::Result<()> {
        for (path, read) in manifest::read_all(state)? {
            match read {
                Ok((name, record)) => {
                    self.manifests.insert(name, record);
                }
                Err(reason) => self.unreadable.push(format!("{}: {reason}", path.display())),
            }
        }
        Ok(())
    }
}

fn read_table(path: &Path) -> Result<Option<TableSpec>, String> {
    // The folder is the proxies' own, who are not trusted with more than that: no link of theirs is followed.
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
        Ok(meta) if !meta.is_file() => return Err("it is no file".to_owned()),
        Ok(meta) if meta.len() > TABLE_BYTES_MAX => return Err("it is too long for a table".to_owned()),
        Ok(_) => {}
    }
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let table = SealedTable::from_bytes(&bytes).and_then(|sealed| sealed.open());
    table.map(Some).map_err(|error| error.to_string())
}

/// Services that have at least one folder of a release.
fn release_folders(state: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(state.join("releases")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut services = Vec::new();
    for entry in entries {
        let entry = entry?;
        let holds_any = fs::read_dir(entry.path()).is_ok_and(|mut entries| entries.next().is_some());
        if holds_any {
            services.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    services.sort();
    Ok(services)
}
