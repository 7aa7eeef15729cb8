//! The paths of an artefact, each with a number, in little memory that is given back whole.
//!
//! Half a million paths kept as they are take tens of megabytes in small pieces, and a process seldom gets small pieces back to the system.
//! Kept is a fingerprint of 128 bits under a key that nobody knows: that two paths have one is less likely than that the machine errs.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use super::entry::EntryPath;

/// Paths with a number each.
#[derive(Debug, Default)]
pub(super) struct Names {
    keys: [RandomState; 2],
    /// One allocation, large enough to be the system's own.
    found: HashMap<[u64; 2], u64>,
}

impl Names {
    /// Takes a path; the number it had before, if it was there.
    pub(super) fn add(&mut self, path: &EntryPath, number: u64) -> Option<u64> {
        let fingerprint = self.fingerprint(path);
        self.found.insert(fingerprint, number)
    }

    /// The number of a path, if it is there.
    pub(super) fn number(&self, path: &EntryPath) -> Option<u64> {
        self.found.get(&self.fingerprint(path)).copied()
    }

    /// All numbers.
    pub(super) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.found.values().copied()
    }

    fn fingerprint(&self, path: &EntryPath) -> [u64; 2] {
        [self.keys[0].hash_one(path.as_bytes()), self.keys[1].hash_one(path.as_bytes())]
    }
}
