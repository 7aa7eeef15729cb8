//! Builds the test programs and finds out which there are.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, bail};
use serde::Deserialize;

use super::select::Selection;
use super::suite::{Act, Suite};
use crate::workspace;

/// Groups of suites that are no crate's.
const NO_CRATES: &[&str] = &["check", "doc", "demo"];

/// What cargo says of one thing it built (`cargo build --message-format=json`).
#[derive(Deserialize)]
struct Message {
    reason: String,
    manifest_path: Option<PathBuf>,
    target: Option<Target>,
    profile: Option<Profile>,
    executable: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    kind: Vec<String>,
    name: String,
}

#[derive(Deserialize)]
struct Profile {
    test: bool,
}

/// Builds what may be selected and nothing else, once, and names the test programs: `crate/unit` for a library's own tests,
/// `crate/program-NAME` for a binary's, `crate/NAME` for the files in `tests/`.
pub fn built(only: &[Selection]) -> anyhow::Result<Vec<Suite>> {
    let Some(arguments) = arguments(only)? else { return Ok(Vec::new()) };
    let mut command = workspace::cargo(&["test", "--no-run", "--message-format=json-render-diagnostics"]);
    command.args(&arguments).stdout(Stdio::piped());
    eprintln!("$ cargo test --no-run {}", arguments.join(" "));
    let output = command.spawn().and_then(std::process::Child::wait_with_output).context("cannot start cargo")?;
    if !output.status.success() {
        bail!("the suites do not build (see above)");
    }
    let mut suites: Vec<Suite> = String::from_utf8_lossy(&output.stdout).lines().filter_map(suite).collect();
    suites.sort_by_key(|suite| (place(&suite.name), suite.name.clone()));
    Ok(suites)
}

/// Pure and quick first, whole programs last.
fn place(name: &str) -> usize {
    const LATE: &[&str] = &["sim", "journal", "drivers", "proxy", "controller", "load", "cli"];
    let group = name.split('/').next().unwrap_or_default();
    LATE.iter().position(|late| *late == group).map_or(0, |place| place + 1)
}

/// What cargo is to build; none where no crate is meant.
fn arguments(only: &[Selection]) -> anyhow::Result<Option<Vec<String>>> {
    if only.is_empty() {
        return Ok(Some(["--workspace", "--lib", "--bins", "--tests"].map(str::to_owned).to_vec()));
    }
    let groups: BTreeSet<&str> = only.iter().map(Selection::group).collect();
    let mut arguments = Vec::new();
    for group in groups.iter().filter(|group| !NO_CRATES.contains(group)) {
        arguments.extend(["--package".to_owned(), package(group)?]);
    }
    if groups.contains("demo") {
        arguments.extend(["--package".to_owned(), "gapless".to_owned()]);
    }
    if arguments.is_empty() {
        return Ok(None);
    }
    arguments.extend(targets(only));
    Ok(Some(arguments))
}

/// The files in `tests/` that are meant, where nothing else is: everything of the packages otherwise.
fn targets(only: &[Selection]) -> Vec<String> {
    let mut arguments: BTreeSet<Vec<String>> = BTreeSet::new();
    for selection in only.iter().filter(|selection| !["check", "doc"].contains(&selection.group())) {
        match (selection.group(), selection.target()) {
            ("demo", _) => arguments.insert(vec!["--bin".to_owned(), "gapless".to_owned()]),
            (_, Some(name)) if name != "unit" && !name.starts_with("program-") => {
                arguments.insert(vec!["--test".to_owned(), name.to_owned()])
            }
            _ => return ["--lib", "--bins", "--tests"].map(str::to_owned).to_vec(),
        };
    }
    arguments.into_iter().flatten().collect()
}

/// The package of a crate's folder.
fn package(group: &str) -> anyhow::Result<String> {
    let root = workspace::root();
    match group {
        "xtask" => Ok("xtask".to_owned()),
        "cli" => Ok("gapless".to_owned()),
        _ if root.join("crates").join(group).join("Cargo.toml").exists() => Ok(format!("gapless-{group}")),
        _ => bail!("there is no suite {group}\nhint: cargo xtask test --list"),
    }
}

fn suite(line: &str) -> Option<Suite> {
    let message: Message = serde_json::from_str(line).ok()?;
    let (target, path) = (message.target?, message.executable?);
    if message.reason != "compiler-artifact" || !message.profile?.test {
        return None;
    }
    let folder = message.manifest_path?.parent().map(Path::to_path_buf)?;
    let group = folder.file_name()?.to_string_lossy().into_owned();
    let name = match target.kind.first().map(String::as_str)? {
        "lib" => "unit".to_owned(),
        "bin" => format!("program-{}", target.name),
        "test" => target.name,
        _ => return None,
    };
    Some(Suite::new(format!("{group}/{name}"), Act::Program { path, folder }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn built_for(only: &str) -> String {
        let only: Vec<Selection> = only.split(',').map(|word| word.parse().unwrap()).collect();
        arguments(&only).unwrap().unwrap_or_default().join(" ")
    }

    #[test]
    fn only_what_is_selected_is_built() {
        assert_eq!(
            built_for("proxy/drain,journal/crash"),
            "--package gapless-journal --package gapless-proxy --test crash --test drain"
        );
        assert_eq!(built_for("proxy"), "--package gapless-proxy --lib --bins --tests");
        assert_eq!(built_for("cli/e2e:crash"), "--package gapless --test e2e");
        assert_eq!(built_for("demo"), "--package gapless --bin gapless");
        assert_eq!(built_for("check,doc"), "");
    }

    #[test]
    fn a_test_program_is_named_by_its_crate_and_target() {
        let line = r#"{"reason":"compiler-artifact","manifest_path":"/w/crates/proxy/Cargo.toml","target":{"kind":["test"],"name":"drain"},"profile":{"test":true},"executable":"/w/target/debug/deps/drain-1"}"#;
        assert_eq!(suite(line).unwrap().name, "proxy/drain");
        assert_eq!(suite(&line.replace(r#"["test"]"#, r#"["lib"]"#)).unwrap().name, "proxy/unit");
        assert!(suite(&line.replace("true", "false")).is_none(), "a program that holds no tests");
    }
}
