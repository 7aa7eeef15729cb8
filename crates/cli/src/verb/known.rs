//! The file of known findings: `[[known]]` tables with `signature`, `reason`, and what narrows them.

use crate::{Failure, hint};
use gapless_judge::logs::{Caveat, CaveatScope, Severity};
use std::path::Path;
use toml_edit::{DocumentMut, Table};

/// Keys of one table.
const KEYS: [&str; 6] = ["signature", "reason", "expires", "logger", "exception", "severity_max"];

/// Reads the file.
///
/// # Errors
/// When it cannot be read, is no TOML, or a table has an unknown key or lacks `signature` or `reason`.
pub fn read(path: &Path) -> Result<Vec<Caveat>, Failure> {
    let place = || format!("known findings in {}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| Failure::new(place()).because(&error))?;
    let document: DocumentMut = text
        .parse()
        .map_err(|error: toml_edit::TomlError| Failure::new(place()).because(&error).hint(hint::KNOWN_FINDINGS))?;
    let wrong = |what: String| Failure::new(format!("{}: {what}", place())).hint(hint::KNOWN_FINDINGS);
    let mut caveats = Vec::new();
    for (key, item) in document.iter() {
        let tables = item.as_array_of_tables().filter(|_| key == "known");
        let tables = tables.ok_or_else(|| wrong(format!("`{key}` is not [[known]]")))?;
        for table in tables {
            caveats.push(caveat(table).map_err(wrong)?);
        }
    }
    Ok(caveats)
}

fn caveat(table: &Table) -> Result<Caveat, String> {
    if let Some((key, _)) = table.iter().find(|(key, _)| !KEYS.contains(key)) {
        return Err(format!("unknown key `{key}`"));
    }
    let text = |key: &str| match table.get(key) {
        None => Ok(None),
        Some(item) => item.as_str().map(|text| Some(text.to_owned())).ok_or_else(|| format!("`{key}` is not a text")),
    };
    let needed = |key: &str| text(key)?.ok_or_else(|| format!("a [[known]] without `{key}`"));
    let severity_max = match text("severity_max")? {
        None => None,
        Some(word) => Some(Severity::from_word(word.as_bytes()).ok_or_else(|| format!("`{word}` is not a severity"))?),
    };
    let expires_unix_s = match text("expires")? {
        None => None,
        Some(day) => Some(start_of_day(&day).ok_or_else(|| format!("`{day}` is not a day such as 2026-12-31"))?),
    };
    Ok(Caveat {
        signature: needed("signature")?,
        reason: needed("reason")?,
        scope: CaveatScope { logger: text("logger")?, exception: text("exception")?, severity_max },
        expires_unix_s,
    })
}

/// The start of a day in UTC.
fn start_of_day(day: &str) -> Option<i64> {
    let date: jiff::civil::Date = day.parse().ok()?;
    date.to_zoned(jiff::tz::TimeZone::UTC).ok().map(|zoned| zoned.timestamp().as_second())
}

/// Now, for the caveats' expiry.
pub fn now_unix_s() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<Caveat>, String> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read(file.path()).map_err(|failure| failure.what.split(": ").nth(1).unwrap_or("?").to_owned())
    }

    #[test]
    fn tables_become_caveats() {
        let text = "[[known]]\nsignature = \"a <*>\"\nreason = \"r\"\nexpires = \"1970-01-02\"\nseverity_max = \"warn\"\nlogger = \"db\"\n";
        let caveats = of(text).unwrap();
        assert_eq!(caveats[0].expires_unix_s, Some(86_400));
        assert_eq!(caveats[0].scope.severity_max, Some(Severity::Warn));
        assert_eq!(of("").unwrap(), []);
    }

    #[test]
    fn mistakes_are_named() {
        assert_eq!(of("[[known]]\nsignature = \"a\"\n").unwrap_err(), "a [[known]] without `reason`");
        assert_eq!(of("[[known]]\nsignatur = \"a\"\n").unwrap_err(), "unknown key `signatur`");
        assert_eq!(of("[known]\nx = 1\n").unwrap_err(), "`known` is not [[known]]");
        let wrong_day = "[[known]]\nsignature = \"a\"\nreason = \"b\"\nexpires = \"soon\"\n";
        assert_eq!(of(wrong_day).unwrap_err(), "`soon` is not a day such as 2026-12-31");
    }
}
