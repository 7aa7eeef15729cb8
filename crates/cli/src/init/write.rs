//! The commented `gapless.toml`: what was found, and the keys that people change first. The words about each key come from the table
//! that parses the file.

use std::fmt::Write as _;

use gapless_model::ServiceName;
use gapless_wire::config::{Fallback, Key, SERVICE, Section};

use super::Found;

/// The keys that are written commented out, with their defaults: those that people change first.
const OFFERED: [(&str, &[&str]); 6] = [
    ("", &["instances", "floor"]),
    ("run", &["environment", "stop_grace"]),
    ("run with PATH", &["stop_grace"]),
    ("health", &["interval", "start_timeout"]),
    ("strategy", &["kind", "batch", "observe", "bake"]),
    ("traffic", &["drain_timeout", "tunnel_drain_timeout"]),
];

/// The longest line of a comment, in characters.
const LINE_CHARS_MAX: usize = 100;

/// What of the machine the file is to say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Machine {
    /// The user that instances run as.
    pub user: Option<String>,
    /// Where programs are searched for, where the controller would not find this one.
    pub path: Option<String>,
}

/// The text of the file for a service of which this was found.
#[must_use]
pub fn config_text(service: &ServiceName, found: Option<&Found>, machine: &Machine) -> String {
    let mut text = match found {
        Some(found) => comment(&format!(
            "How Gapless runs this service and replaces it without losing a request. `gapless init` found {}.",
            found.what
        )),
        None => comment("How Gapless runs this service and replaces it without losing a request."),
    };
    text.push_str(&comment(
        "`gapless help config` explains every key; those that are commented out show their defaults.",
    ));
    let _ = writeln!(text, "\nservice = {:?}", service.as_str());
    offered(&mut text, "");
    text.push_str("\n[run]\n");
    match found {
        Some(found) => {
            for note in &found.notes {
                text.push_str(&comment(note));
            }
            let _ = writeln!(text, "command = {}", list(&found.command));
        }
        None => {
            text.push_str(&comment("What kind of service this is could not be told: write how it is run. {port} is the port that it must listen on, also in the PORT variable."));
            text.push_str("command = [\"./service\", \"--port\", \"{port}\"]\n");
        }
    }
    if let Some(path) = &machine.path {
        text.push_str(&comment(
            "Where its program was found; a controller that a service manager started does not search there.",
        ));
        let _ = writeln!(text, "environment = {{ PATH = {} }}", quoted(path));
    }
    if let Some(user) = &machine.user {
        text.push_str(&comment("The user an instance runs as; it may read the release and not change it."));
        let _ = writeln!(text, "user = {}", quoted(user));
    }
    offered(&mut text, if machine.path.is_some() { "run with PATH" } else { "run" });
    text.push_str("\n# Which requests are the service's. Without any route: all that no other service claims.\n");
    text.push_str("# [[route]]\n# host = \"shop.example.com\"\n# path = \"/\"\n");
    text.push_str("\n[health]\n");
    match found.and_then(|found| found.health) {
        Some(path) => {
            let _ = writeln!(text, "http = {path:?}");
        }
        None => {
            text.push_str(&comment("An open port is all that is asked. A path that answers 200 only when the service can work tells more: http = \"/health\" instead."));
            text.push_str("tcp = true\n");
        }
    }
    offered(&mut text, "health");
    text.push_str("\n[strategy]\n");
    offered(&mut text, "strategy");
    text.push_str("\n# What is asked of a new release before anyone is switched to it.\n");
    text.push_str("# [[check]]\n# name = \"front page\"\n# http = \"/\"\n# expect = 200\n");
    text.push_str("\n[traffic]\n");
    offered(&mut text, "traffic");
    text
}

/// The offered keys of a section: what each does, and its default behind a comment sign.
fn offered(text: &mut String, section: &str) {
    let keys = OFFERED.iter().find(|(name, _)| *name == section).map_or(&[][..], |(_, keys)| keys);
    let name = section.split(' ').next().unwrap_or_default();
    let table: Option<&Section> = SERVICE.iter().find(|table| table.name == name);
    for key in keys.iter().filter_map(|name| table.and_then(|table| table.key(name))) {
        text.push_str(&comment(first_sentence(key)));
        let value = match key.default {
            Fallback::Value(value) => value,
            Fallback::Required | Fallback::Absent(_) => key.example,
        };
        let _ = writeln!(text, "# {} = {value}", key.name);
    }
}

fn first_sentence(key: &Key) -> &str {
    key.doc.find(". ").map_or(key.doc, |end| &key.doc[..=end])
}

fn comment(words: &str) -> String {
    let mut lines = String::new();
    let mut line = String::from("#");
    for word in words.split_whitespace() {
        if line.chars().count() + word.chars().count() >= LINE_CHARS_MAX {
            let _ = writeln!(lines, "{line}");
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    let _ = writeln!(lines, "{line}");
    lines
}

/// A list of texts as TOML: its basic strings take JSON's escapes.
fn list(words: &[String]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("[{}]", quoted.join(", "))
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
