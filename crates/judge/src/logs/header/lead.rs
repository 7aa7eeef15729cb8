//! Headers on a line of their own, before the line with the message.
//!
//! `java.util.logging` writes the time and the method, and below it `INFO: message`; .NET's console writes `info: Category[12]`,
//! and below it the message, indented.

use super::super::Severity;
use super::super::units::{Kind, kind_of, next_unit};
use super::parts::{is_loud_severity, logger_of};
use super::{Header, UNITS_MAX};

/// Share of the lines that look like leads that must be followed by what follows one.
const FOLLOWED_SHARE: f64 = 0.8;

/// Which kind of lines lead a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lead {
    /// A time and a name; `SEVERITY: message` follows.
    Time,
    /// A severity and a category, nothing else; an indented line follows.
    Category,
}

/// How records of these lines, in their order, are led; `None` when they begin with their message on the same line.
pub(super) fn lead_of(lines: &[&[u8]]) -> Option<Lead> {
    [Lead::Time, Lead::Category].into_iter().find(|lead| {
        let led = |pair: &&[&[u8]]| lead.read(pair[0]).is_some();
        let pairs: Vec<&[&[u8]]> = lines.windows(2).filter(led).collect();
        let followed = pairs.iter().filter(|pair| lead.is_followed_by(pair[1])).count();
        followed > 0 && followed as f64 >= FOLLOWED_SHARE * pairs.len() as f64
    })
}

impl Lead {
    /// Reads a line that leads a record: its message is empty. `None` when it is none.
    pub(super) fn read(self, line: &[u8]) -> Option<Header<'_>> {
        let mut header = Header { message: line.len(), leads: true, ..Header::default() };
        match self {
            Lead::Time => {
                let first = next_unit(line, 0).filter(|unit| unit.start == 0)?;
                if kind_of(&line[..first.end]) != Kind::Time {
                    return None;
                }
                let mut from = first.end;
                for _ in 0..UNITS_MAX {
                    let unit = next_unit(line, from)?;
                    let text = &line[unit.start..unit.end];
                    let part_of_time = kind_of(text) == Kind::Time
                        || matches!(text, b"AM" | b"PM")
                        || text.iter().all(|byte| byte.is_ascii_digit() || *byte == b',');
                    if !part_of_time {
                        header.logger = logger_of(text);
                        break;
                    }
                    from = unit.end;
                }
            }
            Lead::Category => {
                let colon = memchr::memchr(b':', &line[..line.len().min(12)])?;
                header.severity = Some(Severity::from_word(&line[..colon]).or_else(|| short_word(&line[..colon]))?);
                let category = next_unit(line, colon + 1)?;
                let text = &line[category.start..category.end];
                let is_name = text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._[]-+`".contains(byte));
                if !is_name || next_unit(line, category.end).is_some() {
                    return None;
                }
                header.logger = logger_of(text);
            }
        }
        Some(header)
    }

    fn is_followed_by(self, line: &[u8]) -> bool {
        match self {
            Lead::Time => line
                .iter()
                .take(16)
                .position(|byte| *byte == b':')
                .is_some_and(|colon| is_loud_severity(&line[..colon])),
            Lead::Category => line.starts_with(b"  "),
        }
    }
}

/// .NET's words of four letters.
fn short_word(word: &[u8]) -> Option<Severity> {
    Some(match word {
        b"trce" => Severity::Trace,
        b"dbug" => Severity::Debug,
        b"fail" => Severity::Error,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_above_its_message_is_recognised_and_a_sentence_is_not() {
        let jul: [&[u8]; 4] = [
            b"Nov 21, 2026 9:45:33 PM a.b.Shop create",
            b"INFO: made 5",
            b"Nov 21, 2026 9:45:34 PM a.b.Pay run",
            b"SEVERE: no",
        ];
        assert_eq!(lead_of(&jul), Some(Lead::Time));
        assert_eq!(Lead::Time.read(jul[2]).unwrap().logger, b"a.b.Pay");
        let dotnet: [&[u8]; 2] = [b"fail: Shop.Pay.Gateway[12]", b"      refused"];
        assert_eq!(lead_of(&dotnet), Some(Lead::Category));
        let header = Lead::Category.read(dotnet[0]).unwrap();
        assert_eq!((header.severity, header.logger), (Some(Severity::Error), &b"Shop.Pay.Gateway"[..]));
        let plain: [&[u8]; 3] =
            [b"2026-01-02 10:11:12 INFO a.B: x", b"2026-01-02 10:11:12 INFO a.B: y", b"info: ready to serve"];
        assert_eq!(lead_of(&plain), None);
    }
}
