//! The size ratchet: a source file past [`LINES_MAX`] lines holds two ideas and has to be split.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// The longest a Rust file may be, in lines. Past it the file where two ideas meet has grown beyond what one reads in a sitting.
const LINES_MAX: usize = 1_000;

/// Every Rust file of the workspace that is too long, as a sentence each.
pub fn findings(root: &Path) -> anyhow::Result<Vec<String>> {
    let mut findings = Vec::new();
    for path in rust_files(root)? {
        let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().count();
        if lines > LINES_MAX {
            let shown = path.strip_prefix(root).unwrap_or(&path).display();
            findings.push(format!("{shown} has {lines} lines, {LINES_MAX} are allowed: split it by meaning"));
        }
    }
    Ok(findings)
}

/// All `.rs` files below `crates/` and `xtask/`, in a stable order.
pub fn rust_files(root: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![root.join("crates"), root.join("xtask")];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {}", folder.display()))? {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_past_the_limit_is_found_and_one_at_the_limit_is_not() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("crates/a/src");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("long.rs"), "\n".repeat(LINES_MAX + 1)).unwrap();
        fs::write(folder.join("fits.rs"), "\n".repeat(LINES_MAX)).unwrap();
        let findings = findings(root.path()).unwrap();
        assert_eq!(findings.len(), 1, "{findings:?}");
        assert!(findings[0].starts_with("crates/a/src/long.rs has 1001 lines"), "{findings:?}");
    }
}
