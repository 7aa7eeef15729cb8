//! One entry of an artefact, and which are not taken.

use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::ArtefactError;

/// The longest path of an entry, in bytes: what Linux takes for a path, less room for the folder it is unpacked in.
pub const PATH_BYTES_MAX: usize = 3_072;
/// The longest part of a path, in bytes: what Linux file systems take.
const PART_BYTES_MAX: usize = 255;

/// Why an entry is not taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum EntryRefused {
    /// It begins at the root of the file system.
    #[error("has an absolute path")]
    Absolute,
    /// It has `..` in its path.
    #[error("has `..` in its path")]
    Climbs,
    /// Its path is longer than the file system takes.
    #[error("has a path that is too long")]
    TooLong,
    /// Its path has a null byte.
    #[error("has a null byte in its path")]
    NullByte,
    /// The archive has it twice, or has a file where another entry needs a folder.
    #[error("is there twice, or lies below a file or link")]
    Twice,
    /// It is a link to the outside.
    #[error("is a link that leads out of the artefact")]
    LinkLeaves,
    /// It is a virtual environment's link to an interpreter that this machine does not have.
    #[error("is a link to a Python interpreter that is not on this machine")]
    InterpreterMissing,
    /// It is a link in a circle, or one whose target cannot be looked up.
    #[error("is a link that leads nowhere but in a circle")]
    LinkCircle,
    /// It is a hard link to something that is no file before it in the archive.
    #[error("is a hard link to something that is not a file before it")]
    HardLinkWithoutFile,
    /// It has the set-user-id or set-group-id bit.
    #[error("has the set-uid or set-gid bit")]
    SetId,
    /// It is a device, a socket, a named pipe or something unheard of.
    #[error("is neither a file, a folder nor a link")]
    Special,
}

/// The path of an entry: relative, without `.` and `..`, not empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct EntryPath(PathBuf);

impl EntryPath {
    /// Checks a path; none for the artefact's own folder (`./`).
    pub(super) fn new(raw: &[u8]) -> Result<Option<EntryPath>, ArtefactError> {
        let refused = |why| Err(refuse(raw, why));
        if raw.len() > PATH_BYTES_MAX {
            return refused(EntryRefused::TooLong);
        }
        if raw.contains(&0) {
            return refused(EntryRefused::NullByte);
        }
        let mut path = PathBuf::new();
        for part in Path::new(OsStr::from_bytes(raw)).components() {
            match part {
                Component::Normal(part) if part.len() > PART_BYTES_MAX => return refused(EntryRefused::TooLong),
                Component::Normal(part) => path.push(part),
                Component::CurDir => {}
                Component::ParentDir => return refused(EntryRefused::Climbs),
                Component::RootDir | Component::Prefix(_) => return refused(EntryRefused::Absolute),
            }
        }
        Ok((!path.as_os_str().is_empty()).then_some(EntryPath(path)))
    }

    /// As a path below the artefact's folder.
    pub(super) fn as_path(&self) -> &Path {
        &self.0
    }

    /// As bytes, parts separated by `/`.
    pub(super) fn as_bytes(&self) -> &[u8] {
        self.0.as_os_str().as_bytes()
    }

    /// The folders above it, the nearest first.
    pub(super) fn parents(&self) -> impl Iterator<Item = EntryPath> {
        self.0.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty()).map(|path| EntryPath(path.to_owned()))
    }

    /// The error that refuses it.
    pub(super) fn refuse(&self, why: EntryRefused) -> ArtefactError {
        refuse(self.as_bytes(), why)
    }
}

/// The error that refuses an entry.
pub(super) fn refuse(raw: &[u8], why: EntryRefused) -> ArtefactError {
    ArtefactError::Entry { entry: String::from_utf8_lossy(raw).chars().take(300).collect(), why }
}

/// What an entry is.
pub(super) enum Node<'a> {
    /// A folder.
    Folder,
    /// A file.
    File {
        /// Who may do what with it.
        mode: FileMode,
        /// Its content.
        content: &'a mut dyn Read,
    },
    /// A symbolic link.
    Link {
        /// Where to, as it is written.
        target: PathBuf,
    },
    /// Another name for a file that came before.
    HardLink {
        /// Which.
        target: EntryPath,
    },
}

/// Who may read, write and execute a file: the nine bits of its mode, as the source has them. Made from the mode of every kind of source by the
/// same rule, so that no kind can bring what another refuses.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct FileMode(u32);

impl FileMode {
    /// Refuses the set-id bits; the sticky bit means nothing for a file and is dropped. The owner may always read: it is to be run.
    pub(super) fn new(path: &EntryPath, raw: u32) -> Result<FileMode, ArtefactError> {
        if raw & 0o6000 != 0 {
            return Err(path.refuse(EntryRefused::SetId));
        }
        Ok(FileMode(raw & 0o777 | 0o400))
    }

    /// The bits.
    pub(super) fn bits(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_could_leave_the_folder_is_none() {
        let why = |raw: &str| match EntryPath::new(raw.as_bytes()) {
            Err(ArtefactError::Entry { why, .. }) => why,
            other => panic!("{raw}: {other:?}"),
        };
        for raw in ["..", "../x", "a/../../x", "a/..", "./../x"] {
            assert_eq!(why(raw), EntryRefused::Climbs, "{raw}");
        }
        assert_eq!(why("/etc/passwd"), EntryRefused::Absolute);
        assert_eq!(why("a\0b"), EntryRefused::NullByte);
        assert_eq!(why(&"a/".repeat(2_000)), EntryRefused::TooLong);
        assert_eq!(why(&"a".repeat(256)), EntryRefused::TooLong);
    }

    #[test]
    fn one_path_has_one_form() {
        for raw in ["a/b", "./a/b", "a//b", "a/./b", "a/b/"] {
            assert_eq!(EntryPath::new(raw.as_bytes()).unwrap().unwrap().as_bytes(), b"a/b", "{raw}");
        }
        for raw in ["", ".", "./", "./."] {
            assert!(EntryPath::new(raw.as_bytes()).unwrap().is_none(), "{raw}");
        }
        let dots = EntryPath::new(b"...").unwrap().unwrap();
        assert_eq!(dots.as_bytes(), b"...", "three dots are a name like any other");
    }
}
