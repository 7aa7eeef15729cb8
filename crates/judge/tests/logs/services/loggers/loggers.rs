//! Logs the events it is given (JSON, one a line) by Rust's tracing: pretty or full. The target and the names of fields must be
//! known when a program is built, so there is a macro call for each.
use std::io::BufRead;

macro_rules! by_target {
    ($target:expr, $level:expr, $text:expr, $fields:expr, [$($known:literal),*]) => {
        match $target { $($known => by_level!($known, $level, $text, $fields),)* other => panic!("{other}") }
    };
}
macro_rules! by_level {
    ($target:literal, $level:expr, $text:expr, $fields:expr) => {{
        let field = |name: &str| $fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        macro_rules! log { ($at:ident) => { tracing::$at!(target: $target, channel = field("channel"), viewer = field("viewer"), watched = field("watched"), "{}", $text) } }
        match $level { "DEBUG" => log!(debug), "WARN" => log!(warn), "ERROR" => log!(error), _ => log!(info) }
    }};
}

fn main() {
    let kind = std::env::args().nth(1).unwrap();
    let builder = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_ansi(false);
    if kind == "pretty" { builder.pretty().init() } else { builder.init() }
    for line in std::io::stdin().lock().lines() {
        let event: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let fields: Vec<(String, String)> = serde_json::from_value(event["fields"].clone()).unwrap();
        let (level, target) = (event["level"].as_str().unwrap(), event["logger"].as_str().unwrap());
        let message = event["message"].as_str().unwrap();
        let text = |message: &str| format!("zq{}zq{message}", event["site"]);
        // The span as resolver.txt writes it.
        if let Some((id, client, rest)) = message.strip_prefix("query{id=").and_then(|rest| {
            let (id, rest) = rest.split_once(" client=")?;
            let (client, rest) = rest.split_once("}: ")?;
            Some((id, client, rest))
        }) {
            let _span = tracing::info_span!(target: "resolver", "query", id = %id, client = %client).entered();
            by_target!(target, level, text(rest), fields, ["resolver::query", "resolver::cache", "resolver::upstream", "resolver::wire"]);
        } else {
            by_target!(target, level, text(message), fields, ["streams::session", "streams::ingest", "streams::abr", "streams::cdn",
                "streams::drm", "streams::config", "streams::moderation", "resolver::zones", "resolver::policy"]);
        }
    }
}
