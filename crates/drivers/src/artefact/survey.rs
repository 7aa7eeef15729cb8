//! The first reading: everything is judged before a byte is written.

use std::collections::BTreeMap;
use std::io::{self, Read};

use super::entry::{EntryPath, EntryRefused, Node};
use super::source::Source;
use super::{ArtefactError, Bounds};

/// What an artefact holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Survey {
    /// Files, links and folders.
    pub(super) entries: u64,
    /// Bytes of its files, of hard links as well: each becomes a file of its own.
    pub(super) bytes: u64,
    found: BTreeMap<EntryPath, Found>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Folder,
    File { bytes: u64 },
    Link,
}

/// Reads a source to its end.
pub(super) fn survey(source: &Source, bounds: &Bounds) -> Result<Survey, ArtefactError> {
    let mut survey = Survey::default();
    source.visit(&mut |path, node| {
        let found = match node {
            Node::Folder => Found::Folder,
            Node::File { content, .. } => {
                // One byte more than may be, to tell.
                let left = bounds.bytes_max.saturating_sub(survey.bytes).saturating_add(1);
                let copied = io::copy(&mut content.take(left), &mut io::sink());
                Found::File { bytes: copied.map_err(|error| source.unreadable(path, error))? }
            }
            Node::Link { target } if target.is_absolute() => return Err(path.refuse(EntryRefused::LinkLeaves)),
            Node::Link { .. } => Found::Link,
            Node::HardLink { target } => match survey.found.get(&target) {
                Some(Found::File { bytes }) => Found::File { bytes: *bytes },
                _ => return Err(path.refuse(EntryRefused::HardLinkWithoutFile)),
            },
        };
        survey.add(path, found, bounds)
    })?;
    if survey.found.values().all(|found| *found == Found::Folder) {
        return Err(ArtefactError::Empty { path: source.path.clone() });
    }
    Ok(survey)
}

impl Survey {
    fn add(&mut self, path: &EntryPath, found: Found, bounds: &Bounds) -> Result<(), ArtefactError> {
        for parent in path.parents() {
            match self.found.get(&parent) {
                Some(Found::Folder) => break,
                Some(_) => return Err(path.refuse(EntryRefused::Twice)),
                // Archives need not name the folders of their files.
                None => {
                    self.found.insert(parent, Found::Folder);
                    self.entries += 1;
                }
            }
        }
        match self.found.insert(path.clone(), found) {
            None => self.entries += 1,
            Some(Found::Folder) if found == Found::Folder => {}
            Some(_) => return Err(path.refuse(EntryRefused::Twice)),
        }
        if let Found::File { bytes } = found {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        if self.entries > bounds.entries_max {
            return Err(ArtefactError::TooMany { entries_max: bounds.entries_max });
        }
        if self.bytes > bounds.bytes_max {
            return Err(ArtefactError::TooLarge { bytes_max: bounds.bytes_max });
        }
        Ok(())
    }
}
