//! Reading logs: the last lines of many instances merged by time, and what is written from then on.

use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gapless_model::{InstanceId, ReleaseLabel, ServiceName};
use jiff::Timestamp;

use super::line::{LINE_BYTES_MAX, Line};
use super::place::{file_name, instance_folder, instances, numbered, read_label};

/// The most lines that are read of one instance at once.
pub const TAIL_MAX: usize = 100_000;
/// The pause between two looks for new lines.
const FOLLOW_INTERVAL: Duration = Duration::from_millis(100);
/// How much of one instance's log is taken by one look.
const FOLLOW_BYTES_MAX: u64 = 1 << 20;
/// The longest line of a file: the text with what stands before it.
const RAW_LINE_BYTES_MAX: u64 = LINE_BYTES_MAX as u64 + 256;

/// Whose lines.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogSelector {
    /// Of this service.
    pub service: ServiceName,
    /// Only of instances of this release.
    pub release: Option<ReleaseLabel>,
    /// Only of this instance.
    pub instance: Option<InstanceId>,
    /// Only lines from this time on.
    pub since: Option<Timestamp>,
    /// So many lines of the past per instance, the last ones; at most [`TAIL_MAX`].
    pub tail: usize,
}

/// A line with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogLine {
    /// Who wrote it.
    pub instance: InstanceId,
    /// The label of its release.
    pub label: Option<ReleaseLabel>,
    /// What it wrote.
    pub line: Line,
}

/// A log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the log {}", path.display())]
pub struct LogError {
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// The logs of a state folder. Calls block for as long as reading files takes.
#[derive(Clone, Debug)]
pub struct Logs {
    state: PathBuf,
}

/// Reading on from a point.
#[derive(Clone, Debug)]
pub struct Follow {
    logs: Logs,
    selector: LogSelector,
    /// How far each instance's log was read.
    places: BTreeMap<InstanceId, Place>,
}

/// A file's number and how many of its bytes were read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Place {
    number: u64,
    offset: u64,
}

impl Logs {
    /// The logs under a state folder.
    #[must_use]
    pub fn new(state: &Path) -> Logs {
        Logs { state: state.to_owned() }
    }

    /// The last lines, oldest first, merged over the instances by time.
    ///
    /// # Errors
    /// [`LogError`]; an instance without a log has no lines.
    pub fn read(&self, selector: &LogSelector) -> Result<Vec<LogLine>, LogError> {
        self.follow(selector).map(|(lines, _)| lines)
    }

    /// The last lines, and what to ask for those that follow: none is left out or told twice between the two.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn follow(&self, selector: &LogSelector) -> Result<(Vec<LogLine>, Follow), LogError> {
        let mut follow = Follow { logs: self.clone(), selector: selector.clone(), places: BTreeMap::new() };
        let tail = selector.tail.min(TAIL_MAX);
        let mut lines = Vec::new();
        for (instance, label) in self.selected(selector) {
            let mut kept = VecDeque::new();
            let mut place = Place::default();
            let take = |line: Line| {
                if selector.since.is_none_or(|since| line.at >= since) && tail > 0 {
                    if kept.len() == tail {
                        kept.pop_front();
                    }
                    kept.push_back(LogLine { instance: instance.clone(), label: label.clone(), line });
                }
            };
            read_on(&instance_folder(&self.state, &instance), &mut place, u64::MAX, take)?;
            follow.places.insert(instance, place);
            lines.extend(kept);
        }
        lines.sort_by_key(|line: &LogLine| line.line.at);
        Ok((lines, follow))
    }

    fn selected(&self, selector: &LogSelector) -> Vec<(InstanceId, Option<ReleaseLabel>)> {
        let wanted = |instance: &InstanceId| selector.instance.as_ref().is_none_or(|wanted| wanted == instance);
        let labelled = |instance: InstanceId| {
            let label = read_label(&instance_folder(&self.state, &instance));
            (instance, label)
        };
        let of_release = |(_, label): &(InstanceId, Option<ReleaseLabel>)| {
            selector.release.as_ref().is_none_or(|wanted| label.as_ref() == Some(wanted))
        };
        let all = instances(&self.state, &selector.service).into_iter().filter(wanted).map(labelled);
        all.filter(of_release).collect()
    }
}

impl Follow {
    /// What was written since the last call, merged by time; instances that are new are found.
    ///
    /// # Errors
    /// [`LogError`].
    pub fn poll(&mut self) -> Result<Vec<LogLine>, LogError> {
        let mut lines = Vec::new();
        for (instance, label) in self.logs.selected(&self.selector) {
            let place = self.places.entry(instance.clone()).or_default();
            let take = |line: Line| lines.push(LogLine { instance: instance.clone(), label: label.clone(), line });
            read_on(&instance_folder(&self.logs.state, &instance), place, FOLLOW_BYTES_MAX, take)?;
        }
        lines.sort_by_key(|line: &LogLine| line.line.at);
        Ok(lines)
    }

    /// Waits until something was written.
    ///
    /// # Errors
    /// [`LogError`].
    pub async fn next(&mut self) -> Result<Vec<LogLine>, LogError> {
        loop {
            let lines = self.poll()?;
            if !lines.is_empty() {
                return Ok(lines);
            }
            tokio::time::sleep(FOLLOW_INTERVAL).await;
        }
    }
}

/// Reads whole lines from a place on, about `bytes_max` of them, and moves the place behind them. Lines that are none (torn by a full
/// disk) are passed over.
fn read_on(folder: &Path, place: &mut Place, bytes_max: u64, mut take: impl FnMut(Line)) -> Result<(), LogError> {
    let mut left = bytes_max;
    let from = place.number;
    for number in numbered(folder).into_iter().filter(|number| *number >= from) {
        if number != place.number {
            *place = Place { number, offset: 0 };
        }
        let path = folder.join(file_name(number));
        let read = read_file(&path, place.offset, left, &mut take);
        match read {
            Ok(bytes) => {
                place.offset += bytes;
                left = left.saturating_sub(bytes);
            }
            // Rotated away this moment.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(LogError { path, source }),
        }
        if left == 0 {
            break;
        }
    }
    Ok(())
}

fn read_file(path: &Path, offset: u64, bytes_max: u64, take: &mut impl FnMut(Line)) -> io::Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let (mut read, mut raw) = (0, Vec::new());
    while read < bytes_max {
        raw.clear();
        let length = (&mut reader).take(RAW_LINE_BYTES_MAX).read_until(b'\n', &mut raw)? as u64;
        let whole = raw.last() == Some(&b'\n');
        if length == 0 || (!whole && length < RAW_LINE_BYTES_MAX) {
            break;
        }
        read += length;
        if whole && let Ok(line) = String::from_utf8_lossy(&raw[..raw.len() - 1]).parse() {
            take(line);
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logs::place::write_label;
    use crate::logs::{LogStream, LogWriter};

    fn selector() -> LogSelector {
        let service = ServiceName::new("shop").unwrap();
        LogSelector { service, release: None, instance: None, since: None, tail: 100 }
    }

    fn writer(state: &Path, instance: &str, label: &str) -> LogWriter {
        let folder = instance_folder(state, &instance.parse().unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        write_label(&folder, &ReleaseLabel::new(label).unwrap()).unwrap();
        LogWriter::open(&folder, 8 << 10, 3)
    }

    fn texts(lines: &[LogLine]) -> Vec<&str> {
        lines.iter().map(|line| line.line.text.as_str()).collect()
    }

    #[test]
    fn lines_of_several_instances_come_in_the_order_of_time() {
        let state = tempfile::tempdir().unwrap();
        let mut one = writer(state.path(), "shop.r1.i1", "1.0");
        let mut two = writer(state.path(), "shop.r2.i2", "2.0");
        for number in 0..10 {
            let log = if number % 2 == 0 { &mut one } else { &mut two };
            log.take(LogStream::Out, format!("{number}\n").as_bytes());
        }
        let logs = Logs::new(state.path());
        assert_eq!(texts(&logs.read(&selector()).unwrap()), ["0", "1", "2", "3", "4", "5", "6", "7", "8", "9"]);
        let of_two = LogSelector { release: Some(ReleaseLabel::new("2.0").unwrap()), ..selector() };
        assert_eq!(texts(&logs.read(&of_two).unwrap()), ["1", "3", "5", "7", "9"]);
        assert_eq!(texts(&logs.read(&LogSelector { tail: 1, ..selector() }).unwrap()), ["8", "9"]);
        let by_id = LogSelector { instance: Some("shop.r1.i1".parse().unwrap()), tail: 2, ..selector() };
        assert_eq!(texts(&logs.read(&by_id).unwrap()), ["6", "8"]);
    }

    #[test]
    fn following_tells_each_line_once_over_rotations_and_new_instances() {
        let state = tempfile::tempdir().unwrap();
        let mut one = writer(state.path(), "shop.r1.i1", "1.0");
        one.take(LogStream::Out, b"first\nhalf");
        let (lines, mut follow) = Logs::new(state.path()).follow(&selector()).unwrap();
        assert_eq!(texts(&lines), ["first"]);
        assert!(follow.poll().unwrap().is_empty());
        let mut expected = vec!["half of it".to_owned()];
        one.take(LogStream::Out, b" of it\n");
        let mut seen = Vec::new();
        for number in 0..2_000 {
            expected.push(number.to_string());
            one.take(LogStream::Out, format!("{number}\n").as_bytes());
            if number % 50 == 0 {
                seen.extend(follow.poll().unwrap());
            }
        }
        writer(state.path(), "shop.r2.i2", "2.0").take(LogStream::Out, b"newcomer\n");
        expected.push("newcomer".to_owned());
        seen.extend(follow.poll().unwrap());
        assert_eq!(texts(&seen), expected);
    }

    #[test]
    fn a_torn_line_is_passed_over() {
        let state = tempfile::tempdir().unwrap();
        let folder = instance_folder(state.path(), &"shop.r1.i1".parse().unwrap());
        std::fs::create_dir_all(&folder).unwrap();
        let text = "2026-11-21T08:00:00.000000Z out a\n2026-11-21T08:0\n\n2026-11-21T08:00:01.000000Z out b\n";
        std::fs::write(folder.join(file_name(1)), text).unwrap();
        assert_eq!(texts(&Logs::new(state.path()).read(&selector()).unwrap()), ["a", "b"]);
    }
}
