//! How bad a line says it is, read from the words, letters and numbers programs use for it.

use serde::{Deserialize, Serialize};

/// The severity of a line, in rising order. `Fatal` also stands for panic, critical, alert and emergency.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Finest detail.
    Trace,
    /// For the developer.
    Debug,
    /// Normal operation; also `notice` and `log`.
    Info,
    /// Degraded, or about to be.
    Warn,
    /// Something failed.
    Error,
    /// The process, or a thread of it, cannot go on.
    Fatal,
}

impl Severity {
    /// The word in capitals, as shown in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Trace => "TRACE",
            Severity::Debug => "DEBUG",
            Severity::Info => "INFO",
            Severity::Warn => "WARN",
            Severity::Error => "ERROR",
            Severity::Fatal => "FATAL",
        }
    }

    /// Reads a whole word in one of the customary casings (`INFO`, `Info`, `info`); `None` for anything else.
    pub fn from_word(word: &[u8]) -> Option<Severity> {
        if !(3..=11).contains(&word.len()) {
            return None;
        }
        let tail_lower = word[1..].iter().all(u8::is_ascii_lowercase);
        let upper = word.iter().all(u8::is_ascii_uppercase);
        if !(upper || tail_lower && word[0].is_ascii_alphabetic()) {
            return None;
        }
        let mut lower = [0_u8; 11];
        let lower = &mut lower[..word.len()];
        lower.copy_from_slice(word);
        lower.make_ascii_lowercase();
        Some(match &*lower {
            b"trace" | b"trc" | b"finest" | b"finer" | b"verbose" | b"silly" => Severity::Trace,
            b"debug" | b"fine" | b"config" | b"dbg" => Severity::Debug,
            b"info" | b"information" | b"notice" | b"log" | b"inf" | b"hint" | b"detail" | b"statement"
            | b"context" | b"note" => Severity::Info,
            b"warn" | b"warning" | b"wrn" => Severity::Warn,
            b"error" | b"err" | b"severe" | b"failure" | b"failed" => Severity::Error,
            b"fatal" | b"critical" | b"crit" | b"panic" | b"emerg" | b"emergency" | b"alert" | b"dpanic" | b"ftl" => {
                Severity::Fatal
            }
            _ => return None,
        })
    }

    /// Reads the single letters of logcat and glog: `V D I W E F` (also `T`, `C`, `N`).
    pub fn from_letter(letter: u8) -> Option<Severity> {
        Some(match letter {
            b'V' | b'T' => Severity::Trace,
            b'D' => Severity::Debug,
            b'I' | b'N' => Severity::Info,
            b'W' => Severity::Warn,
            b'E' => Severity::Error,
            b'F' | b'C' | b'A' => Severity::Fatal,
            _ => return None,
        })
    }

    /// Reads the numbers of bunyan and pino (10, 20 … 60), and those of syslog (0 … 7) where the key says so.
    pub fn from_number(number: u32, numbering: Numbering) -> Option<Severity> {
        match numbering {
            Numbering::Tens => Some(match number {
                10..=19 => Severity::Trace,
                20..=29 => Severity::Debug,
                30..=39 => Severity::Info,
                40..=49 => Severity::Warn,
                50..=59 => Severity::Error,
                60..=69 => Severity::Fatal,
                0..=7 => return Severity::from_number(number, Numbering::Syslog),
                _ => return None,
            }),
            Numbering::Syslog => Some(match number {
                0..=2 => Severity::Fatal,
                3 => Severity::Error,
                4 => Severity::Warn,
                5 | 6 => Severity::Info,
                7 => Severity::Debug,
                _ => return None,
            }),
        }
    }
}

impl std::fmt::Display for Severity {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// Which numbers a source uses for its severities.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Numbering {
    /// bunyan, pino: 10 trace … 60 fatal; below 8 read as syslog.
    Tens,
    /// RFC 5424 §6.2.1: 0 emergency … 7 debug.
    Syslog,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_the_customary_casings_only() {
        assert_eq!(Severity::from_word(b"INFO"), Some(Severity::Info));
        assert_eq!(Severity::from_word(b"Warning"), Some(Severity::Warn));
        assert_eq!(Severity::from_word(b"severe"), Some(Severity::Error));
        assert_eq!(Severity::from_word(b"iNFO"), None);
        assert_eq!(Severity::from_word(b"information-desk"), None);
        assert_eq!(Severity::from_word(b""), None);
    }

    #[test]
    fn numbers_depend_on_the_numbering() {
        assert_eq!(Severity::from_number(50, Numbering::Tens), Some(Severity::Error));
        assert_eq!(Severity::from_number(3, Numbering::Syslog), Some(Severity::Error));
        assert_eq!(Severity::from_number(99, Numbering::Tens), None);
    }
}
