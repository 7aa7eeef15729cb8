//! What is wrong with a configuration file: where, what, why, and what mends it.

use std::fmt;
use std::ops::Range;

/// One fault of a configuration file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ConfigError {
    /// The file as the user named it.
    pub file: String,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
    /// What is wrong: a lower-case fragment.
    pub what: String,
    /// Why it is.
    pub caused_by: Option<String>,
    /// What mends it.
    pub hint: Option<String>,
}

/// `gapless.toml:3:7: unknown key …`, without cause and hint.
impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: {}", self.file, self.line, self.column, self.what)
    }
}

/// Everything that is wrong with a configuration file; at least one fault, in the order of the file.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub struct ConfigErrors(pub Vec<ConfigError>);

/// One block of `error:`, `caused by:` and `hint:` lines per fault.
impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, error) in self.0.iter().enumerate() {
            if nth > 0 {
                writeln!(f)?;
            }
            write!(f, "error: {error}")?;
            if let Some(cause) = &error.caused_by {
                write!(f, "\ncaused by: {cause}")?;
            }
            if let Some(hint) = &error.hint {
                write!(f, "\nhint: {hint}")?;
            }
        }
        Ok(())
    }
}

/// A fault at a place in the text, before the place has a line and a column.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Fault {
    pub(super) at: Option<Range<usize>>,
    pub(super) what: String,
    pub(super) caused_by: Option<String>,
    pub(super) hint: Option<String>,
}

impl Fault {
    pub(super) fn new(what: impl Into<String>) -> Fault {
        Fault { at: None, what: what.into(), caused_by: None, hint: None }
    }

    pub(super) fn at(mut self, span: Option<Range<usize>>) -> Fault {
        self.at = span;
        self
    }

    /// The same at a place, unless it has one already.
    pub(super) fn at_least_at(self, span: Option<Range<usize>>) -> Fault {
        if self.at.is_some() { self } else { self.at(span) }
    }

    pub(super) fn because(mut self, cause: impl Into<String>) -> Fault {
        self.caused_by = Some(cause.into());
        self
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Fault {
        self.hint = Some(hint.into());
        self
    }

    fn placed(self, file: &str, text: &str) -> ConfigError {
        let (line, column) = position(text, self.at.map_or(0, |span| span.start));
        ConfigError { file: file.to_owned(), line, column, what: self.what, caused_by: self.caused_by, hint: self.hint }
    }
}

/// The faults with their places, in the order of the file.
pub(super) fn placed(file: &str, text: &str, faults: Vec<Fault>) -> ConfigErrors {
    let mut errors: Vec<ConfigError> = faults.into_iter().map(|fault| fault.placed(file, text)).collect();
    errors.sort_by_key(|error| (error.line, error.column));
    ConfigErrors(errors)
}

/// Line and column (in characters), both from 1, of a byte offset; a file that begins with a byte order mark has none in column 1.
fn position(text: &str, offset: usize) -> (usize, usize) {
    let end = (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let before = &text[..end];
    let line_begin = before.rfind('\n').map_or(0, |at| at + 1);
    (before.matches('\n').count() + 1, before[line_begin..].trim_start_matches('\u{feff}').chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn a_place_is_counted_in_lines_and_characters_from_one() {
        let text = "a = 1\nä = 2\n";
        assert_eq!(position(text, 0), (1, 1));
        assert_eq!(position(text, 6), (2, 1));
        assert_eq!(position(text, 7), (2, 1));
        assert_eq!(position(text, 9), (2, 3));
        assert_eq!(position(text, 99), (3, 1));
    }
}
