//! The ratchet of shape: a type's methods live in its file, and files do not know each other in circles.
//!
//! An `impl` that is spread over files is one big file with its dependencies hidden; so is a circle. Where there were some when the rule came, the
//! number is written here and may only become smaller.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::sizes::rust_files;

/// Types with methods away from their own files, and in how many files those are.
const AWAY: &[(&str, usize)] = &[
    ("attack::StageKind", 1),
    ("drivers::StartOrder", 1),
    ("journal::SqliteStore", 1),
    ("judge::Replay", 1),
    ("judge::Tally", 1),
    ("model::Epoch", 1),
    ("rollout::Service", 8),
    ("rollout::Then", 1),
    ("rollout::Transition", 8),
    ("routing::Service", 2),
    ("routing::Table", 2),
    ("sim::World", 3),
    ("wire::Kind", 1),
];

/// Crates with files that know each other in circles, and how many files are in one.
const IN_CIRCLES: &[(&str, usize)] =
    &[("cli", 3), ("http1", 4), ("judge", 8), ("load", 4), ("rollout", 3), ("routing", 7), ("sim", 4), ("wire", 5)];

/// What was found of one crate.
#[derive(Debug, Default, PartialEq, Eq)]
struct Shape {
    /// Types, and the files with methods of theirs that do not have the type.
    away: BTreeMap<String, BTreeSet<String>>,
    /// Files in circles.
    circles: BTreeSet<String>,
}

/// Every place where the shape is worse than it is written, as a sentence each.
pub fn findings(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut crates: BTreeMap<String, BTreeMap<PathBuf, String>> = BTreeMap::new();
    for path in rust_files(root)? {
        let below = path.strip_prefix(root).unwrap_or(&path);
        let mut parts = below.iter().map(|part| part.to_string_lossy().into_owned());
        let (Some(_), Some(name), Some(folder)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if folder == "src" && below.starts_with("crates") {
            let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            crates.entry(name).or_default().insert(parts.collect(), code_of(&text).to_owned());
        }
    }
    let mut findings = Vec::new();
    let (mut away, mut circles) = (BTreeMap::new(), BTreeMap::new());
    for (name, files) in &crates {
        let shape = shape_of(files);
        away.extend(shape.away.into_iter().map(|(kind, files)| (format!("{name}::{kind}"), files)));
        if !shape.circles.is_empty() {
            circles.insert(name.clone(), shape.circles);
        }
    }
    findings.extend(compare(&away, AWAY, "has methods away from its file"));
    findings.extend(compare(&circles, IN_CIRCLES, "has files that know each other in circles"));
    Ok(findings)
}

fn compare(found: &BTreeMap<String, BTreeSet<String>>, written: &[(&str, usize)], what: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (name, files) in found {
        let allowed = written.iter().find(|(known, _)| known == name).map_or(0, |(_, count)| *count);
        if files.len() > allowed {
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            let count = files.len();
            findings.push(format!("{name} {what} ({count}, {allowed} are allowed): {}", files.join(", ")));
        }
    }
    findings
}

/// Tests close every file, and may do as they like.
fn code_of(text: &str) -> &str {
    text.split("\n#[cfg(test)]").next().unwrap_or_default()
}

fn shape_of(files: &BTreeMap<PathBuf, String>) -> Shape {
    let mut shape = Shape::default();
    for (path, text) in files {
        let defined: BTreeSet<&str> = text.lines().filter_map(defined_type).collect();
        for name in text.lines().filter_map(impl_of).filter(|name| !defined.contains(name)) {
            shape.away.entry(name.to_owned()).or_default().insert(path.display().to_string());
        }
    }
    let modules: BTreeMap<Vec<String>, &PathBuf> = files.keys().map(|path| (module_of(path), path)).collect();
    let edges: BTreeMap<&PathBuf, BTreeSet<&PathBuf>> =
        files.iter().map(|(path, text)| (path, known_by(path, text, &modules))).collect();
    let in_circle = files.keys().filter(|path| reaches(path, path, &edges));
    shape.circles = in_circle.map(|path| path.display().to_string()).collect();
    shape
}

/// The type of which a line begins an `impl` of its own methods, not of a trait.
fn impl_of(line: &str) -> Option<&str> {
    let rest = line.strip_prefix("impl")?;
    let rest = match rest.strip_prefix('<') {
        Some(parameters) => parameters.split_once("> ")?.1,
        None => rest.strip_prefix(' ')?,
    };
    (!rest.contains(" for ")).then(|| word(rest)).filter(|name| name.starts_with(char::is_uppercase))
}

fn defined_type(line: &str) -> Option<&str> {
    let line = line
        .strip_prefix("pub ")
        .or_else(|| line.split_once(") ").filter(|(before, _)| before.starts_with("pub(")).map(|(_, rest)| rest))
        .unwrap_or(line);
    ["struct ", "enum ", "union "].iter().find_map(|kind| line.strip_prefix(kind)).map(word)
}

fn word(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

/// The path of the module that a file of `src` is.
fn module_of(path: &Path) -> Vec<String> {
    let mut parts: Vec<String> =
        path.with_extension("").iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
        parts.pop();
    }
    parts
}

/// The other files that one names in its `use` lines. What only declares (`lib.rs`, `mod.rs`) is no such file: it knows everybody by its nature.
fn known_by<'f>(path: &Path, text: &str, modules: &BTreeMap<Vec<String>, &'f PathBuf>) -> BTreeSet<&'f PathBuf> {
    let own = module_of(path);
    let mut known = BTreeSet::new();
    for line in text.lines().map(str::trim_start) {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        let Some(used) = line.strip_prefix("use ") else { continue };
        let mut at = own.clone();
        let mut parts = used.trim_end_matches(';').split("::").peekable();
        match parts.next() {
            Some("crate") => at.clear(),
            Some("super") => drop(at.pop()),
            Some("self") => {}
            _ => continue,
        }
        while parts.next_if_eq(&"super").is_some() {
            at.pop();
        }
        // The deepest module on the way is the file that is meant.
        let mut meant = None;
        for part in parts {
            at.push(part.trim().to_owned());
            match modules.get(&at) {
                Some(file) => meant = Some(*file),
                None => break,
            }
        }
        let declares = |file: &PathBuf| file.ends_with("mod.rs") || file.ends_with("lib.rs");
        known.extend(meant.filter(|file| file.as_path() != path && !declares(file)));
    }
    known
}

fn reaches(from: &Path, to: &Path, edges: &BTreeMap<&PathBuf, BTreeSet<&PathBuf>>) -> bool {
    let (mut open, mut seen) = (vec![from.to_owned()], BTreeSet::new());
    while let Some(at) = open.pop() {
        for next in edges.get(&at).into_iter().flatten() {
            if next.as_path() == to {
                return true;
            }
            if seen.insert((*next).clone()) {
                open.push((*next).clone());
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(files: &[(&str, &str)]) -> BTreeMap<PathBuf, String> {
        files.iter().map(|(path, text)| (PathBuf::from(path), code_of(text).to_owned())).collect()
    }

    #[test]
    fn methods_away_from_their_type_are_found_and_traits_and_namesakes_are_not() {
        let shape = shape_of(&files(&[
            ("worker.rs", "pub(super) struct Worker<T> {\n}\nimpl<T: Copy> Worker<T> {\n"),
            (
                "send.rs",
                "use super::worker::Worker;\nimpl Worker {\nimpl Drop for Worker {\n#[cfg(test)]\nimpl Other {\n",
            ),
            ("a.rs", "struct Facts;\nimpl Facts {\n"),
            ("b.rs", "struct Facts;\nimpl Facts {\nimpl<'a> Facts<'a> {\n"),
        ]));
        let away: Vec<(&str, usize)> = shape.away.iter().map(|(name, files)| (name.as_str(), files.len())).collect();
        assert_eq!((away, shape.circles.len()), (vec![("Worker", 1)], 0));
    }

    #[test]
    fn a_circle_is_found_over_folders_and_what_only_declares_is_none() {
        let shape = shape_of(&files(&[
            ("lib.rs", "pub use a::A;"),
            ("a.rs", "use crate::deep::b::B;\nuse std::fmt;\n"),
            ("deep/mod.rs", "mod b;\npub use b::B;"),
            ("deep/b.rs", "use super::c::C;\n"),
            ("deep/c.rs", "use super::super::a::{A, Z};\n"),
            ("d.rs", "use crate::a::A;\nuse crate::deep::B;\n"),
        ]));
        assert_eq!(shape.circles.into_iter().collect::<Vec<_>>(), ["a.rs", "deep/b.rs", "deep/c.rs"]);
    }

    #[test]
    fn what_is_worse_than_written_is_found() {
        let found = BTreeMap::from([("x".to_owned(), BTreeSet::from(["a.rs".to_owned(), "b.rs".to_owned()]))]);
        assert!(compare(&found, &[("x", 2)], "has").is_empty());
        assert_eq!(compare(&found, &[("x", 1)], "has"), ["x has (2, 1 are allowed): a.rs, b.rs"]);
    }

    #[test]
    fn this_workspace_keeps_its_shape() {
        let findings = findings(&crate::workspace::root()).unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}
