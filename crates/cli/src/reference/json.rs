//! The page about JSON: every type that `--json` prints and the API speaks, field by field, read off the types' own sources. So a field that
//! is added is on the page, with its own words, or the page is out of date and a test says so.

use std::fmt::Write as _;

/// The sources of the types, in the order of the page.
const SOURCES: [&str; 7] = [
    include_str!("../../../wire/src/api/status.rs"),
    include_str!("../../../wire/src/api/rollout.rs"),
    include_str!("../../../wire/src/api/event.rs"),
    include_str!("../../../wire/src/api/receipt.rs"),
    include_str!("../../../wire/src/api/order.rs"),
    include_str!("../../../wire/src/api/log.rs"),
    include_str!("../../../wire/src/api/error.rs"),
];

/// What each verb prints with `--json`.
const VERBS: [(&str, &str); 17] = [
    ("status, status -w", "`Status`; with -w one per line, as it changes"),
    ("explain", "`ServiceStatus`"),
    ("ps", "one `InstanceStatus` per line, with `service` and `release` (the label) in it"),
    ("history", "`History`"),
    ("releases", "`Releases`"),
    ("receipt", "`Receipt`"),
    ("plan, and --plan of other verbs", "`PlanAnswer`"),
    ("deploy, rollback, abort, promote", "one `Event` per line, then a `Receipt`; with --detach an `OrderAccepted`"),
    ("restart, scale, stop, start, remove", "the same"),
    ("events", "one `ServiceEvent` per line"),
    ("logs", "one `LogLine` per line"),
    ("backup", "`BackupAnswer`"),
    (
        "any that fails",
        "on stderr: an object with `error`, `caused_by`, `hint`, `exit` and, where there are several, `also`",
    ),
    ("judge", "the verdict with its evidence, as docs/judge.md tells it"),
    ("logs diff", "as docs/logs-diff.md tells it"),
    ("demo", "the counts of the demo"),
    ("restore, recover", "what was put back, or rebuilt"),
];

/// A type, as its source tells it.
#[derive(Debug, Default)]
struct Told {
    name: String,
    doc: String,
    /// Name, type and words of each field; of an enum its words, without a type.
    fields: Vec<(String, String, String)>,
    /// How the words of an enum are written.
    tag: Option<String>,
}

/// The page.
pub(super) fn page() -> String {
    let mut page = format!("# JSON\n\n{}\n\n", super::GENERATED);
    page.push_str(
        "With `--json` data is one JSON object, or one per line where there are many. Readers ignore fields that they do not know: a later program adds some, and never \
         changes what one means. Fields that may be missing or `null` are marked `?`. `*_ms` are milliseconds; what ends in `age_ms` is counted back from when the answer was \
         made, so that no reader's clock matters; `*_at`, `at` and `now` are the controller's wall clock (RFC 3339).\n\n| verb | prints |\n|---|---|\n",
    );
    for (verb, prints) in VERBS {
        let _ = writeln!(page, "| {verb} | {prints} |");
    }
    for told in SOURCES.iter().flat_map(|source| types(source)) {
        let _ = write!(page, "\n## {}\n\n{}\n", told.name, told.doc);
        let head = if told.tag.is_some() { "| value | type | meaning |" } else { "| field | type | meaning |" };
        if let Some(tag) = told.tag.as_deref().filter(|tag| !tag.is_empty()) {
            let _ = write!(page, "\nWhich one it is stands in `{tag}`.\n");
        }
        if !told.fields.is_empty() {
            let _ = write!(page, "\n{head}\n|---|---|---|\n");
        }
        for (field, kind, doc) in &told.fields {
            let _ = writeln!(page, "| {field} | {kind} | {} |", doc.replace('|', "\\|"));
        }
    }
    page
}

/// The public types of a source, in their order.
fn types(source: &str) -> Vec<Told> {
    let mut types: Vec<Told> = Vec::new();
    let mut doc = String::new();
    let mut attributes = String::new();
    let mut inside = Inside::Nothing;
    for line in source.lines() {
        let text = line.trim();
        if text == "#[cfg(test)]" {
            break;
        }
        if let Some(words) = text.strip_prefix("///") {
            doc = [doc.trim_end(), words.trim()].join(" ").trim().to_owned();
        } else if text.starts_with("#[") {
            attributes.push_str(text);
        } else {
            inside = inside.read(line, (&doc, &attributes), &mut types);
            (doc, attributes) = (String::new(), String::new());
        }
    }
    types
}

/// Where in a source the reader is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Nothing,
    Struct,
    Enum,
}

impl Inside {
    /// Reads a line that is neither documentation nor an attribute.
    fn read(self, line: &str, (doc, attributes): (&str, &str), types: &mut Vec<Told>) -> Inside {
        let opened = |word: &str| line.strip_prefix(word)?.strip_suffix(" {").map(str::to_owned);
        let begin = |name: String, tag: Option<String>, types: &mut Vec<Told>| {
            types.push(Told { name, doc: doc.to_owned(), fields: Vec::new(), tag });
        };
        if let Some(name) = opened("pub struct ") {
            begin(name, None, types);
            return Inside::Struct;
        }
        if let Some(name) = opened("pub enum ") {
            let tag = attributes.split("tag = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap_or_default();
            begin(name, Some(tag.to_owned()), types);
            return Inside::Enum;
        }
        let Some(told) = types.last_mut() else { return Inside::Nothing };
        match (self, line) {
            (Inside::Nothing, _) | (_, "}") => return Inside::Nothing,
            _ => {}
        }
        let text = line.trim().trim_start_matches("pub ");
        let is_optional = attributes.contains("serde(default") || text.contains(": Option<");
        if let (Some((name, kind)), true) =
            (text.trim_end_matches(',').split_once(": "), !attributes.contains("flatten"))
        {
            let mark = if is_optional { "?" } else { "" };
            let within = if self == Inside::Enum { "- " } else { "" };
            told.fields.push((format!("{within}`{name}`{mark}"), kind_of(kind), doc.to_owned()));
        } else if let (Inside::Enum, Some(first)) = (self, text.chars().next())
            && first.is_ascii_uppercase()
        {
            let name: String = text.chars().take_while(char::is_ascii_alphanumeric).collect();
            told.fields.push((format!("`{}`", kebab(&name)), String::new(), doc.to_owned()));
        }
        self
    }
}

/// A type in the words of JSON.
fn kind_of(kind: &str) -> String {
    let inner = |kind: &str, outer: &str| kind.strip_prefix(outer)?.strip_suffix('>').map(str::to_owned);
    if let Some(inner) = inner(kind, "Option<") {
        return kind_of(&inner);
    }
    if let Some(inner) = inner(kind, "Vec<") {
        return format!("list of {}", kind_of(&inner));
    }
    if kind.starts_with("BTreeMap<String, u64") {
        return "object of numbers".to_owned();
    }
    match kind {
        "String" => "text".to_owned(),
        "bool" => "true or false".to_owned(),
        "u16" | "u32" | "u64" | "i64" | "f64" => "number".to_owned(),
        other => format!("[{other}](#{})", other.to_lowercase()),
    }
}

/// `RolledBack` as it is written: `rolled-back`.
fn kebab(name: &str) -> String {
    let mut text = String::new();
    for (at, letter) in name.chars().enumerate() {
        if letter.is_ascii_uppercase() && at > 0 {
            text.push('-');
        }
        text.push(letter.to_ascii_lowercase());
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use gapless_wire::api::{ControllerStatus, RolloutState, RolloutSummary, Status};
    use serde_json::Value;

    use super::{SOURCES, page, types};

    fn keys(value: &Value, into: &mut BTreeSet<String>) {
        match value {
            Value::Object(object) => object.iter().for_each(|(key, value)| {
                into.insert(key.clone());
                keys(value, into);
            }),
            Value::Array(all) => all.iter().for_each(|value| keys(value, into)),
            _ => {}
        }
    }

    #[test]
    fn every_field_of_what_is_printed_stands_on_the_page_with_its_words() {
        let controller: ControllerStatus = serde_json::from_value(serde_json::json!({
            "version": "1", "pid": 1, "epoch": 1, "uptime_ms": 1, "state_folder": "", "listeners": [],
        }))
        .unwrap();
        let status = Status { controller, proxies: Vec::new(), services: Vec::new() };
        let summary: RolloutSummary = serde_json::from_value(serde_json::json!({
            "rollout": 1, "to": "1", "strategy": "rolling", "state": RolloutState::Done, "ordered_at": "", "took_ms": 1,
        }))
        .unwrap();
        let service = gapless_model::ServiceName::new("shop").unwrap();
        let receipt = gapless_wire::api::Receipt::of_nothing(summary, &service);
        let mut printed = BTreeSet::new();
        keys(&serde_json::json!([status, receipt]), &mut printed);
        let page = page();
        for key in printed {
            assert!(page.contains(&format!("`{key}`")), "{key} is printed and not on the page");
        }
    }

    #[test]
    fn every_type_and_field_has_words() {
        for told in SOURCES.iter().flat_map(|source| types(source)) {
            assert!(!told.doc.is_empty() && !told.fields.is_empty(), "{} is told without words or fields", told.name);
            for (field, _, doc) in &told.fields {
                assert!(!doc.is_empty(), "{field} of {} has no words", told.name);
            }
        }
    }
}
