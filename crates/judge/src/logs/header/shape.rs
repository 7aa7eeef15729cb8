//! One kind of header as a row of steps, and how a line is read by it.

use super::super::units::{self, Kind, Unit, kind_of, next_unit};
use super::Header;
use super::parts::{
    logger_of, message_start, name, priority, seek, severity_and_logger, severity_inside, words_before_dash,
};

/// How far the severity may wander behind the time (`user@db LOG:` or `LOG:`).
pub(super) const SEEK_MAX: usize = 4;

/// How one column is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    Any,
    Logger,
    /// Python's `ERROR:shop.cart:message`.
    SeverityAndLogger,
    /// RFC 5424's `<30>1`: facility × 8 + severity, and the version.
    Priority,
    Time,
    Severity,
    SeverityLetter,
    SeekSeverity,
    Bracket,
    Integer,
    Dash,
    Name,
    Close,
    WordsToDash,
}

/// One kind of header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) steps: Vec<Step>,
    /// So many steps must match for a line to be of this kind.
    pub(super) required: usize,
    /// The severity stands inside the bracket with the time (`[2024-01-01T00:00:00Z INFO  app]`).
    pub(super) severity_in_bracket: bool,
}

impl Shape {
    /// Reads the header of a line; `None` when the line is not of this kind.
    #[inline]
    pub(super) fn read<'a>(&self, line: &'a [u8]) -> Option<Header<'a>> {
        let mut header = Header::default();
        let mut at = 0;
        for (index, step) in self.steps.iter().enumerate() {
            let read = next_unit(line, at).and_then(|unit| self.step(*step, line, unit, &mut header));
            match read {
                Some(end) => at = end,
                None if index < self.required => return None,
                // A column that is not there: try the next one at the same place, a name above all.
                None => {}
            }
        }
        header.message = message_start(line, at);
        Some(header)
    }

    /// Reads one unit as a step; its end, or `None` when it does not fit.
    #[inline]
    fn step<'a>(&self, step: Step, line: &'a [u8], unit: Unit, header: &mut Header<'a>) -> Option<usize> {
        let text = &line[unit.start..unit.end];
        match step {
            Step::Any => {}
            Step::SeverityAndLogger => {
                let (severity, logger, end) = severity_and_logger(line)?;
                (header.severity, header.logger) = (Some(severity), logger);
                return Some(end);
            }
            Step::Priority => header.severity = Some(priority(line, unit)?),
            Step::Logger => {
                if text.len() > 100 || text[0] == b'[' || text[0] == b'"' {
                    return None;
                }
                header.logger = logger_of(text);
            }
            Step::Time => {
                let fits = match text[0] {
                    b'0'..=b'9' | b'[' | b'+' | b'-' => true,
                    first => first.is_ascii_uppercase() && text.len() <= 5,
                };
                if !fits {
                    return None;
                }
                if self.severity_in_bracket
                    && let Some((severity, logger)) = severity_inside(text)
                {
                    header.severity = Some(severity);
                    header.logger = logger_of(logger);
                }
            }
            Step::Severity => match units::severity_of(text) {
                Some(severity) => header.severity = Some(severity),
                // A level of the program's own (`SUCCESS`).
                None if text.len() <= 12
                    && text.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_punctuation()) => {}
                None => {
                    let Kind::SeverityLetter(severity) = kind_of(text) else { return None };
                    header.severity = Some(severity);
                }
            },
            Step::SeverityLetter => {
                let Kind::SeverityLetter(severity) = kind_of(text) else { return None };
                header.severity = Some(severity);
            }
            Step::SeekSeverity => return seek(line, unit, header),
            Step::Bracket => {
                if text[0] != b'[' {
                    return None;
                }
                if header.severity.is_none() {
                    header.severity = units::severity_of(text);
                }
            }
            Step::Integer => {
                if !text.iter().all(u8::is_ascii_digit) {
                    return None;
                }
            }
            Step::Dash => {
                if text.len() > 4 || !text.iter().all(u8::is_ascii_punctuation) {
                    return None;
                }
            }
            Step::Close => {
                if !text.ends_with(b"]") {
                    return None;
                }
                header.logger = logger_of(text);
            }
            Step::Name => return name(line, unit, header),
            Step::WordsToDash => return words_before_dash(line, unit, header),
        }
        Some(unit.end)
    }
}
