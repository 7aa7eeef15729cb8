//! Copies of a journal: made while it is in use, looked into, and put in its place.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};
use sha2::{Digest as _, Sha256};

use super::open::{check_format, full_or, lock, sync_folder};
use super::{SqliteStore, failed, verify};
use crate::{Position, Store as _, StoreError};

/// The files that make a journal, in the order in which it is set aside: without the main file it is refused for as long as its witness is there, where a
/// main file without its log and its witness would open as if it were well.
const FILES: [&str; 4] = ["journal.db", "journal.db-wal", "journal.db-shm", "journal.witness"];

/// Folders with journals set aside; more means that something else is wrong.
const ASIDE_MAX: u32 = 1_000;

/// What is done with a newer thing that is there already.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Existing {
    /// It stays, and the act is refused.
    Keep,
    /// It makes way.
    Replace,
}

/// What a copy holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// How far it had come.
    pub position: Position,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}

/// A store of which a copy can be made while it is in use.
pub trait BackUp {
    /// Writes a whole, consistent copy of the journal to a file (mode 0600) while the journal is in use. The copy is read back and
    /// verified before it gets its name; a failure leaves nothing behind and does not concern the journal.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] for a name that cannot be or that is there already, [`StoreError::Full`], [`StoreError::Io`].
    fn back_up(&mut self, to: &Path, existing: Existing) -> Result<Standing, StoreError>;
}

impl BackUp for SqliteStore {
    fn back_up(&mut self, to: &Path, existing: Existing) -> Result<Standing, StoreError> {
        if existing == Existing::Keep && fs::symlink_metadata(to).is_ok() {
            return Err(StoreError::Invalid(format!("the name {}, which is there already", to.display())));
        }
        let (Some(name), Some(folder)) = (to.file_name(), to.parent()) else {
            return Err(StoreError::Invalid(format!("the name {}, which is no file's", to.display())));
        };
        let mut beside = name.to_owned();
        beside.push(format!(".part-{}", std::process::id()));
        let beside = folder.join(beside);
        let written = self.write_copy(&beside).and_then(|()| {
            let standing = inspect(&beside)?;
            fs::rename(&beside, to).map_err(|error| full_or("back up", error))?;
            sync_folder(folder)?;
            Ok(standing)
        });
        if written.is_err() {
            let _nothing_left = fs::remove_file(&beside);
        }
        written
    }
}

impl SqliteStore {
    fn write_copy(&self, to: &Path) -> Result<(), StoreError> {
        let text = to.to_str().ok_or_else(|| StoreError::Invalid("a name that is no UTF-8".to_owned()))?;
        // Made here, so that it is nobody else's to read at any moment; SQLite takes an empty file for its own.
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(to)
            .map_err(|error| full_or("back up", error))?;
        self.connection.execute("VACUUM INTO ?1", [text]).map_err(|error| failed("back up", error))?;
        file.sync_all().map_err(|error| full_or("back up", error))
    }
}

/// Reads a copy whole and verifies it as a journal is verified at its opening. The file is not written to.
///
/// # Errors
/// [`StoreError::Damaged`] when it is not what was written, [`StoreError::Newer`], [`StoreError::Io`].
pub fn inspect(file: &Path) -> Result<Standing, StoreError> {
    let (bytes, sha256) = digest(file).map_err(|error| StoreError::io("read", error))?;
    if bytes == 0 {
        return Err(StoreError::damaged(format!("{} is empty", file.display())));
    }
    // A copy is one file, which nobody changes: no log is looked for, and none is made.
    let path = std::path::absolute(file).map_err(|error| StoreError::io("read", error))?;
    let uri = format!("file:{}?immutable=1", escaped(&path)?);
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(uri, flags).map_err(|error| failed("read", error))?;
    check_format(&connection, file, |error| failed("read", error))?;
    let state = verify::everything(&connection)?;
    Ok(Standing { position: Position { epoch: state.epoch, commits: state.commits }, bytes, sha256 })
}

/// Whether nobody has the journal of a folder open.
///
/// # Errors
/// [`StoreError::InUse`] while a controller runs, [`StoreError::Io`].
pub fn refuse_in_use(folder: &Path) -> Result<(), StoreError> {
    lock(folder).map(drop)
}

/// Puts a verified copy in the place of the journal in a folder. The journal that was there is set aside, never deleted; answers where.
///
/// # Errors
/// [`StoreError::InUse`] while a controller runs, what [`inspect`] finds wrong with the copy, and [`StoreError::NewerThanCopy`] where the
/// journal that is there has come further and `newer` says to keep it. Nothing is changed then.
pub fn restore(folder: &Path, copy: &Path, newer: Existing) -> Result<Option<PathBuf>, StoreError> {
    let standing = inspect(copy)?;
    if SqliteStore::is_there(folder) && newer == Existing::Keep {
        match SqliteStore::open(folder) {
            Ok(there) if there.position() > standing.position => {
                let (newer, copy) = (there.position(), standing.position);
                return Err(StoreError::NewerThanCopy { folder: folder.to_owned(), newer, copy });
            }
            Err(error @ StoreError::InUse { .. }) => return Err(error),
            // What cannot be read is what a copy is for.
            Ok(_) | Err(_) => {}
        }
    }
    let _alone = lock(folder)?;
    let beside = folder.join("journal.db.new");
    let copied = copy_durably(copy, &beside);
    if let Err(error) = copied {
        let _nothing_left = fs::remove_file(&beside);
        return Err(full_or("restore", error));
    }
    let aside = move_aside(folder)?;
    fs::rename(&beside, folder.join("journal.db")).map_err(|error| full_or("restore", error))?;
    sync_folder(folder)?;
    Ok(aside)
}

/// Sets the journal of a folder aside, whatever state it is in, so that a new one can be made; answers where it is now.
///
/// # Errors
/// [`StoreError::InUse`] while a controller runs, [`StoreError::Io`].
pub fn set_aside(folder: &Path) -> Result<Option<PathBuf>, StoreError> {
    let _alone = lock(folder)?;
    move_aside(folder)
}

fn move_aside(folder: &Path) -> Result<Option<PathBuf>, StoreError> {
    let failed = |error| full_or("set aside", error);
    let present = |name: &&str| fs::symlink_metadata(folder.join(name)).is_ok();
    let files: Vec<&str> = FILES.into_iter().filter(present).collect();
    if files.is_empty() {
        return Ok(None);
    }
    let aside = (1..=ASIDE_MAX).map(|number| folder.join(format!("journal.aside-{number}")));
    let aside = aside.into_iter().find(|path| fs::symlink_metadata(path).is_err());
    let aside = aside.ok_or_else(|| StoreError::Invalid(format!("{ASIDE_MAX} journals set aside already")))?;
    fs::create_dir(&aside).map_err(failed)?;
    for name in files {
        move_one(folder, &aside, name)?;
    }
    Ok(Some(aside))
}

/// Durably, so that a power cut keeps the order too.
fn move_one(folder: &Path, aside: &Path, name: &str) -> Result<(), StoreError> {
    fs::rename(folder.join(name), aside.join(name)).map_err(|error| full_or("set aside", error))?;
    sync_folder(aside)?;
    sync_folder(folder)
}

fn copy_durably(from: &Path, to: &Path) -> io::Result<()> {
    let _leftover = fs::remove_file(to);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut file)?;
    file.sync_all()
}

fn digest(file: &Path) -> io::Result<(u64, String)> {
    let mut open = File::open(file)?;
    let (mut hasher, mut bytes, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
    loop {
        match open.read(&mut buffer)? {
            0 => break,
            count => {
                hasher.update(&buffer[..count]);
                bytes += count as u64;
            }
        }
    }
    Ok((bytes, gapless_model::Digest(hasher.finalize().into()).to_string()))
}

/// A path as SQLite's URIs have it: what means something in a URI is escaped.
fn escaped(path: &Path) -> Result<String, StoreError> {
    let text = path.to_str().ok_or_else(|| StoreError::Invalid("a name that is no UTF-8".to_owned()))?;
    Ok(text.replace('%', "%25").replace('?', "%3f").replace('#', "%23"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_is_set_aside_in_part_is_refused_at_every_point() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = SqliteStore::open(folder.path()).unwrap();
        store.begin_term().unwrap();
        // As a crash leaves it: with its log.
        std::mem::forget(store);
        let whole = tempfile::tempdir().unwrap();
        let present: Vec<&str> = FILES.into_iter().filter(|name| folder.path().join(name).exists()).collect();
        assert!(present.contains(&"journal.db-wal") && present.contains(&"journal.witness"), "{present:?}");
        for moved in 1..present.len() {
            let (here, aside) = (whole.path().join(moved.to_string()), whole.path().join(format!("aside-{moved}")));
            fs::create_dir(&here).unwrap();
            fs::create_dir(&aside).unwrap();
            for name in &present {
                fs::copy(folder.path().join(name), here.join(name)).unwrap();
            }
            present[..moved].iter().for_each(|name| move_one(&here, &aside, name).unwrap());
            assert!(matches!(SqliteStore::open(&here), Err(StoreError::Damaged { .. })), "after {moved} files");
        }
    }

    #[test]
    fn a_log_without_its_journal_and_witness_is_not_taken_for_a_new_journals() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("journal.db-wal"), "of another").unwrap();
        assert!(matches!(SqliteStore::open(folder.path()), Err(StoreError::Damaged { .. })));
    }
}
