//! The access log: one line of JSON per request, written by a thread of its own.
//!
//! The data side hands records over a bounded channel and drops (and counts) what does not fit, so a slow disk slows no request. The
//! file is rotated by size, and opened again when somebody moved it away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::seam::AccessRecord;

/// Records that may wait to be written: a second's worth of a busy proxy.
const RECORDS_MAX: usize = 65_536;

/// The size at which the file is rotated.
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Rotated files that are kept beside the one being written.
const FILES_KEPT: u32 = 4;

/// Bytes gathered before they are written, while more records wait.
const BUFFER_BYTES: usize = 65_536;

/// How often a quiet log looks whether its file was moved away.
const LOOK: Duration = Duration::from_secs(1);

/// The access log as the control side holds it.
#[derive(Clone, Debug)]
pub(crate) struct AccessLog {
    /// Where it is written.
    pub(crate) path: PathBuf,
    /// What takes records.
    pub(crate) records: SyncSender<AccessRecord>,
    trouble: Arc<Mutex<Option<String>>>,
}

impl AccessLog {
    /// Starts the writing thread. It ends when every sender is dropped. A file that cannot be opened is tried again.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub(crate) fn start(path: &Path) -> io::Result<AccessLog> {
        let (records, waiting) = sync_channel(RECORDS_MAX);
        let trouble = Arc::new(Mutex::new(None));
        let mut log = Log::new(path.to_owned(), FILE_BYTES_MAX, Arc::clone(&trouble));
        log.look();
        std::thread::Builder::new().name("access-log".into()).spawn(move || log.run(&waiting))?;
        Ok(AccessLog { path: path.to_owned(), records, trouble })
    }

    /// Why it is not kept, for people; none while it is.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// One line, as it is written.
#[derive(Serialize)]
struct Line<'r> {
    time: String,
    client: String,
    method: &'r str,
    host: &'r str,
    target: &'r str,
    instance: Option<String>,
    status: Option<u16>,
    terminal: String,
    attempts: u8,
    held_us: u64,
    duration_us: u64,
    body_in: u64,
    body_out: u64,
    request_id: &'r str,
}

impl<'r> Line<'r> {
    fn new(record: &'r AccessRecord) -> Line<'r> {
        let micros = i64::try_from(record.accepted_unix_us).unwrap_or(i64::MAX);
        Line {
            time: jiff::Timestamp::from_microsecond(micros).unwrap_or_default().to_string(),
            client: record.client.to_string(),
            method: &record.method,
            host: &record.host,
            target: &record.target,
            instance: record.instance.as_ref().map(ToString::to_string),
            status: record.status,
            terminal: record.terminal.key(),
            attempts: record.attempts,
            held_us: record.held_us,
            duration_us: record.duration_us,
            body_in: record.body_in,
            body_out: record.body_out,
            request_id: &record.request_id,
        }
    }
}

struct Log {
    path: PathBuf,
    /// None while it cannot be opened.
    file: Option<File>,
    written: u64,
    bytes_max: u64,
    buffer: Vec<u8>,
    /// Why the last act failed; said in the talk once.
    trouble: Arc<Mutex<Option<String>>>,
    looked: Instant,
}

impl Log {
    fn new(path: PathBuf, bytes_max: u64, trouble: Arc<Mutex<Option<String>>>) -> Log {
        Log { path, file: None, written: 0, bytes_max, buffer: Vec::new(), trouble, looked: Instant::now() }
    }

    fn run(&mut self, records: &Receiver<AccessRecord>) {
        loop {
            match records.recv_timeout(LOOK) {
                Ok(record) => {
                    self.add(&record);
                    while self.buffer.len() < BUFFER_BYTES
                        && let Ok(record) = records.try_recv()
                    {
                        self.add(&record);
                    }
                    self.flush();
                    if self.looked.elapsed() >= LOOK {
                        self.look();
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.look(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn add(&mut self, record: &AccessRecord) {
        if serde_json::to_writer(&mut self.buffer, &Line::new(record)).is_ok() {
            self.buffer.push(b'\n');
        }
    }

    /// Writes what was gathered. What cannot be written is dropped: the log must not grow in memory.
    fn flush(&mut self) {
        if self.written + self.buffer.len() as u64 > self.bytes_max {
            let rotated = self.rotate();
            self.told("rotate", rotated);
        }
        if let Some(file) = &mut self.file {
            let result = file.write_all(&self.buffer);
            self.written += self.buffer.len() as u64;
            self.told("write", result);
        }
        self.buffer.clear();
    }

    fn told(&mut self, act: &'static str, result: io::Result<()>) {
        let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        match result {
            Ok(()) => *trouble = None,
            Err(error) => {
                if trouble.is_none() {
                    tracing::warn!(%error, path = %self.path.display(), act, "access log is not kept");
                }
                *trouble =
                    Some(format!("the access log {} is not kept: cannot {act} it: {error}", self.path.display()));
            }
        }
    }

    fn rotate(&mut self) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..FILES_KEPT).rev() {
            match fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        fs::rename(&self.path, numbered(1))?;
        self.reopen()
    }

    /// Opens the file again when it is no longer the one at its path.
    fn look(&mut self) {
        self.looked = Instant::now();
        let ours = self.file.as_ref().and_then(|file| file.metadata().ok()).map(|file| (file.dev(), file.ino()));
        let theirs = fs::metadata(&self.path).map(|file| (file.dev(), file.ino())).ok();
        if ours.is_none() || ours != theirs {
            let reopened = self.reopen();
            self.told("open", reopened);
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(&self.path)?;
        self.written = file.metadata()?.len();
        self.file = Some(file);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gapless_routing::{StatusClass, Terminal};

    use super::*;

    fn record(target: &str) -> AccessRecord {
        AccessRecord {
            accepted_unix_us: 1_700_000_000_123_456,
            client: "127.0.0.1:9".parse().unwrap(),
            method: "GET".into(),
            host: "shop.test".into(),
            target: target.into(),
            instance: None,
            status: Some(200),
            terminal: Terminal::Answered(StatusClass::Success),
            attempts: 1,
            held_us: 0,
            duration_us: 250,
            body_in: 0,
            body_out: 2,
            request_id: "r\"1".into(),
        }
    }

    #[test]
    fn a_line_is_json_whatever_the_client_sent() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = Log::new(path.clone(), 1_000_000, Arc::default());
        log.look();
        log.add(&record("/a\n\"b"));
        log.flush();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!((&value["target"], &value["terminal"]), (&"/a\n\"b".into(), &"2xx".into()));
        assert_eq!(value["time"], "2023-11-14T22:13:20.123456Z");
    }

    #[test]
    fn it_is_rotated_by_size_and_opened_again_when_moved_away() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = Log::new(path.clone(), 1_000, Arc::default());
        log.look();
        for _ in 0..40 {
            log.add(&record("/"));
            log.flush();
        }
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files as u32, FILES_KEPT + 1);
        assert!(fs::metadata(&path).unwrap().len() <= 1_000);
        fs::rename(&path, folder.path().join("moved")).unwrap();
        log.look();
        log.add(&record("/after"));
        log.flush();
        assert!(fs::read_to_string(&path).unwrap().contains("/after"));
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_said_and_opened_when_it_can() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("later/access.log");
        let mut log = Log::new(path.clone(), 1_000, Arc::default());
        log.look();
        log.add(&record("/lost"));
        log.flush();
        assert!(log.trouble.lock().unwrap().as_ref().is_some_and(|text| text.contains("access.log")));
        fs::create_dir(folder.path().join("later")).unwrap();
        log.look();
        log.add(&record("/kept"));
        log.flush();
        assert!(log.trouble.lock().unwrap().is_none());
        assert!(fs::read_to_string(&path).unwrap().contains("/kept"));
    }
}
