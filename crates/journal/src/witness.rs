//! A second place that knows how far the journal had come.
//!
//! SQLite takes a write-ahead log whose tail is damaged for one that ends there, which would lose commits in silence. After each commit
//! its number is written to a file of 48 bytes beside the journal. It is not synced (the commit was), so after a power cut it may
//! lag behind; it is never ahead. A journal that has come less far than its witness has lost something.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt as _};
use std::path::Path;

use crate::StoreError;
use crate::chain::{self, Hash};

const MAGIC: &[u8; 8] = b"gaplessW";
const LENGTH: usize = 48;

/// What a witness says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Said {
    /// So many commits were made.
    Commits(u64),
    /// It is not what was written.
    Damaged,
}

/// The open witness file.
pub(crate) struct Witness {
    file: File,
}

impl Witness {
    /// Reads a witness: what it says, or none where there is no file (a journal restored from a copy of the database alone).
    pub(crate) fn read(path: &Path) -> Result<Option<Said>, StoreError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(StoreError::io("read", error)),
        };
        let Ok(bytes) = <[u8; LENGTH]>::try_from(bytes) else { return Ok(Some(Said::Damaged)) };
        let commits = u64::from_be_bytes(std::array::from_fn(|i| bytes[8 + i]));
        Ok(Some(if bytes == encode(commits) { Said::Commits(commits) } else { Said::Damaged }))
    }

    /// Opens (or makes) the witness and writes the number, synced. A new one gets its name when it is whole: a crash or a full disk in between would
    /// leave an empty one, which says that the journal is damaged. One that is whole is written in its place, for which a full disk has room.
    pub(crate) fn open(path: &Path, commits: u64) -> io::Result<Witness> {
        match OpenOptions::new().write(true).open(path) {
            Ok(file) if file.metadata()?.len() == LENGTH as u64 => {
                write(&file, commits)?;
                return Ok(Witness { file });
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(_) | Err(_) => {}
        }
        let beside = path.with_extension("witness.new");
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        let named = write(&file, commits).and_then(|()| std::fs::rename(&beside, path));
        if named.is_err() {
            let _nothing_left = std::fs::remove_file(&beside);
        }
        named.map(|()| Witness { file })
    }

    /// Notes a commit. One write within one sector: whole or not at all.
    pub(crate) fn note(&self, commits: u64) -> io::Result<()> {
        self.file.write_all_at(&encode(commits), 0)
    }
}

fn write(file: &File, commits: u64) -> io::Result<()> {
    file.write_all_at(&encode(commits), 0)?;
    file.sync_all()
}

fn encode(commits: u64) -> [u8; LENGTH] {
    let hash: Hash = chain::hash("witness", &[&commits.to_be_bytes()]);
    let mut bytes = [0; LENGTH];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8..16].copy_from_slice(&commits.to_be_bytes());
    bytes[16..].copy_from_slice(&hash);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_witness_has_its_name_only_once_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.witness");
        let beside = folder.path().join("journal.witness.new");
        std::os::unix::fs::symlink("/dev/full", &beside).unwrap();
        assert!(Witness::open(&path, 7).is_err(), "there is no room");
        assert_eq!(Witness::read(&path).unwrap(), None);
        std::fs::write(&beside, "of a crash").unwrap();
        let witness = Witness::open(&path, 7).unwrap();
        assert_eq!(Witness::read(&path).unwrap(), Some(Said::Commits(7)));
        assert!(!beside.exists());
        witness.note(8).unwrap();
        assert_eq!(Witness::read(&path).unwrap(), Some(Said::Commits(8)));
    }
}
