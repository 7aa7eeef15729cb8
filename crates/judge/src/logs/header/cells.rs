//! Headers whose columns are separated by `|`.

use super::super::units;
use super::parts::{logger_of, message_start};
use super::{Header, UNITS_MAX};

/// How many leading cells the lines have when `|` separates their columns: the first holds a time, and nearly all lines
/// have that many.
pub(super) fn leading_cells(lines: &[&[u8]]) -> usize {
    let mut counts: Vec<usize> = lines
        .iter()
        .map(|line| {
            let first = line.split(|byte| *byte == b'|').next().unwrap_or_default();
            if units::is_time(first.trim_ascii()) { memchr::memchr_iter(b'|', line).count() } else { 0 }
        })
        .collect();
    counts.sort_unstable();
    counts.get(counts.len() / 20).copied().unwrap_or(0).min(UNITS_MAX)
}

pub(super) fn read_cells(line: &[u8], cells: usize) -> Option<Header<'_>> {
    let mut header = Header::default();
    let mut at = 0;
    for index in 0..cells {
        let end = at + memchr::memchr(b'|', &line[at..])?;
        let cell = line[at..end].trim_ascii();
        if index > 0 {
            if let (None, Some(severity)) = (header.severity, units::severity_of(cell)) {
                header.severity = Some(severity);
            } else if header.logger.is_empty() && cell.first().is_some_and(u8::is_ascii_alphabetic) {
                header.logger = logger_of(cell);
            }
        }
        at = end + 1;
    }
    header.message = message_start(line, at);
    Some(header)
}
