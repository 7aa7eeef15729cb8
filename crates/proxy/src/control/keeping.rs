//! Keeping tables on disk without waiting for the disk: a thread of its own writes the newest, and tries again while it cannot.
//!
//! A disk that is full, read-only or slow is no reason not to route by the newest table: it is used all the same, and what is amiss is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, Instant};

use gapless_model::TableVersion;
use gapless_wire::control::SealedTable;
use tokio::sync::mpsc;

use super::store::Store;

/// Tables that may wait to be written; only the newest of them is.
const TABLES_MAX: usize = 64;

/// From one attempt to the next while a table cannot be written.
const RETRY: Duration = Duration::from_secs(3);

/// How long a table that every thread uses waits for the disk before it is acknowledged without it.
const DISK_WITHIN: Duration = Duration::from_secs(1);

/// What became of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Kept {
    version: TableVersion,
    outcome: Result<(), String>,
}

/// The hand on the thread that writes.
#[derive(Debug)]
pub(super) struct Keeping {
    tables: SyncSender<(TableVersion, SealedTable)>,
    /// The table that was handed over last, and when, until it is known what became of it.
    awaited: Option<(TableVersion, Instant)>,
    trouble: Option<String>,
    /// The files may be another's: what still waits to be written is not any more.
    over: Arc<AtomicBool>,
}

impl Drop for Keeping {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Release);
    }
}

impl Keeping {
    /// Starts the thread; it ends with the hand on it, and begins to write nothing afterwards. What becomes of tables goes to `told`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(super) fn start(store: Store, told: mpsc::Sender<Kept>) -> std::io::Result<Keeping> {
        let (tables, waiting) = sync_channel(TABLES_MAX);
        let over = Arc::new(AtomicBool::new(false));
        let writer_over = Arc::clone(&over);
        std::thread::Builder::new()
            .name("tables".into())
            .spawn(move || write(&store, &waiting, &told, &writer_over))?;
        Ok(Keeping { tables, awaited: None, trouble: None, over })
    }

    /// Hands a table over.
    pub(super) fn keep(&mut self, version: TableVersion, table: &SealedTable) {
        match self.tables.try_send((version, table.clone())) {
            Ok(()) => self.awaited = Some((version, Instant::now())),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.trouble = Some(format!("table {version} is not kept on disk: the disk does not keep up"));
            }
        }
    }

    /// News of the thread. Answers what an operator should hear, once.
    pub(super) fn heard(&mut self, kept: Kept) -> Option<String> {
        self.awaited = self.awaited.filter(|(version, _)| *version > kept.version);
        let trouble = kept.outcome.err().map(|error| format!("table {} is not kept on disk: {error}", kept.version));
        let fresh = trouble.is_some() && self.trouble.is_none();
        self.trouble = trouble;
        self.trouble.clone().filter(|_| fresh)
    }

    /// Whether a table may be acknowledged: it is on disk, cannot be brought there, or the disk has had its time.
    pub(super) fn lets_acknowledge(&self, version: TableVersion) -> bool {
        self.awaited.is_none_or(|(awaited, since)| awaited > version || since.elapsed() >= DISK_WITHIN)
    }

    /// What is amiss, for people.
    pub(super) fn trouble(&self) -> Option<String> {
        let slow = |(version, since): (TableVersion, Instant)| {
            let waits = since.elapsed();
            (waits >= DISK_WITHIN).then(|| format!("table {version} waits for the disk since {} s", waits.as_secs()))
        };
        self.trouble.clone().or_else(|| self.awaited.and_then(slow))
    }
}

fn write(store: &Store, waiting: &Receiver<(TableVersion, SealedTable)>, told: &mpsc::Sender<Kept>, over: &AtomicBool) {
    let mut unkept: Option<(TableVersion, SealedTable)> = None;
    loop {
        let next = match &unkept {
            Some(_) => waiting.recv_timeout(RETRY),
            None => waiting.recv().map_err(|_| RecvTimeoutError::Disconnected),
        };
        match next {
            Ok(table) => unkept = Some(waiting.try_iter().last().unwrap_or(table)),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some((version, table)) = &unkept else { continue };
        if over.load(Ordering::Acquire) {
            return;
        }
        let outcome = store.save(table).map_err(|error| error.to_string());
        let done = outcome.is_ok();
        if told.blocking_send(Kept { version: *version, outcome }).is_err() {
            return;
        }
        if done {
            unkept = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::{Epoch, Generation};
    use gapless_routing::TableSpec;

    use super::*;

    fn table(generation: u64) -> (TableVersion, SealedTable) {
        let version = TableVersion { epoch: Epoch(1), generation: Generation(generation) };
        (version, SealedTable::seal(&TableSpec { version, services: Vec::new() }).unwrap())
    }

    #[test]
    fn a_table_that_cannot_be_kept_is_said_once_acknowledged_all_the_same_and_kept_when_the_disk_can() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(&folder.path().join("gone"));
        let (told, mut news) = mpsc::channel(4);
        let mut keeping = Keeping::start(store, told).unwrap();
        let (version, sealed) = table(1);
        keeping.keep(version, &sealed);
        assert!(!keeping.lets_acknowledge(version), "the disk has its time");
        let said = keeping.heard(news.blocking_recv().unwrap()).expect("something to hear");
        assert!(said.contains("1.1") && keeping.trouble().is_some(), "{said}");
        assert!(keeping.lets_acknowledge(version));
        std::fs::create_dir(folder.path().join("gone")).unwrap();
        assert_eq!(keeping.heard(news.blocking_recv().unwrap()), None);
        assert_eq!(keeping.trouble(), None);
        assert!(folder.path().join("gone/table.json").exists());
    }

    #[test]
    fn a_table_that_waits_to_be_written_is_not_once_nothing_is_kept_any_more() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        // The news are full, so that the thread stands still between the first table and the second.
        let (told, mut news) = mpsc::channel(1);
        told.try_send(Kept { version: table(0).0, outcome: Ok(()) }).unwrap();
        let mut keeping = Keeping::start(store.clone(), told).unwrap();
        let (version, sealed) = table(1);
        keeping.keep(version, &sealed);
        let deadline = Instant::now() + Duration::from_secs(20);
        while store.load().table.is_none() {
            assert!(Instant::now() < deadline, "the first is not written");
            std::thread::sleep(Duration::from_millis(2));
        }
        let (second, sealed) = table(2);
        keeping.keep(second, &sealed);
        drop(keeping);
        while news.blocking_recv().is_some() {}
        assert_eq!(store.load().table.map(|kept| kept.spec.version), Some(version));
    }
}
