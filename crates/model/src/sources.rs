//! Where an instance's variables come from that are no part of its release's configuration.

use std::collections::BTreeMap;

/// What is read on the machine each time an instance starts, and kept nowhere.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Sources {
    /// Files of variables; what a later one says holds.
    pub files: Vec<EnvironmentFile>,
    /// Secrets by the name of their variable.
    pub secrets: BTreeMap<String, SecretSource>,
}

/// A file of variables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EnvironmentFile {
    /// Where it is: absolute, or relative to the release's folder.
    pub path: String,
    /// Whether an instance starts without it.
    pub presence: Presence,
}

/// Whether something has to be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Presence {
    /// Without it there is no start.
    Required,
    /// It may be missing.
    Optional,
}

/// Where a secret is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SecretSource {
    /// The content of a file: absolute, or relative to the release's folder.
    File(String),
    /// A credential that systemd gave the controller (`LoadCredential=`), by its name.
    Credential(String),
    /// What a program writes to its standard output: program and arguments, at least one.
    Command(Vec<String>),
}

impl Sources {
    /// Whether nothing is read.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && self.secrets.is_empty()
    }
}
