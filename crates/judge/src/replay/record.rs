//! One line of a recorded stream.

use crate::arm::Arm;
use crate::plan::Settings;
use serde::{Deserialize, Serialize};

/// A longer line is refused unread.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// The line that starts the rollout; what comes before is the time before it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// Always `rollout`.
    pub start: String,
    /// When, in seconds of the stream's own clock.
    pub at: f64,
    /// The candidate's label.
    #[serde(default)]
    pub candidate: Option<String>,
    /// The current release's label.
    #[serde(default)]
    pub current: Option<String>,
    /// Rules that differ from the defaults.
    #[serde(default)]
    pub settings: Option<Settings>,
    /// How many clients the service has; where samples name failing clients, they are taken to be many.
    #[serde(default)]
    pub clients: Option<u64>,
    /// How long a phase may take, in seconds; the end of the stream by default.
    #[serde(default)]
    pub deadline_s: Option<f64>,
}

/// A latency histogram.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HistogramRecord {
    /// Pairs of latency in microseconds and count.
    Pairs(Vec<(u64, u64)>),
}

/// A sample of one instance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sample {
    /// When, in seconds.
    pub at: f64,
    /// Which side.
    pub arm: Arm,
    /// Which instance; one per arm where it is left out.
    #[serde(default)]
    pub instance: String,
    /// The machine the instance runs on: what a host does by itself is learnt before the rollout.
    #[serde(default)]
    pub host: Option<String>,
    /// Who counted, where several proxies count for one instance.
    #[serde(default)]
    pub source: Option<String>,
    /// The route of the requests: compared only with itself.
    #[serde(default)]
    pub route: Option<String>,
    /// The clients whose requests failed.
    #[serde(default)]
    pub clients: Vec<String>,
    /// Which metric: `errors`, `latency`, `restarts` or a name of its own; of a log line nothing.
    #[serde(default)]
    pub metric: Option<String>,
    /// Requests, or seconds for `restarts`.
    #[serde(default)]
    pub exposure: Option<f64>,
    /// How many of them had the event.
    #[serde(default)]
    pub events: Option<f64>,
    /// `exposure` and `events` are totals since the source started.
    #[serde(default)]
    pub total: bool,
    /// Latencies of answered requests.
    #[serde(default)]
    pub histogram: Option<HistogramRecord>,
    /// Requests that timed out or were cut, beside `histogram`.
    #[serde(default)]
    pub unanswered: Option<f64>,
    /// A gauge's value.
    #[serde(default)]
    pub value: Option<f64>,
    /// The limit of the gauge, if it has one.
    #[serde(default)]
    pub limit: Option<f64>,
    /// `exited`, `out-of-memory`, or `started`: an instance of the current release was restarted beside the candidate, as the control of
    /// its warm-up.
    #[serde(default)]
    pub event: Option<String>,
    /// A log line.
    #[serde(default)]
    pub log: Option<String>,
    /// A request of the log line's trace was answered 5xx.
    #[serde(default)]
    pub failed_request: bool,
}

/// One line, read.
#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    /// The rollout starts.
    Start(Box<Start>),
    /// A sample.
    Sample(Box<Sample>),
}

/// Why a line was refused.
#[derive(Debug, Clone, PartialEq)]
pub enum LineInvalid {
    /// Longer than [`LINE_BYTES_MAX`].
    TooLong,
    /// Not of the format; what the reader said.
    Format(String),
    /// A number that is negative, infinite or none.
    Number(&'static str),
}

impl std::fmt::Display for LineInvalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LineInvalid::TooLong => write!(f, "line longer than {LINE_BYTES_MAX} bytes"),
            LineInvalid::Format(why) => write!(f, "not a record: {why}"),
            LineInvalid::Number(field) => write!(f, "`{field}` is not a number from 0 on"),
        }
    }
}

impl std::error::Error for LineInvalid {}

/// What a file is that holds no lines of text, by its first bytes; `None` where it may.
pub fn packed_format(first: &[u8]) -> Option<&'static str> {
    const MAGIC: [(&[u8], &str); 8] = [
        (&[0x1f, 0x8b], "gzip"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
        (b"BZh", "bzip2"),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
        (b"PK\x03\x04", "zip"),
        (&[0xff, 0xfe], "UTF-16"),
        (&[0xfe, 0xff], "UTF-16"),
        (b"SQLite format 3", "SQLite"),
    ];
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| first.starts_with(magic)) {
        return Some(name);
    }
    // UTF-16 without a mark: every other byte of plain text is 0.
    let pairs = first.len() / 2;
    let zeros = |odd: usize| first.iter().skip(odd).step_by(2).filter(|byte| **byte == 0).count();
    (pairs >= 8 && (zeros(0).max(zeros(1))) * 10 >= pairs * 9).then_some("UTF-16")
}

/// Reads one line.
///
/// # Errors
/// Why it is no record.
pub fn parse_line(line: &[u8]) -> Result<Line, LineInvalid> {
    if line.len() > LINE_BYTES_MAX {
        return Err(LineInvalid::TooLong);
    }
    let format = |error: serde_json::Error| LineInvalid::Format(error.to_string());
    // A start names itself; samples, a thousand times as many, are tried first.
    if memchr::memmem::find(line, b"\"start\"").is_none_or(|at| at >= 64) {
        let sample: Sample = serde_json::from_slice(line).map_err(format)?;
        return sample.check().map(|()| Line::Sample(Box::new(sample)));
    }
    let start: Start = serde_json::from_slice(line).map_err(format)?;
    let sound = start.at.is_finite() && start.at >= 0.0 && start.deadline_s.is_none_or(|s| s.is_finite() && s >= 0.0);
    if sound { Ok(Line::Start(Box::new(start))) } else { Err(LineInvalid::Number("at")) }
}

impl Sample {
    fn check(&self) -> Result<(), LineInvalid> {
        let numbers = [
            ("at", Some(self.at)),
            ("exposure", self.exposure),
            ("events", self.events),
            ("unanswered", self.unanswered),
            ("value", self.value),
            ("limit", self.limit),
        ];
        let wrong =
            numbers.iter().find(|(_, number)| number.is_some_and(|n| !n.is_finite() || !(0.0..=1e15).contains(&n)));
        wrong.map_or(Ok(()), |(field, _)| Err(LineInvalid::Number(field)))
    }
}
