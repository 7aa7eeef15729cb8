//! One line of a log file.
//!
//! ```text
//! 2026-11-21T08:00:00.123456Z out listening on 127.0.0.1:20001
//! 2026-11-21T08:00:01.000002Z err+ the first 16 KiB of a very long line
//! 2026-11-21T08:00:01.000002Z err  and its end
//! 2026-11-21T08:00:02.000000Z sys started as process 4711
//! ```
//!
//! The time in UTC with microseconds, a space, the stream (`out`, `err`, `sys` for what the keeper has to say), `+` when the line goes on in the next one of
//! that stream, a space, the text as the instance wrote it (any bytes but a line feed).

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;

/// The longest text kept in one line, in bytes; longer ones go on in the next.
pub const LINE_BYTES_MAX: usize = 16 << 10;

/// Where a line came from.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum LogStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
    /// The keeper's own remarks.
    System,
}

impl LogStream {
    /// As it is written.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            LogStream::Out => "out",
            LogStream::Err => "err",
            LogStream::System => "sys",
        }
    }
}

/// A line without its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Line {
    /// When the keeper read it.
    pub at: Timestamp,
    /// Where it came from.
    pub stream: LogStream,
    /// Whether it goes on in the next line of its stream.
    pub goes_on: bool,
    /// The text; bytes that are not UTF-8 are replaced.
    pub text: String,
}

/// The text is not a line of a log file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not a line of a log file")]
pub struct LineInvalid;

/// Writes the part of a line before its text.
pub(crate) fn head(buffer: &mut Vec<u8>, at: Timestamp, stream: LogStream, goes_on: bool) {
    let more = if goes_on { "+" } else { "" };
    buffer.extend(format!("{at:.6} {}{more} ", stream.name()).bytes());
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let more = if self.goes_on { "+" } else { "" };
        write!(f, "{:.6} {}{more} {}", self.at, self.stream.name(), self.text)
    }
}

impl FromStr for Line {
    type Err = LineInvalid;

    fn from_str(text: &str) -> Result<Line, LineInvalid> {
        let (at, rest) = text.split_once(' ').ok_or(LineInvalid)?;
        let (stream, text) = rest.split_once(' ').ok_or(LineInvalid)?;
        let (stream, goes_on) = stream.strip_suffix('+').map_or((stream, false), |stream| (stream, true));
        let stream = [LogStream::Out, LogStream::Err, LogStream::System].into_iter().find(|s| s.name() == stream);
        let (at, stream) = (at.parse().map_err(|_| LineInvalid)?, stream.ok_or(LineInvalid)?);
        Ok(Line { at, stream, goes_on, text: text.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_back_as_it_is_written() {
        for text in [
            "2026-11-21T08:00:00.123456Z out text with  spaces ",
            "2026-11-21T08:00:00.000000Z err+ ",
            "2026-11-21T08:00:00.000000Z sys started",
        ] {
            let line: Line = text.parse().unwrap();
            assert_eq!(line.to_string(), text);
            let mut written = Vec::new();
            head(&mut written, line.at, line.stream, line.goes_on);
            assert!(text.as_bytes().starts_with(&written));
        }
        for wrong in ["", "out", "2026-11-21T08:00:00Z", "2026-11-21T08:00:00Z in x", "yesterday out x"] {
            assert!(wrong.parse::<Line>().is_err(), "{wrong}");
        }
    }
}
