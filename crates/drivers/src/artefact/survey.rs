//! The first reading: everything is judged before a byte is written.

use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::entry::{EntryPath, EntryRefused, Node};
use super::names::Names;
use super::source::Source;
use super::{ArtefactError, Bounds, venv};

/// What an artefact holds.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Files, links and folders.
    pub(super) entries: u64,
    /// Bytes of its files, of hard links as well: each becomes a file of its own.
    pub(super) bytes: u64,
    found: Names,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Found {
    Folder,
    File { bytes: u64 },
    Link,
}

impl Found {
    /// As a number beside the path; no file has as many bytes as the last two say.
    fn to_number(self) -> u64 {
        match self {
            Found::Folder => u64::MAX,
            Found::Link => u64::MAX - 1,
            Found::File { bytes } => bytes.min(u64::MAX - 2),
        }
    }

    fn of_number(number: u64) -> Found {
        match number {
            u64::MAX => Found::Folder,
            number if number == u64::MAX - 1 => Found::Link,
            bytes => Found::File { bytes },
        }
    }
}

/// Reads a source to its end.
pub(super) fn survey(source: &Source, bounds: &Bounds) -> Result<Survey, ArtefactError> {
    let mut survey = Survey::default();
    let mut interpreters = Vec::new();
    source.visit(&mut |path, node| {
        let found = match node {
            Node::Folder => Found::Folder,
            Node::File { content, .. } => {
                // One byte more than may be, to tell.
                let left = bounds.bytes_max.saturating_sub(survey.bytes).saturating_add(1);
                let copied = io::copy(&mut content.take(left), &mut io::sink());
                Found::File { bytes: copied.map_err(|error| source.unreadable(path, error))? }
            }
            Node::Link { target } if target.is_absolute() => {
                let mark = venv::mark_of(path, &target).ok_or_else(|| path.refuse(EntryRefused::LinkLeaves))?;
                if !venv::is_program(&target) {
                    return Err(path.refuse(EntryRefused::InterpreterMissing));
                }
                // An archive may name the mark later.
                interpreters.push((path.clone(), mark));
                Found::Link
            }
            Node::Link { .. } => Found::Link,
            Node::HardLink { target } => match survey.found(&target) {
                Some(Found::File { bytes }) => Found::File { bytes },
                _ => return Err(path.refuse(EntryRefused::HardLinkWithoutFile)),
            },
        };
        survey.add(path, found, bounds)
    })?;
    for (link, mark) in &interpreters {
        let is_marked = survey.holds_file(mark);
        if !is_marked {
            return Err(link.refuse(EntryRefused::LinkLeaves));
        }
    }
    if survey.found.numbers().all(|number| Found::of_number(number) == Found::Folder) {
        return Err(ArtefactError::Empty { path: source.path.clone() });
    }
    Ok(survey)
}

impl Survey {
    /// Whether a file was found there.
    pub(super) fn holds_file(&self, path: &Path) -> bool {
        let path = EntryPath::new(path.as_os_str().as_bytes()).ok().flatten();
        path.is_some_and(|path| matches!(self.found(&path), Some(Found::File { .. })))
    }

    fn found(&self, path: &EntryPath) -> Option<Found> {
        self.found.number(path).map(Found::of_number)
    }

    fn note(&mut self, path: &EntryPath, found: Found) -> Option<Found> {
        self.found.add(path, found.to_number()).map(Found::of_number)
    }

    fn add(&mut self, path: &EntryPath, found: Found, bounds: &Bounds) -> Result<(), ArtefactError> {
        for parent in path.parents() {
            match self.found(&parent) {
                Some(Found::Folder) => break,
                Some(_) => return Err(path.refuse(EntryRefused::Twice)),
                // Archives need not name the folders of their files.
                None => {
                    self.note(&parent, Found::Folder);
                    self.entries += 1;
                    self.is_within(bounds)?;
                }
            }
        }
        match self.note(path, found) {
            None => self.entries += 1,
            Some(Found::Folder) if found == Found::Folder => {}
            Some(_) => return Err(path.refuse(EntryRefused::Twice)),
        }
        if let Found::File { bytes } = found {
            self.bytes = self.bytes.saturating_add(bytes);
        }
        self.is_within(bounds)
    }

    fn is_within(&self, bounds: &Bounds) -> Result<(), ArtefactError> {
        if self.entries > bounds.entries_max {
            return Err(ArtefactError::TooMany { entries_max: bounds.entries_max });
        }
        if self.bytes > bounds.bytes_max {
            return Err(ArtefactError::TooLarge { bytes_max: bounds.bytes_max });
        }
        Ok(())
    }
}
