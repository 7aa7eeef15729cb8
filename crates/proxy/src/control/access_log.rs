//! The access log: one line of JSON per request, written by a thread of its own.
//!
//! The data side hands records over a bounded channel and drops (and counts) what does not fit, so a slow disk slows no request. The
//! file is rotated by size, and opened again when somebody moved it away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

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

/// Starts the writing thread. It ends when every sender is dropped.
///
/// # Errors
/// When the file cannot be opened or the thread not started.
pub(crate) fn start(path: &Path) -> io::Result<SyncSender<AccessRecord>> {
    let (sender, records) = sync_channel(RECORDS_MAX);
    let mut log = Log::open(path.to_owned(), FILE_BYTES_MAX)?;
    std::thread::Builder::new().name("access-log".into()).spawn(move || log.run(&records))?;
    Ok(sender)
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
    file: File,
    written: u64,
    bytes_max: u64,
    buffer: Vec<u8>,
    /// Whether the last write failed: told once.
    failing: bool,
}

impl Log {
    fn open(path: PathBuf, bytes_max: u64) -> io::Result<Log> {
        let file = OpenOptions::new().create(true).append(true).mode(0o640).open(&path)?;
        let written = file.metadata()?.len();
        Ok(Log { path, file, written, bytes_max, buffer: Vec::new(), failing: false })
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
        let result = self.file.write_all(&self.buffer);
        self.written += self.buffer.len() as u64;
        self.buffer.clear();
        self.told("write", result);
    }

    fn told(&mut self, act: &'static str, result: io::Result<()>) {
        match result {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::warn!(%error, path = %self.path.display(), act, "access log is not kept");
            }
            Err(_) => {}
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
        let ours = self.file.metadata().map(|file| (file.dev(), file.ino())).ok();
        let theirs = fs::metadata(&self.path).map(|file| (file.dev(), file.ino())).ok();
        if ours != theirs {
            let reopened = self.reopen();
            self.told("open", reopened);
        }
    }

    fn reopen(&mut self) -> io::Result<()> {
        let Log { file, written, .. } = Log::open(self.path.clone(), self.bytes_max)?;
        (self.file, self.written) = (file, written);
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
        let mut log = Log::open(path.clone(), 1_000_000).unwrap();
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
        let mut log = Log::open(path.clone(), 1_000).unwrap();
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
}
