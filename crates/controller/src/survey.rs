//! Gathering what is known of earlier terms outside of the journal: files read, the proxy and the keepers asked. Nothing is changed by it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_drivers::process::{Remains, remains};
use gapless_drivers::proxylink::{ControlAddress, LinkFailed};
use gapless_model::ServiceName;
use gapless_routing::TableSpec;
use gapless_wire::control::SealedTable;
use gapless_wire::record::ManifestRecord;
use rustix::fs::OFlags;

use crate::manifest;
use crate::proxies::{kept_tables, newest_epoch};
use gapless_fleet::traces::{Traces, Witness};
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
    /// Names of the proxies, without a file, on which somebody listens and accepts nobody.
    pub crowded: Vec<String>,
    /// Where somebody listens as a proxy does and does not answer.
    pub silent: Vec<(ControlAddress, LinkFailed)>,
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
        let obeyed = newest_epoch(state, ANSWER_WITHIN).await.map_err(SurveyFailed::Proxy)?;
        let (proxy, crowded, silent) = (obeyed.newest, obeyed.crowded, obeyed.silent);
        let folder = |path: PathBuf| move |source| SurveyFailed::Folder { path, source };
        let remains = remains(state).await.map_err(folder(state.join("instances")))?;
        let releases = release_folders(state).map_err(folder(state.join("releases")))?;
        let mut survey = Survey { proxy, crowded, silent, remains, releases, ..Survey::default() };
        survey.read_tables(state);
        survey.read_manifests(state).map_err(folder(manifest::folder(state)))?;
        Ok(survey)
    }

    /// The same where every proxy that is there was heard, or another that is told more.
    ///
    /// # Errors
    /// [`SurveyFailed::Proxy`]: the one that does not answer may know more than whoever asks.
    pub fn heard(mut self) -> Result<Survey, SurveyFailed> {
        match self.silent.pop() {
            Some((_, failed)) if self.proxy.is_none() => Err(SurveyFailed::Proxy(failed)),
            _ => Ok(self),
        }
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
    // The folder is the proxies' own, who are not trusted with more than that: no link of theirs is followed, no pipe waited for, and what was
    // looked at is what is read, however it grows meanwhile.
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed();
    let file = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.map_err(|error| error.to_string())?,
    };
    if !file.metadata().map_err(|error| error.to_string())?.is_file() {
        return Err("it is no file".to_owned());
    }
    let mut bytes = Vec::new();
    file.take(TABLE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > TABLE_BYTES_MAX {
        return Err("it is too long for a table".to_owned());
    }
    let table = SealedTable::from_bytes(&bytes).and_then(|sealed| sealed.open()).map_err(|error| error.to_string())?;
    // The proxies put such a table aside and take the one before it; who obeyed it would obey nobody any more.
    if !table.version.epoch.is_plausible() {
        return Err(format!("it names term {}, which no controller can have come to", table.version.epoch));
    }
    Ok(Some(table))
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

#[cfg(test)]
mod tests {
    use gapless_model::{Generation, TableVersion};

    use super::*;

    #[test]
    fn a_table_that_is_a_link_a_pipe_or_endless_is_told_and_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        assert_eq!(read_table(&path), Ok(None));
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        read_table(&path).unwrap_err();
        fs::remove_file(&path).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
        assert_eq!(read_table(&path).unwrap_err(), "it is no file");
        fs::remove_file(&path).unwrap();
        fs::File::create(&path).unwrap().set_len(TABLE_BYTES_MAX + 1).unwrap();
        assert_eq!(read_table(&path).unwrap_err(), "it is too long for a table");
    }

    #[test]
    fn a_table_of_a_term_that_none_can_follow_is_no_trace_and_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        let write = |epoch| {
            let version = TableVersion { epoch: Epoch(epoch), generation: Generation(1) };
            let table = SealedTable::seal(&TableSpec { version, services: Vec::new() }).unwrap();
            fs::write(&path, table.to_bytes()).unwrap();
            read_table(&path)
        };
        assert!(write(Epoch::PLAUSIBLE_MAX.0).is_ok());
        assert!(write(u64::MAX).unwrap_err().contains("no controller can have come to"));
    }
}
