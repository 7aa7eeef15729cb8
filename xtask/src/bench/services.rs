//! Services that do not exist, and what they log: the material of `bench diff`, and of the samples that real loggers wrote.
//!
//! A service is a file of `crates/judge/tests/logs/services`: `layout NAME`, then one line per *call site*,
//! `weight LEVEL logger [!Exception] | message [;; key={value} …]`. Braces name a kind of value (`values.rs`), `{enum:a|b}` chooses,
//! `{{` is a brace. Which call site wrote a line is known, so nothing has to be labelled by looking at the line.

mod layouts;
mod pools;
mod values;

use anyhow::Context;
use serde::Serialize;
use std::path::Path;
use values::Dice;

pub use layouts::Layout;

/// One place of a program that logs.
#[derive(Debug)]
struct Site {
    weight: u32,
    level: String,
    logger: String,
    exception: Option<String>,
    message: Vec<Piece>,
    fields: Vec<(String, Vec<Piece>)>,
}

/// A part of a message.
#[derive(Debug)]
enum Piece {
    Text(String),
    Value(String),
}

/// A service and its call sites.
#[derive(Debug)]
pub struct Service {
    /// The name of its file.
    pub name: String,
    /// How its lines look, by name.
    pub layout: String,
    sites: Vec<Site>,
}

/// What one call of a logger says.
#[derive(Debug, Serialize)]
pub struct Event {
    /// Which call site of the service, from 0.
    pub site: usize,
    /// The level as its logger calls it.
    pub level: String,
    /// The logger, class or target.
    pub logger: String,
    /// The text.
    pub message: String,
    /// Keys and values beside it.
    pub fields: Vec<(String, String)>,
    /// The class of the exception that is logged with it.
    pub exception: Option<String>,
}

/// All services of the folder, by name.
pub fn read_all() -> anyhow::Result<Vec<Service>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/judge/tests/logs/services");
    let mut services = Vec::new();
    for entry in std::fs::read_dir(&folder).with_context(|| format!("reading {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "txt") {
            let text = std::fs::read_to_string(&path)?;
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            services.push(Service::parse(name, &text).with_context(|| format!("reading {}", path.display()))?);
        }
    }
    services.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(services)
}

impl Service {
    fn parse(name: String, text: &str) -> anyhow::Result<Service> {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty());
        let layout = lines.next().and_then(|line| line.strip_prefix("layout ")).context("no layout")?.to_owned();
        let sites =
            lines.map(|line| site(line).with_context(|| line.to_owned())).collect::<anyhow::Result<Vec<_>>>()?;
        anyhow::ensure!(!sites.is_empty(), "no call site");
        Ok(Service { name, layout, sites })
    }

    /// An ERROR with another message, from where `event` came, at the level this service gives its errors.
    pub fn error_like(&self, event: &Event, message: &str) -> Event {
        const NAMES: [&str; 4] = ["ERROR", "error", "SEVERE", "fail"];
        let level = self.sites.iter().map(|site| &*site.level).find(|level| NAMES.contains(level)).unwrap_or("ERROR");
        Event {
            level: level.to_owned(),
            message: message.to_owned(),
            fields: Vec::new(),
            exception: None,
            logger: event.logger.clone(),
            site: self.sites.len(),
        }
    }

    /// What the service logs in one run: `count` events.
    pub fn run(&self, count: usize, seed: u64) -> impl Iterator<Item = Event> + '_ {
        let mut dice = Dice::new(seed);
        let total: u32 = self.sites.iter().map(|site| site.weight).sum();
        (0..count).map(move |_| {
            let mut left = dice.below(u64::from(total)) as u32;
            let index = self.sites.iter().position(|site| match left.checked_sub(site.weight) {
                Some(less) => {
                    left = less;
                    false
                }
                None => true,
            });
            let index = index.unwrap_or(0);
            self.sites[index].event(index, &mut dice)
        })
    }
}

impl Site {
    fn event(&self, site: usize, dice: &mut Dice) -> Event {
        Event {
            site,
            level: self.level.clone(),
            logger: fill(&pieces(&self.logger), site, dice),
            message: fill(&self.message, site, dice),
            fields: self.fields.iter().map(|(key, value)| (key.clone(), fill(value, site, dice))).collect(),
            exception: self.exception.clone(),
        }
    }
}

/// `weight LEVEL logger [!Exception] | message [;; key={value} …]`.
fn site(line: &str) -> anyhow::Result<Site> {
    let (head, text) = line.split_once(" | ").context("no message")?;
    let mut words = head.split(' ').filter(|word| !word.is_empty());
    let weight = words.next().context("no weight")?.parse()?;
    let level = words.next().context("no level")?.to_owned();
    let rest: Vec<&str> = words.collect();
    let exception = rest.iter().find_map(|word| word.strip_prefix('!')).map(str::to_owned);
    let logger = rest.into_iter().filter(|word| !word.starts_with('!')).collect::<Vec<_>>().join(" ");
    let (message, fields) = text.split_once(" ;; ").unwrap_or((text, ""));
    Ok(Site { weight, level, logger, exception, message: pieces(message), fields: pairs(fields) })
}

/// `key={value} key="text with {value}"`.
fn pairs(text: &str) -> Vec<(String, Vec<Piece>)> {
    let mut found = Vec::new();
    let mut rest = text.trim_start();
    while let Some((key, after)) = rest.split_once('=') {
        let end = match after.strip_prefix('"') {
            Some(quoted) => {
                quoted.match_indices('"').find(|(at, _)| !quoted[..*at].ends_with('\\')).map(|(at, _)| at + 2)
            }
            None => after.find(' '),
        }
        .unwrap_or(after.len());
        let value = after[..end].trim_matches('"').replace("\\\"", "\"");
        found.push((key.to_owned(), pieces(&value)));
        rest = after[end..].trim_start();
    }
    found
}

fn pieces(text: &str) -> Vec<Piece> {
    let mut found = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("{{").or_else(|| rest.strip_prefix("}}")) {
            plain.push(character);
            rest = after;
        } else if let Some((name, after)) = rest.strip_prefix('{').and_then(|inside| inside.split_once('}'))
            && !name.is_empty()
            && (name.starts_with("enum:") || name.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        {
            found.push(Piece::Text(std::mem::take(&mut plain)));
            found.push(Piece::Value(name.to_owned()));
            rest = after;
        } else {
            plain.push(character);
            rest = &rest[character.len_utf8()..];
        }
    }
    found.push(Piece::Text(plain));
    found
}

fn fill(pieces: &[Piece], site: usize, dice: &mut Dice) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Text(plain) => text.push_str(plain),
            // The line of the source is the same each time.
            Piece::Value(kind) if kind == "line" => text.push_str(&(40 + site * 17).to_string()),
            Piece::Value(kind) => text.push_str(&dice.value(kind)),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_service_says_which_site_wrote_what_and_two_runs_differ() {
        let services = read_all().unwrap();
        assert!(services.len() >= 20);
        for service in &services {
            let text = |seed| -> Vec<String> { service.run(50, seed).map(|event| event.message).collect() };
            assert_eq!(text(1), text(1), "{}", service.name);
            assert_ne!(text(1), text(2), "{}", service.name);
            assert!(text(1).iter().all(|message| !message.contains("{?")), "{}: {:?}", service.name, text(1));
        }
    }

    #[test]
    fn a_line_of_a_service_is_read_whole() {
        let site = site("3 WARN db x !a.B | slow {{ {int} ;; key={ms} err=\"a b {enum:c}\"").unwrap();
        assert_eq!(
            (site.weight, &*site.level, &*site.logger, site.exception.as_deref()),
            (3, "WARN", "db x", Some("a.B"))
        );
        let event = site.event(0, &mut Dice::new(1));
        assert!(event.message.starts_with("slow { "), "{}", event.message);
        assert_eq!(event.fields[1], ("err".to_owned(), "a b c".to_owned()));
    }
}
