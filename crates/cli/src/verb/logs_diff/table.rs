//! The difference as a table for the terminal and as JSON for programs.

use gapless_judge::logs::{Change, Comparison, Difference, Severity};
use std::fmt::Write;

/// Rows of one section shown without `--all`.
const ROWS_MAX: usize = 25;
/// Characters of an example shown.
const EXAMPLE_CHARACTERS_MAX: usize = 200;

/// Sections in the order shown, with their heading.
pub const SECTIONS: [(Change, &str); 6] = [
    (Change::New, "NEW"),
    (Change::Gone, "GONE"),
    (Change::MoreOften, "MORE OFTEN"),
    (Change::LessOften, "LESS OFTEN"),
    (Change::Renamed, "RENAMED"),
    (Change::Same, "SAME"),
];

/// How the table is shown.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Every row, and what did not change.
    pub all: bool,
    /// With terminal colours.
    pub colour: bool,
    /// The exposure was given: rates are over it and not over lines.
    pub given_exposure: bool,
}

/// The table.
pub fn text(comparison: &Comparison, names: &[String; 2], look: &Look) -> String {
    let mut out = String::new();
    let [old, new] = comparison.records;
    let _ = writeln!(out, "old  {}: {old} records", names[0]);
    let _ = writeln!(out, "new  {}: {new} records", names[1]);
    if look.given_exposure {
        let _ =
            writeln!(out, "rates over a given exposure of {} and {}", comparison.exposure[0], comparison.exposure[1]);
    }
    if comparison.condensed {
        let _ = writeln!(out, "very many different lines: rare ones have been put together");
    }
    for (change, heading) in SECTIONS {
        let rows: Vec<&Difference> = comparison.rows.iter().filter(|row| row.change == change).collect();
        if rows.is_empty() || change == Change::Same && !look.all {
            continue;
        }
        let _ = writeln!(out, "\n{heading} ({})", rows.len());
        let shown = if look.all { rows.len() } else { rows.len().min(ROWS_MAX) };
        for row in &rows[..shown] {
            show(&mut out, row, look.colour);
        }
        if shown < rows.len() {
            let _ = writeln!(out, "  … {} more (--all shows them)", rows.len() - shown);
        }
    }
    let same = comparison.rows.iter().filter(|row| row.change == Change::Same).count();
    let errors = comparison.rows.iter().filter(|row| row.is_new_error()).count();
    let _ = writeln!(out, "\n{same} signatures on both sides about as often; {errors} new at ERROR or above");
    out
}

fn show(out: &mut String, row: &Difference, colour: bool) {
    let signature = &row.counted.signature;
    let word = signature.severity.map_or("-", Severity::as_str);
    let (start, end) = match (colour, signature.severity) {
        (true, Some(Severity::Error | Severity::Fatal)) => ("\x1b[31m", "\x1b[0m"),
        (true, Some(Severity::Warn)) => ("\x1b[33m", "\x1b[0m"),
        _ => ("", ""),
    };
    let [old, new] = row.counted.counts;
    let counts = format!("{old} → {new}");
    let _ = write!(out, "  {start}{word:<5}{end} {counts:>15}  {:<8}", ratio(row));
    if let Some(logger) = &signature.logger {
        let _ = write!(out, " {logger}:");
    }
    let _ = writeln!(out, " {}", printable(&signature.template));
    let indent = " ".repeat(34);
    if let Some(exception) = &signature.exception {
        let _ = writeln!(out, "{indent}exception {}", printable(exception));
    }
    if let Some(from) = &row.renamed_from {
        let _ = writeln!(out, "{indent}was: {}", printable(from));
    }
    if let Some(severity) = row.severity_from {
        let _ = writeln!(out, "{indent}was: {}", severity.as_str());
    }
    if let Some(reason) = &row.known {
        let _ = writeln!(out, "{indent}known: {}", printable(reason));
    }
    if row.change != Change::Same
        && let Some(example) = example(row)
    {
        let _ = writeln!(out, "{indent}e.g. {}", printable(&example));
    }
}

/// `×2.5`, or what takes its place where one side has none.
pub fn ratio(row: &Difference) -> String {
    match row.ratio {
        Some(ratio) if ratio >= 9.95 => format!("×{ratio:.0}"),
        Some(ratio) => format!("×{ratio:.2}"),
        None => String::new(),
    }
}

/// An example line of the side that matters.
pub fn example(row: &Difference) -> Option<String> {
    let [old, new] = &row.counted.examples;
    let line = new.as_ref().or(old.as_ref())?;
    let cut: String = line.chars().take(EXAMPLE_CHARACTERS_MAX).collect();
    Some(if cut.len() < line.len() { format!("{cut}…") } else { cut })
}

/// Control characters of foreign lines never reach the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '·' } else { character }).collect()
}

/// One JSON object; `rows` without what did not change unless asked for.
pub fn json(comparison: &Comparison, names: &[String; 2], all: bool) -> serde_json::Value {
    let rows: Vec<serde_json::Value> =
        comparison.rows.iter().filter(|row| all || row.change != Change::Same).map(json_row).collect();
    serde_json::json!({
        "old": { "name": names[0], "records": comparison.records[0], "exposure": comparison.exposure[0] },
        "new": { "name": names[1], "records": comparison.records[1], "exposure": comparison.exposure[1] },
        "new_errors": comparison.rows.iter().filter(|row| row.is_new_error()).count(),
        "condensed": comparison.condensed,
        "rows": rows,
    })
}

fn json_row(row: &Difference) -> serde_json::Value {
    serde_json::json!({
        "id": row.counted.id.to_string(),
        "change": row.change,
        "class": row.class,
        "severity": row.counted.signature.severity,
        "logger": row.counted.signature.logger,
        "exception": row.counted.signature.exception,
        "template": row.counted.signature.template,
        "old": row.counted.counts[0],
        "new": row.counted.counts[1],
        "expected": row.expected,
        "ratio": row.ratio,
        "renamed_from": row.renamed_from,
        "severity_from": row.severity_from,
        "known": row.known,
        "example_old": row.counted.examples[0],
        "example_new": row.counted.examples[1],
    })
}
