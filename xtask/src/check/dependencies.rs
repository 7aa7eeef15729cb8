//! The dependency rule between crates: which crate may know which, and what the pure ones may not name.
//!
//! The table is the one of `docs/ARCHITECTURE.md`. A new edge is a line here and a reason there.

use std::fs;
use std::path::Path;

use anyhow::Context;

use super::sizes::rust_files;

/// One crate: its folder under `crates/`, the crates of this workspace it may depend on, and whether it is pure.
struct Rule {
    name: &'static str,
    may_know: &'static [&'static str],
    purity: Purity,
}

#[derive(PartialEq, Eq)]
enum Purity {
    /// Functions of values: names neither a runtime, nor sockets, files, clocks or chance.
    Pure,
    /// Acts on the world.
    Shell,
}

const RULES: &[Rule] = &[
    Rule { name: "model", may_know: &[], purity: Purity::Pure },
    Rule { name: "histogram", may_know: &[], purity: Purity::Pure },
    Rule { name: "rollout", may_know: &["model"], purity: Purity::Pure },
    Rule { name: "routing", may_know: &["model", "histogram"], purity: Purity::Pure },
    Rule { name: "exchange", may_know: &["model", "routing"], purity: Purity::Pure },
    Rule { name: "judge", may_know: &["model", "histogram"], purity: Purity::Pure },
    Rule { name: "schema", may_know: &["model"], purity: Purity::Pure },
    Rule { name: "http1", may_know: &["model"], purity: Purity::Pure },
    Rule { name: "wire", may_know: &["model", "histogram", "rollout", "routing", "judge"], purity: Purity::Shell },
    Rule { name: "journal", may_know: &["model", "wire"], purity: Purity::Shell },
    Rule { name: "fleet", may_know: &["model", "rollout", "routing", "wire", "journal"], purity: Purity::Pure },
    Rule { name: "probe", may_know: &["model"], purity: Purity::Shell },
    Rule { name: "drivers", may_know: &["model", "probe", "rollout", "routing", "wire"], purity: Purity::Shell },
    // The proxy speaks frames over its control socket with the one implementation of that socket, which is the drivers'.
    Rule {
        name: "proxy",
        may_know: &["model", "histogram", "routing", "exchange", "http1", "wire", "probe", "drivers"],
        purity: Purity::Shell,
    },
    Rule {
        name: "controller",
        may_know: &["model", "rollout", "routing", "judge", "schema", "wire", "journal", "fleet", "probe", "drivers"],
        purity: Purity::Shell,
    },
    // Nothing of Gapless but the buckets: it judges from outside.
    Rule { name: "load", may_know: &["histogram"], purity: Purity::Shell },
    // It judges the proxy from outside: bytes over sockets, and nothing of how the proxy is made.
    Rule { name: "attack", may_know: &[], purity: Purity::Shell },
    Rule {
        name: "cli",
        may_know: &["model", "rollout", "routing", "judge", "wire", "drivers", "proxy", "controller", "load"],
        purity: Purity::Shell,
    },
    Rule {
        name: "sim",
        may_know: &["model", "rollout", "routing", "judge", "schema", "wire", "journal", "fleet"],
        purity: Purity::Shell,
    },
];

/// What a pure crate may not name outside its tests, and what it should take instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("tokio", "leave the runtime to the shell"),
    ("std::net", "take bytes or addresses as arguments"),
    ("std::fs", "take the contents as an argument"),
    ("Instant::now", "take the time as an argument"),
    ("SystemTime::now", "take the time as an argument"),
    ("rand::", "take the chance as an argument"),
];

/// Every broken rule, as a sentence each.
pub fn findings(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut findings = unlisted(root)?;
    for rule in RULES {
        let folder = root.join("crates").join(rule.name);
        if !folder.is_dir() {
            continue;
        }
        let path = folder.join("Cargo.toml");
        let manifest = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        findings.extend(edges(rule, &manifest));
        if rule.purity == Purity::Pure {
            findings.extend(impurities(root, rule)?);
        }
    }
    Ok(findings)
}

/// Crates that no rule speaks of.
fn unlisted(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for entry in fs::read_dir(root.join("crates")).context("cannot list crates/")? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if entry.path().join("Cargo.toml").exists() && RULES.iter().all(|rule| rule.name != name) {
            findings.push(format!("crates/{name} has no rule: add it to xtask/src/check/dependencies.rs"));
        }
    }
    Ok(findings)
}

/// The edges of one manifest that its rule does not allow. Development dependencies are free: tests may know more.
fn edges(rule: &Rule, manifest: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let mut section = "";
    for line in manifest.lines().map(str::trim) {
        if line.starts_with('[') {
            section = line;
        }
        if section != "[dependencies]" && !section.starts_with("[target") {
            continue;
        }
        let Some(known) = line.strip_prefix("gapless-") else { continue };
        let known: String = known.chars().take_while(|c| c.is_ascii_alphanumeric()).collect();
        if !rule.may_know.contains(&known.as_str()) {
            let name = rule.name;
            findings.push(format!("crates/{name} may not depend on {known}: docs/ARCHITECTURE.md lists the edges"));
        }
    }
    findings
}

/// The forbidden names in one pure crate's sources, tests and comments left out.
fn impurities(root: &Path, rule: &Rule) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    let sources = root.join("crates").join(rule.name).join("src");
    for path in rust_files(root)?.into_iter().filter(|path| path.starts_with(&sources)) {
        if path.file_stem().is_some_and(|stem| stem == "tests") || path.components().any(|c| c.as_os_str() == "tests") {
            continue;
        }
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let shown = path.strip_prefix(root).unwrap_or(&path).display().to_string();
        findings.extend(impure_lines(&shown, &text));
    }
    Ok(findings)
}

fn impure_lines(shown: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim() == "#[cfg(test)]" {
            break; // tests close every file, and they may do as they like
        }
        let code = line.split("//").next().unwrap_or_default();
        for (name, instead) in FORBIDDEN {
            if let Some(at) = code.find(name)
                && !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
            {
                findings.push(format!("{shown}:{}: a pure crate names `{name}`: {instead}", number + 1));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_the_table_lacks_is_found() {
        let rule = Rule { name: "routing", may_know: &["model", "histogram"], purity: Purity::Pure };
        let manifest = "[dependencies]\ngapless-model.workspace = true\ngapless-proxy = { path = \"../proxy\" }\n[dev-dependencies]\ngapless-sim.workspace = true\n";
        let findings = edges(&rule, manifest);
        assert_eq!(findings, ["crates/routing may not depend on proxy: docs/ARCHITECTURE.md lists the edges"]);
    }

    #[test]
    fn a_clock_in_a_pure_crate_is_found_but_not_in_its_comments_or_tests() {
        let text = "//! not Instant::now\nfn f() { let t = std::time::Instant::now(); }\nlet operand::x;\n#[cfg(test)]\nmod tests { use std::fs; }\n";
        let findings = impure_lines("crates/model/src/lib.rs", text);
        assert_eq!(
            findings,
            ["crates/model/src/lib.rs:2: a pure crate names `Instant::now`: take the time as an argument"]
        );
    }

    #[test]
    fn this_workspace_keeps_the_rule() {
        let findings = findings(&crate::workspace::root()).unwrap();
        assert!(findings.is_empty(), "{findings:#?}");
    }
}
