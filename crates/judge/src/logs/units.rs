//! The units a header is made of, told apart by their looks alone.
//!
//! A unit is a run of bytes without white space, except that a bracket is one unit up to the bracket that closes it
//! (`[IPC Server handler 0 on 62270]`, `request{method=GET uri=/}:`).

use super::Severity;

/// A bracket that is not closed within so many bytes is not a bracket.
const BRACKET_BYTES_MAX: usize = 256;

/// What a unit looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A date, a time of day, an epoch time, a month, a weekday, a zone; or a bracket around them.
    Time,
    /// A severity word, plain, with a colon or comma, or in brackets.
    Severity(Severity),
    /// A single letter that may be one (`D`), or glog's letter with month and day (`I0710`).
    SeverityLetter(Severity),
    /// A whole number.
    Integer,
    /// Anything in square brackets.
    Bracket,
    /// Punctuation alone: `-`, `|`, `:`.
    Dash,
    /// A name that ends with a colon: `sshd[7]:`.
    Name,
    /// A name that ends with a closing bracket it did not open: glog's `main.cc:12]`.
    Close,
    /// Anything else.
    Word,
}

/// One unit of a line.
#[derive(Debug, Clone, Copy)]
pub struct Unit {
    /// First byte.
    pub start: usize,
    /// One past the last byte.
    pub end: usize,
}

/// The next unit at or after `from`; `None` at the end of the line.
#[inline]
pub fn next_unit(line: &[u8], from: usize) -> Option<Unit> {
    let mut start = from;
    while start < line.len() && line[start].is_ascii_whitespace() {
        start += 1;
    }
    if start == line.len() {
        return None;
    }
    let bracketed = line[start] == b'[';
    let mut end = start;
    while end < line.len() {
        match line[end] {
            b' ' | b'\t' => break,
            b'[' | b'{' if end == start || line[end] == b'{' || !bracketed => {
                match closing(line, end) {
                    Some(close) => {
                        end = close + 1;
                        // `[a][b]` are two units; `[a]:` is one.
                        if bracketed && line.get(end) == Some(&b'[') {
                            break;
                        }
                    }
                    None => end += 1,
                }
            }
            _ => end += 1,
        }
    }
    Some(Unit { start, end })
}

/// Where the bracket opened at `open` closes, counting nested ones.
fn closing(line: &[u8], open: usize) -> Option<usize> {
    let (opens, closes) = if line[open] == b'[' { (b'[', b']') } else { (b'{', b'}') };
    let mut depth = 0_usize;
    let window = &line[open..line.len().min(open + BRACKET_BYTES_MAX)];
    for (offset, &byte) in window.iter().enumerate() {
        if byte == opens {
            depth += 1;
        } else if byte == closes {
            depth -= 1;
            if depth == 0 {
                return Some(open + offset);
            }
        }
    }
    None
}

/// What a unit looks like. Only for recognising a header and for parsing the units of one, not for every byte.
pub fn kind_of(unit: &[u8]) -> Kind {
    if is_time(unit) {
        return Kind::Time;
    }
    if let Some(severity) = severity_of(unit) {
        return Kind::Severity(severity);
    }
    match unit {
        [letter] if letter.is_ascii_uppercase() => {
            return Severity::from_letter(*letter).map_or(Kind::Word, Kind::SeverityLetter);
        }
        [letter, date @ ..] if date.len() == 4 && date.iter().all(u8::is_ascii_digit) => {
            if let (b'I' | b'W' | b'E' | b'F', Some(severity)) = (letter, Severity::from_letter(*letter)) {
                return Kind::SeverityLetter(severity);
            }
        }
        _ => {}
    }
    if unit.iter().all(u8::is_ascii_digit) {
        return Kind::Integer;
    }
    if unit[0] == b'[' && (unit.ends_with(b"]") || unit.ends_with(b"]:") || unit.ends_with(b"],")) {
        return Kind::Bracket;
    }
    if unit.iter().all(u8::is_ascii_punctuation) && unit.len() <= 4 {
        return Kind::Dash;
    }
    if unit.ends_with(b"]") && !unit.contains(&b'[') {
        return Kind::Close;
    }
    if is_name(unit) { Kind::Name } else { Kind::Word }
}

/// A logger or program with its colon. Not a key (`a=b:`), not a quotation, not a path.
pub fn is_name(unit: &[u8]) -> bool {
    unit.len() >= 2
        && unit.len() <= 200
        && unit.ends_with(b":")
        && (unit.contains(&b'{') || !unit.iter().any(|byte| matches!(byte, b'=' | b'"' | b'\'' | b',')))
        && (unit[0].is_ascii_alphanumeric() || matches!(unit[0], b'_' | b'(' | b'-'))
}

/// A severity in one of its dresses: `INFO`, `INFO:`, `Info,`, `[INFO]`, `<info>`, `|INFO|`, `LOG:`.
pub fn severity_of(unit: &[u8]) -> Option<Severity> {
    if unit.len() > 24 {
        return None;
    }
    let trimmed = trim_dress(unit);
    Severity::from_word(trimmed).or_else(|| {
        // Apache's `[core:error]`.
        let dressed = unit.first() == Some(&b'[');
        let colon = memchr::memchr(b':', trimmed).filter(|_| dressed)?;
        Severity::from_word(&trimmed[colon + 1..])
    })
}

fn trim_dress(unit: &[u8]) -> &[u8] {
    let is_dress = |byte: &u8| matches!(byte, b'[' | b']' | b'<' | b'>' | b':' | b',' | b'|' | b'(' | b')' | b' ');
    let start = unit.iter().position(|byte| !is_dress(byte)).unwrap_or(unit.len());
    let end = unit.iter().rposition(|byte| !is_dress(byte)).map_or(start, |last| last + 1);
    &unit[start..end]
}

const MONTHS_AND_DAYS: [&[u8]; 19] = [
    b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec", b"Mon", b"Tue",
    b"Wed", b"Thu", b"Fri", b"Sat", b"Sun",
];
const ZONES: [&[u8]; 10] = [b"UTC", b"GMT", b"Z", b"CET", b"CEST", b"EST", b"EDT", b"PST", b"PDT", b"MSK"];

/// Whether a unit is (part of) a time: `2015-10-18`, `18:01:47,978`, `17/06/09`, `2005-06-03-15.42.50.675872`,
/// `20171223-22:15:29:606`, `10/Oct/2000:13:55:36`, `Jun`, `1117838570`, `UTC`, `+0000`, `[10.30 16:49:06]`.
pub fn is_time(unit: &[u8]) -> bool {
    let unit = unit.strip_suffix(b",").or_else(|| unit.strip_suffix(b":")).unwrap_or(unit);
    let Some(&first) = unit.first() else { return false };
    match first {
        b'[' => {
            let inside = unit.strip_suffix(b"]").unwrap_or(unit);
            inside[1..].split(u8::is_ascii_whitespace).any(|part| !part.is_empty() && is_clock_or_date(part))
        }
        b'+' | b'-' => unit.len() >= 5 && unit.len() <= 6 && unit[1..].iter().all(|b| b.is_ascii_digit() || *b == b':'),
        b'0'..=b'9' => is_clock_or_date(unit) || is_epoch(unit),
        b'A'..=b'Z' => MONTHS_AND_DAYS.contains(&unit) || ZONES.contains(&unit),
        _ => false,
    }
}

/// Ten to nineteen digits beginning with 1 (2001 to 2033 in seconds, and finer), with or without a fraction.
fn is_epoch(unit: &[u8]) -> bool {
    let whole = unit.iter().position(|&byte| byte == b'.').unwrap_or(unit.len());
    (10..=19).contains(&whole)
        && unit[0] == b'1'
        && unit.iter().enumerate().all(|(at, byte)| byte.is_ascii_digit() || at == whole)
}

fn is_clock_or_date(unit: &[u8]) -> bool {
    if unit.len() < 5 || unit.len() > 40 || !unit[0].is_ascii_digit() {
        return false;
    }
    // Group lengths between separators; letters only as T, Z or a month.
    let mut groups = [0_u8; 12];
    let mut separators = [0_u8; 12];
    let mut count = 0;
    let mut at = 0;
    while at < unit.len() {
        let byte = unit[at];
        if byte.is_ascii_digit() {
            groups[count] = groups[count].saturating_add(1);
        } else if at + 3 <= unit.len() && MONTHS_AND_DAYS[..12].contains(&&unit[at..at + 3]) {
            groups[count] = 3;
            at += 2;
        } else if matches!(byte, b':' | b'-' | b'/' | b'.' | b',' | b'T' | b'Z' | b'_' | b'+') {
            if count + 1 == groups.len() {
                return false;
            }
            separators[count] = byte;
            count += 1;
        } else {
            return false;
        }
        at += 1;
    }
    let two = |index: usize| groups[index] == 2 || groups[index] == 1;
    for index in 0..count {
        let after_dot = index > 0 && separators[index - 1] == b'.';
        let clock = separators[index] == b':' && two(index) && groups[index + 1] == 2 && !after_dot;
        let date = index + 1 < count
            && separators[index] == separators[index + 1]
            && matches!(separators[index], b'-' | b'/' | b'.')
            && matches!(
                (groups[index], groups[index + 1], groups[index + 2]),
                (4, 1 | 2, 1 | 2) | (1 | 2, 1 | 2, 4) | (2, 2, 2) | (1 | 2, 3, 4) | (4, 3, 1 | 2)
            );
        // Addresses (`1.2.3.4`) have four groups and dots alone.
        let address = count == 3 && separators[..3] == [b'.'; 3];
        if clock || date && !address {
            return true;
        }
    }
    count == 1 && groups[0] == 2 && groups[1] == 2 && separators[0] == b'-'
}

#[cfg(test)]
mod tests {
    use super::*;

    fn units(line: &str) -> Vec<&str> {
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(unit) = next_unit(line.as_bytes(), from) {
            found.push(&line[unit.start..unit.end]);
            from = unit.end;
        }
        found
    }

    #[test]
    fn brackets_are_one_unit() {
        assert_eq!(units("a [b c] [d[e]f g] h"), ["a", "[b c]", "[d[e]f g]", "h"]);
        assert_eq!(units("[x][INFO ] req{a=1 b=2}: y"), ["[x]", "[INFO ]", "req{a=1 b=2}:", "y"]);
        assert_eq!(units("sshd(pam_unix)[19]: x [open"), ["sshd(pam_unix)[19]:", "x", "[open"]);
    }

    #[test]
    fn times_are_told_from_numbers_and_addresses() {
        for time in [
            "2015-10-18",
            "18:01:47,978",
            "17/06/09",
            "2005-06-03-15.42.50.675872",
            "20171223-22:15:29:606",
            "10/Oct/2000:13:55:36",
            "Jun",
            "1117838570",
            "1117838570.123",
            "UTC",
            "+0000",
            "[10.30 16:49:06]",
            "2005.06.03",
            "2024-01-02T03:04:05.123456Z",
            "04:30:30,",
            "03-17",
            "[Sun Dec 04 04:47:44 2005]",
            "15:16:01",
        ] {
            assert_eq!(kind_of(time.as_bytes()), Kind::Time, "{time}");
        }
        for other in ["1.2.3.4", "10.1.2.3:80", "081109", "v1.2.3", "[main]", "combo", "1-2", "12", "[client 1.2.3.4]"]
        {
            assert_ne!(kind_of(other.as_bytes()), Kind::Time, "{other}");
        }
    }

    #[test]
    fn severities_are_seen_in_their_dresses() {
        for dressed in ["INFO", "[INFO]", "INFO:", "Info,", "<info>", "[core:info]", "[INFO ]"] {
            assert_eq!(kind_of(dressed.as_bytes()), Kind::Severity(Severity::Info), "{dressed}");
        }
        assert_eq!(kind_of(b"I0710"), Kind::SeverityLetter(Severity::Info));
        assert_eq!(kind_of(b"main.cc:12]"), Kind::Close);
        assert_eq!(kind_of(b"dfs.DataNode$Packet:"), Kind::Name);
    }
}
