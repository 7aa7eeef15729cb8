//! What is looked at of a folder, and what may be found in it.

use std::collections::{BTreeMap, BTreeSet};

/// The files at the top of a folder and in the folders in it, with the text of those that say something about it.
#[derive(Clone, Debug, Default)]
pub struct Listing {
    /// Text by file name (`app/main.py` for one in a folder); empty for files whose text does not matter.
    pub files: BTreeMap<String, String>,
    /// Files at the top that can be run.
    pub programs: BTreeSet<String>,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Found {
    /// What it is, for people.
    pub what: &'static str,
    /// How it is run; `{port}` where the port goes.
    pub command: Vec<String>,
    /// What must be done before it can be released, or is not known about it: each a sentence.
    pub notes: Vec<String>,
    /// The path that tells its health, if it has an obvious one; otherwise the port is asked.
    pub health: Option<&'static str>,
}

impl Listing {
    /// The files whose text says something, and at most so much of it, in bytes.
    pub const READ: [&'static str; 11] = [
        "package.json",
        "requirements.txt",
        "pyproject.toml",
        "Cargo.toml",
        "go.mod",
        "Procfile",
        "Gemfile",
        "mix.exs",
        "composer.json",
        "manage.py",
        "Dockerfile",
    ];

    pub(super) fn has(&self, name: &str) -> bool {
        self.files.contains_key(name)
    }

    pub(super) fn text(&self, name: &str) -> &str {
        self.files.get(name).map_or("", String::as_str)
    }

    pub(super) fn first_of<'a>(&self, names: &[&'a str]) -> Option<&'a str> {
        names.iter().copied().find(|name| self.has(name))
    }

    pub(super) fn with_ending(&self, ending: &str) -> Option<&str> {
        self.files.keys().find(|name| name.ends_with(ending)).map(String::as_str)
    }
}

/// What a service that is given no port by its command is told.
pub(super) const READS_PORT: &str = "The service must listen on 127.0.0.1 and the port in the PORT variable.";

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

/// Something that is found, run by this line.
pub(super) fn found(what: &'static str, command: &str, notes: &[&str]) -> Found {
    Found { what, command: words(command), notes: notes.iter().map(ToString::to_string).collect(), health: None }
}
