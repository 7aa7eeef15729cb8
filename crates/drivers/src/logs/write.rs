//! Writing an instance's log: numbered files, rotated by size, the oldest removed. Whatever the disk does, the instance goes on.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::line::{LINE_BYTES_MAX, LogStream, head};
use super::place::{file_name, numbered};

/// The smallest size at which a file is rotated: a few lines, so that a wrong limit does not make a file per line.
const FILE_BYTES_MIN: u64 = 4 << 10;

/// The log of one instance, being written.
#[derive(Debug)]
pub(crate) struct LogWriter {
    folder: PathBuf,
    file_bytes_max: u64,
    files_max: u16,
    number: u64,
    file: Option<File>,
    bytes: u64,
    /// Lines since the disk refused one.
    lost: u64,
    /// The file ends within a line, after a write that was cut off.
    torn: bool,
    partial: [Vec<u8>; 2],
    buffer: Vec<u8>,
}

impl LogWriter {
    /// A writer into a folder, going on after what is there.
    pub(crate) fn open(folder: &Path, file_bytes_max: u64, files_max: u16) -> LogWriter {
        let number = numbered(folder).last().copied().unwrap_or(0);
        LogWriter {
            folder: folder.to_owned(),
            file_bytes_max: file_bytes_max.max(FILE_BYTES_MIN),
            files_max: files_max.max(1),
            number,
            file: None,
            bytes: 0,
            lost: 0,
            torn: false,
            partial: [Vec::new(), Vec::new()],
            buffer: Vec::new(),
        }
    }

    /// Takes what an instance wrote.
    pub(crate) fn take(&mut self, stream: LogStream, mut bytes: &[u8]) {
        let at = Timestamp::now();
        let mut partial = std::mem::take(&mut self.partial[index(stream)]);
        loop {
            let room = LINE_BYTES_MAX - partial.len();
            let end = memchr::memchr(b'\n', bytes);
            match end {
                Some(end) if end <= room => {
                    partial.extend_from_slice(&bytes[..end]);
                    self.line(at, stream, false, &partial);
                    bytes = &bytes[end + 1..];
                }
                None if bytes.len() <= room => {
                    partial.extend_from_slice(bytes);
                    break;
                }
                _ => {
                    partial.extend_from_slice(&bytes[..room]);
                    self.line(at, stream, true, &partial);
                    bytes = &bytes[room..];
                }
            }
            partial.clear();
        }
        self.partial[index(stream)] = partial;
        self.flush();
    }

    /// Notes something of the keeper's own.
    pub(crate) fn remark(&mut self, text: &str) {
        self.line(Timestamp::now(), LogStream::System, false, text.replace('\n', " ").as_bytes());
        self.flush();
    }

    /// The end of a stream: what it wrote without a line's end is a line.
    pub(crate) fn end(&mut self, stream: LogStream) {
        let partial = std::mem::take(&mut self.partial[index(stream)]);
        if !partial.is_empty() {
            self.line(Timestamp::now(), stream, false, &partial);
            self.flush();
        }
    }

    fn line(&mut self, at: Timestamp, stream: LogStream, goes_on: bool, text: &[u8]) {
        let start = self.buffer.len();
        head(&mut self.buffer, at, stream, goes_on);
        self.buffer.extend_from_slice(text);
        self.buffer.push(b'\n');
        let length = (self.buffer.len() - start) as u64;
        if self.bytes + self.buffer.len() as u64 > self.file_bytes_max && self.bytes + start as u64 > 0 {
            let line = self.buffer.split_off(start);
            self.flush();
            self.rotate();
            self.buffer = line;
        }
        debug_assert!(length > 0);
    }

    fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let lines = memchr::memchr_iter(b'\n', &self.buffer).count() as u64;
        let buffer = std::mem::take(&mut self.buffer);
        match self.write(&buffer) {
            Ok(()) => {
                self.buffer = {
                    let mut b = buffer;
                    b.clear();
                    b.shrink_to(LINE_BYTES_MAX * 2);
                    b
                }
            }
            Err(_) => self.lost += lines,
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut gap = Vec::new();
        if self.torn {
            gap.push(b'\n');
        }
        if self.lost > 0 {
            head(&mut gap, Timestamp::now(), LogStream::System, false);
            gap.extend(format!("{} lines were lost: the disk did not take them\n", self.lost).bytes());
        }
        self.open_file()?;
        if !gap.is_empty() {
            self.write_raw(&gap)?;
            self.lost = 0;
        }
        self.write_raw(bytes)
    }

    fn write_raw(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Some(file) = &mut self.file else { return Err(io::Error::from(io::ErrorKind::NotFound)) };
        while !bytes.is_empty() {
            match file.write(bytes) {
                Ok(0) => return Err(io::Error::from(io::ErrorKind::WriteZero)),
                Ok(length) => {
                    self.bytes += length as u64;
                    self.torn = bytes[length - 1] != b'\n';
                    bytes = &bytes[length..];
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn open_file(&mut self) -> io::Result<()> {
        if self.file.is_none() {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
            let path = self.path(self.number + 1);
            let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(path)?;
            self.number += 1;
            self.bytes = 0;
            self.torn = false;
            self.file = Some(file);
        }
        Ok(())
    }

    /// Ends the file; the next write begins a new one. The oldest go first, so that a full disk gets its room back.
    fn rotate(&mut self) {
        self.file = None;
        self.bytes = 0;
        let there = numbered(&self.folder);
        let surplus = (there.len() + 1).saturating_sub(usize::from(self.files_max));
        for number in &there[..surplus.min(there.len())] {
            let _gone = fs::remove_file(self.path(*number));
        }
    }

    fn path(&self, number: u64) -> PathBuf {
        self.folder.join(file_name(number))
    }
}

fn index(stream: LogStream) -> usize {
    usize::from(stream == LogStream::Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::line::Line;

    fn lines(folder: &Path) -> Vec<Line> {
        let text: String =
            numbered(folder).iter().map(|n| fs::read_to_string(folder.join(file_name(*n))).unwrap()).collect();
        text.lines().map(|line| line.parse().unwrap()).collect()
    }

    #[test]
    fn lines_come_out_as_they_went_in_however_they_were_cut() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open(folder.path(), 1 << 20, 2);
        for piece in ["a", "b\nc", "\n", "\n", "last"] {
            log.take(LogStream::Out, piece.as_bytes());
        }
        log.take(LogStream::Err, b"e\n");
        log.end(LogStream::Out);
        let texts: Vec<(LogStream, String)> = lines(folder.path()).into_iter().map(|l| (l.stream, l.text)).collect();
        let out = |text: &str| (LogStream::Out, text.to_owned());
        assert_eq!(texts, [out("ab"), out("c"), out(""), (LogStream::Err, "e".to_owned()), out("last")]);
    }

    #[test]
    fn a_very_long_line_is_kept_in_pieces_that_join_to_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open(folder.path(), 1 << 20, 2);
        let long: String = (0..100_000).map(|n| char::from(b'a' + (n % 26) as u8)).collect();
        log.take(LogStream::Out, format!("{long}\nnext\n").as_bytes());
        let lines = lines(folder.path());
        let joined: String = lines[..lines.len() - 1].iter().map(|line| line.text.as_str()).collect();
        assert_eq!(joined, long);
        assert!(lines[..lines.len() - 2].iter().all(|line| line.goes_on && line.text.len() == LINE_BYTES_MAX));
        assert!(!lines[lines.len() - 2].goes_on);
        assert_eq!(lines.last().unwrap().text, "next");
    }

    #[test]
    fn the_files_stay_within_their_bounds_and_the_newest_lines_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = LogWriter::open(folder.path(), 8 << 10, 3);
        for number in 0..5_000 {
            log.take(LogStream::Out, format!("line {number}\n").as_bytes());
        }
        assert!(numbered(folder.path()).len() <= 3);
        for number in numbered(folder.path()) {
            assert!(fs::metadata(folder.path().join(file_name(number))).unwrap().len() <= 8 << 10);
        }
        let kept: Vec<String> = lines(folder.path()).into_iter().map(|line| line.text).collect();
        assert!(kept.len() > 300, "{}", kept.len());
        let expected: Vec<String> = (5_000 - kept.len()..5_000).map(|number| format!("line {number}")).collect();
        assert_eq!(kept, expected);
    }
}
