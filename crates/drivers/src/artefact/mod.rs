//! From a folder or archive to an immutable release folder named by the digest of its content.
//!
//! Everything is read twice: first to be judged (paths, links, kinds, sizes, that the archive is whole), before a byte is written; then
//! to be unpacked into `incoming/`, made durable, and renamed to `releases/<service>/<digest>`. What is refused leaves nothing behind, and what is
//! visible under a digest is whole (D4).
//!
//! A folder is taken without `.git` and what its `.gaplessignore` leaves out; an archive is taken whole.
//!
//! What is kept of a file is its path, its content and who may read, write and execute it (the nine bits of its mode); of a link its target; of a
//! folder that it is there. Owners and times are not kept. The folder of a release is closed to other users (0700), and so are those above
//! it to looking; folders inside are 0755.

mod collect;
mod digest;
mod entry;
mod ignored;
mod names;
mod peek;
mod source;
mod survey;
mod unpack;
mod venv;
mod zip_directory;

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gapless_model::{Digest, ServiceName};

pub use entry::{EntryRefused, PATH_BYTES_MAX};
pub use ignored::IGNORE_FILE;
pub use peek::read_text;
pub use venv::{ForeignInterpreter, foreign_interpreter};

/// The bounds of one artefact.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Bounds {
    /// The bytes of its files together.
    pub bytes_max: u64,
    /// Files, links and folders together.
    pub entries_max: u64,
    /// What stays free on the disk afterwards: the journal must be able to go on.
    pub free_bytes_kept: u64,
}

impl Default for Bounds {
    /// 16 GiB, 500 000 entries (a large `node_modules` has a fifth), 64 MiB left free.
    fn default() -> Bounds {
        Bounds { bytes_max: 16 << 30, entries_max: 500_000, free_bytes_kept: 64 << 20 }
    }
}

/// The mode of the folders above releases: others may pass through, and see nothing.
const PASSABLE: u32 = 0o711;

/// The release folders of a state folder. All calls block; they belong on a thread of their own.
#[derive(Clone, Debug)]
pub struct Artefacts {
    state: PathBuf,
    bounds: Bounds,
    next: Arc<AtomicU64>,
}

/// An artefact that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Its identity.
    pub digest: Digest,
    /// Where it lies.
    pub folder: PathBuf,
    /// Files, links and folders in it.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether it was there before.
    pub already: bool,
}

/// Why an artefact was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It is neither a folder nor one of the archives that are known by their first bytes.
    #[error("{} is neither a folder nor a .tar, .tar.gz, .tar.zst or .zip archive", path.display())]
    Unknown {
        /// What.
        path: PathBuf,
    },
    /// The archive is cut short or damaged.
    #[error("the archive {} is damaged or cut short: {reason}", path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How it shows.
        reason: String,
    },
    /// Something in it is not taken.
    #[error("entry {entry:?} {why}")]
    Entry {
        /// Its path.
        entry: String,
        /// Why.
        why: EntryRefused,
    },
    /// The file that says what is left out is not understood.
    #[error("{}:{line} is not understood: {reason}", path.display())]
    Ignore {
        /// Which.
        path: PathBuf,
        /// Its line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// It holds nothing.
    #[error("{} holds no file", path.display())]
    Empty {
        /// What.
        path: PathBuf,
    },
    /// Its files have more bytes than the bound.
    #[error("its files have more than {bytes_max} bytes")]
    TooLarge {
        /// The bound.
        bytes_max: u64,
    },
    /// It has more entries than the bound.
    #[error("it has more than {entries_max} files and folders")]
    TooMany {
        /// The bound.
        entries_max: u64,
    },
    /// The disk has too little room; found before anything was written.
    #[error("it needs {needed} bytes of disk with what stays free, {available} are available")]
    NoSpace {
        /// With what stays free for the journal.
        needed: u64,
        /// What there is.
        available: u64,
    },
    /// The folder holds the controller's own state folder.
    #[error("{} holds the state folder of Gapless itself", path.display())]
    HoldsState {
        /// Which.
        path: PathBuf,
    },
    /// It changed between being judged and being unpacked.
    #[error("{} changed while it was read", path.display())]
    Changed {
        /// What.
        path: PathBuf,
    },
    /// A file of the state folder cannot be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Artefacts {
    /// The artefacts under a state folder: `incoming/` and `releases/` in it. What an earlier crash left in `incoming/` is removed, so there
    /// must be no other user of the folder.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn open(state: &Path) -> Result<Artefacts, ArtefactError> {
        Artefacts::with_bounds(state, Bounds::default())
    }

    /// The same with other bounds.
    ///
    /// # Errors
    /// As [`Artefacts::open`].
    pub fn with_bounds(state: &Path, bounds: Bounds) -> Result<Artefacts, ArtefactError> {
        let state = std::path::absolute(state).map_err(cannot_write(state))?;
        let artefacts = Artefacts { state, bounds, next: Arc::default() };
        let incoming = artefacts.incoming();
        match fs::remove_dir_all(&incoming) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(cannot_write(&incoming)(error)),
            _ => {}
        }
        make_folder(&incoming, 0o700)?;
        // To be passed through by instances that run as another user, not to be looked into: those of earlier versions are made so.
        let releases = artefacts.state.join("releases");
        make_folder(&releases, PASSABLE)?;
        set_mode(&releases, PASSABLE)?;
        for entry in fs::read_dir(&releases).map_err(cannot_read(&releases))?.flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                set_mode(&entry.path(), PASSABLE)?;
            }
        }
        Ok(artefacts)
    }

    /// Takes a folder or archive for a service.
    ///
    /// # Errors
    /// [`ArtefactError`]; nothing is left behind.
    pub fn take(&self, service: &ServiceName, source: &Path) -> Result<Taken, ArtefactError> {
        let taken = self.take_in(service, source);
        // What looking at very many entries took in small pieces.
        crate::sys::give_memory_back();
        taken
    }

    fn take_in(&self, service: &ServiceName, source: &Path) -> Result<Taken, ArtefactError> {
        let opened = source::open(source, &self.state, self.bounds.entries_max)?;
        let survey = survey::survey(&opened, &self.bounds)?;
        self.check_space(&survey)?;
        let beside = self.beside();
        let taken = self.unpack(service, &opened, &survey, &beside);
        if beside.exists()
            && let Err(error) = fs::remove_dir_all(&beside)
        {
            // Nobody looks there, and the next start of the controller removes it.
            tracing::warn!(folder = %beside.display(), %error, "leftover of an artefact not removed");
        }
        taken
    }

    /// Where an artefact lies, or would.
    #[must_use]
    pub fn folder(&self, service: &ServiceName, digest: &Digest) -> PathBuf {
        folder(&self.state, service, digest)
    }

    /// Removes all artefacts of a service but those named (I9). Answers which were removed.
    ///
    /// # Errors
    /// [`ArtefactError`].
    pub fn collect(&self, service: &ServiceName, keep: &BTreeSet<Digest>) -> Result<Vec<Digest>, ArtefactError> {
        collect::collect(&self.of(service), keep, || self.beside())
    }

    fn unpack(
        &self,
        service: &ServiceName,
        source: &source::Source,
        survey: &survey::Survey,
        beside: &Path,
    ) -> Result<Taken, ArtefactError> {
        unpack::unpack(source, survey, beside)?;
        let digest = digest::of_folder(beside)?;
        sync(beside, |folder| rustix::fs::syncfs(folder).map_err(io::Error::from))?;
        let of_service = self.of(service);
        make_folder(&of_service, PASSABLE)?;
        set_mode(&of_service, PASSABLE)?;
        let folder = self.folder(service, &digest);
        let taken =
            |already| Taken { digest, folder: folder.clone(), entries: survey.entries, bytes: survey.bytes, already };
        if folder.exists() {
            return Ok(taken(true));
        }
        fs::rename(beside, &folder).map_err(cannot_write(&folder))?;
        sync(&of_service, File::sync_all)?;
        sync(&self.state.join("releases"), File::sync_all)?;
        Ok(taken(false))
    }

    fn check_space(&self, survey: &survey::Survey) -> Result<(), ArtefactError> {
        let disk = rustix::fs::statvfs(&self.state).map_err(|error| cannot_write(&self.state)(error.into()))?;
        let available = disk.f_bavail.saturating_mul(disk.f_frsize);
        // Each entry may take up to a block more than its bytes.
        let blocks = survey.entries.saturating_mul(disk.f_frsize.max(512));
        let needed = survey.bytes.saturating_add(blocks).saturating_add(self.bounds.free_bytes_kept);
        if available < needed { Err(ArtefactError::NoSpace { needed, available }) } else { Ok(()) }
    }

    fn incoming(&self) -> PathBuf {
        self.state.join("incoming")
    }

    fn beside(&self) -> PathBuf {
        self.incoming().join(self.next.fetch_add(1, Ordering::Relaxed).to_string())
    }

    fn of(&self, service: &ServiceName) -> PathBuf {
        self.state.join("releases").join(service.as_str())
    }
}

/// Where an artefact lies, or would, under a state folder.
pub(crate) fn folder(state: &Path, service: &ServiceName, digest: &Digest) -> PathBuf {
    state.join("releases").join(service.as_str()).join(digest.to_string())
}

fn make_folder(path: &Path, mode: u32) -> Result<(), ArtefactError> {
    DirBuilder::new().recursive(true).mode(mode).create(path).map_err(cannot_write(path))
}

fn set_mode(path: &Path, mode: u32) -> Result<(), ArtefactError> {
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(cannot_write(path))
}

fn sync(folder: &Path, how: impl FnOnce(&File) -> io::Result<()>) -> Result<(), ArtefactError> {
    File::open(folder).and_then(|open| how(&open)).map_err(cannot_write(folder))
}

fn cannot_write(path: &Path) -> impl FnOnce(io::Error) -> ArtefactError {
    let path = path.to_owned();
    move |source| ArtefactError::Write { path, source }
}

fn cannot_read(path: &Path) -> impl FnOnce(io::Error) -> ArtefactError {
    let path = path.to_owned();
    move |source| ArtefactError::Read { path, source }
}
