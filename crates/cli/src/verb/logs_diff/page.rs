//! The difference as one web page: no other file, no script, no network.

use super::table::{SECTIONS, example, ratio};
use gapless_judge::logs::{Change, Comparison, Difference, Severity};
use std::fmt::Write;

/// Rows of what did not change, at most: the page is about what did.
const SAME_ROWS_MAX: usize = 500;

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8884; --soft: #8882; }
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; width: 100%; } th { text-align: left; font-weight: 600; }
td, th { border-bottom: 1px solid var(--line); padding: .35rem .6rem; vertical-align: top; }
td.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
code { font: 13px/1.5 ui-monospace, monospace; overflow-wrap: anywhere; }
.note, summary { opacity: .75; font-size: .9em; } .bar { background: var(--soft); height: .5rem; min-width: 6rem; }
.bar i { display: block; height: 50%; background: #3a6ea5; } .bar i + i { background: #c2571a; }
.ERROR, .FATAL { color: #c62828; font-weight: 600; } .WARN { color: #b26a00; }
.verdict { padding: .6rem 1rem; border-left: .3rem solid #2e7d32; background: var(--soft); } .verdict.bad { border-color: #c62828; }
";

/// The page.
pub fn render(comparison: &Comparison, names: &[String; 2], given_exposure: bool) -> String {
    let mut out = String::new();
    let errors = comparison.rows.iter().filter(|row| row.is_new_error()).count();
    let _ = write!(
        out,
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>Log difference</title><style>{STYLE}</style><h1>Log difference</h1>"
    );
    let (class, sentence) = match errors {
        0 => ("verdict", "Nothing new at ERROR or above.".to_owned()),
        1 => ("verdict bad", "One signature is new at ERROR or above.".to_owned()),
        count => ("verdict bad", format!("{count} signatures are new at ERROR or above.")),
    };
    let _ = write!(out, "<p class=\"{class}\">{sentence}</p><table><tr><th>side<th>from<th>records<th>exposure</tr>");
    for (side, label) in ["old", "new"].iter().enumerate() {
        let unit = if given_exposure { "given" } else { "records" };
        let _ = write!(
            out,
            "<tr><td>{label}<td><code>{}</code><td class=\"number\">{}<td class=\"number\">{} ({unit})</tr>",
            escaped(&names[side]),
            comparison.records[side],
            comparison.exposure[side]
        );
    }
    out.push_str("</table>");
    if comparison.condensed {
        out.push_str("<p class=\"note\">Very many different lines: rare ones have been put together.</p>");
    }
    for (change, heading) in SECTIONS {
        let rows: Vec<&Difference> = comparison.rows.iter().filter(|row| row.change == change).collect();
        if rows.is_empty() {
            continue;
        }
        let title = format!("{} ({})", sentence_case(heading), rows.len());
        if change == Change::Same {
            let _ = write!(out, "<details><summary>{title}</summary>");
            section(&mut out, &rows[..rows.len().min(SAME_ROWS_MAX)], comparison.exposure);
            out.push_str("</details>");
        } else {
            let _ = write!(out, "<h2>{title}</h2>");
            section(&mut out, &rows, comparison.exposure);
        }
    }
    out.push_str("</html>\n");
    out
}

fn section(out: &mut String, rows: &[&Difference], exposure: [f64; 2]) {
    out.push_str("<table><tr><th>severity<th>old<th>new<th>ratio<th>rates<th>line</tr>");
    for row in rows {
        let signature = &row.counted.signature;
        let severity = signature.severity.map_or("-", Severity::as_str);
        let [old, new] = row.counted.counts;
        let _ = write!(
            out,
            "<tr><td class=\"{severity}\">{severity}<td class=\"number\">{old}<td class=\"number\">{new}\
             <td class=\"number\">{}<td>{}<td>",
            ratio(row),
            bars(row, exposure)
        );
        if let Some(logger) = &signature.logger {
            let _ = write!(out, "<code>{}:</code> ", escaped(logger));
        }
        let _ = write!(out, "<code>{}</code>", escaped(&signature.template));
        let notes = [
            signature.exception.as_ref().map(|class| format!("exception {class}")),
            row.renamed_from.as_ref().map(|from| format!("was: {from}")),
            row.severity_from.map(|severity| format!("was: {}", severity.as_str())),
            row.known.as_ref().map(|reason| format!("known: {reason}")),
        ];
        for note in notes.iter().flatten() {
            let _ = write!(out, "<div class=\"note\">{}</div>", escaped(note));
        }
        if let Some(line) = example(row) {
            let _ = write!(
                out,
                "<details><summary>example · {}</summary><code>{}</code></details>",
                row.counted.id,
                escaped(&line)
            );
        }
        out.push_str("</tr>");
    }
    out.push_str("</table>");
}

/// Both rates as bars, the larger one full.
fn bars(row: &Difference, exposure: [f64; 2]) -> String {
    let rate = |side: usize| if exposure[side] > 0.0 { row.counted.counts[side] as f64 / exposure[side] } else { 0.0 };
    let most = rate(0).max(rate(1));
    let width = |side: usize| if most > 0.0 { rate(side) / most * 100.0 } else { 0.0 };
    format!("<div class=\"bar\"><i style=\"width:{:.0}%\"></i><i style=\"width:{:.0}%\"></i></div>", width(0), width(1))
}

fn sentence_case(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let mut characters = lower.chars();
    characters.next().map_or(String::new(), |first| first.to_uppercase().chain(characters).collect())
}

/// Foreign text as HTML text.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            character if character.is_control() => out.push('·'),
            character => out.push(character),
        }
    }
    out
}
