//! Reading what an artefact comes as: a folder, or an archive known by its first bytes, not by its name.

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::entry::{EntryPath, EntryRefused, FileMode, Node, refuse};
use super::ignored::Ignored;
use super::names::Names;
use super::{ArtefactError, cannot_read, zip_directory};

/// The longest target of a link, in bytes.
const TARGET_BYTES_MAX: u64 = 4_096;
/// The last blocks of a tar archive are zero (POSIX.1-2017, pax: two of 512 bytes).
const TAR_BLOCK: usize = 512;

/// What an artefact comes as.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) path: PathBuf,
    form: Form,
    /// What of a folder is left out; read once, so that both readings leave out the same.
    ignored: Option<Ignored>,
    entries_max: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Form {
    Folder,
    Tar,
    TarGz,
    TarZst,
    Zip,
}

/// Called with each entry in turn.
pub(super) type Visit<'a> = dyn FnMut(&EntryPath, Node<'_>) -> Result<(), ArtefactError> + 'a;

/// Looks what it is; more than `entries_max` entries are refused before they are read where the source says how many it has.
pub(super) fn open(path: &Path, state: &Path, entries_max: u64) -> Result<Source, ArtefactError> {
    let meta = fs::metadata(path).map_err(cannot_read(path))?;
    let path = path.canonicalize().map_err(cannot_read(path))?;
    if meta.is_dir() {
        if state.canonicalize().is_ok_and(|state| state.starts_with(&path)) {
            return Err(ArtefactError::HoldsState { path });
        }
        let ignored = Some(Ignored::of(&path)?);
        return Ok(Source { path, form: Form::Folder, ignored, entries_max });
    }
    if !meta.is_file() {
        return Err(ArtefactError::Unknown { path });
    }
    let mut head = Vec::new();
    let file = File::open(&path).map_err(cannot_read(&path))?;
    file.take(TAR_BLOCK as u64).read_to_end(&mut head).map_err(cannot_read(&path))?;
    let form = match &head[..] {
        [0x1f, 0x8b, ..] => Form::TarGz,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Form::TarZst,
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Form::Zip,
        head if head.get(257..262) == Some(b"ustar") => Form::Tar,
        _ => return Err(ArtefactError::Unknown { path }),
    };
    Ok(Source { path, form, ignored: None, entries_max })
}

impl Source {
    /// Visits every entry, in the order of the source (of a folder: any). Returns after the archive was read to its very end, so that
    /// one that was cut short is known.
    pub(super) fn visit(&self, visit: &mut Visit<'_>) -> Result<(), ArtefactError> {
        let file = || File::open(&self.path).map(BufReader::new).map_err(cannot_read(&self.path));
        match self.form {
            Form::Folder => folder(&self.path, self.ignored.as_ref(), visit),
            Form::Tar => self.tar(file()?, visit),
            Form::TarGz => self.tar(flate2::bufread::MultiGzDecoder::new(file()?), visit),
            Form::TarZst => {
                let decoder = zstd::Decoder::with_buffer(file()?).map_err(|error| self.damaged(&error))?;
                self.tar(decoder, visit)
            }
            Form::Zip => self.zip(visit),
        }
    }

    /// An error of an archive's content.
    pub(super) fn damaged(&self, reason: &dyn std::fmt::Display) -> ArtefactError {
        ArtefactError::Damaged { path: self.path.clone(), reason: reason.to_string() }
    }

    /// An error while a file's content was read from here.
    pub(super) fn unreadable(&self, entry: &EntryPath, source: io::Error) -> ArtefactError {
        match self.form {
            Form::Folder => ArtefactError::Read { path: self.path.join(entry.as_path()), source },
            Form::Tar | Form::TarGz | Form::TarZst | Form::Zip => self.damaged(&source),
        }
    }

    fn tar(&self, reader: impl Read, visit: &mut Visit<'_>) -> Result<(), ArtefactError> {
        let mut archive = tar::Archive::new(Tail::new(reader));
        for entry in archive.entries().map_err(|error| self.damaged(&error))? {
            self.tar_entry(entry.map_err(|error| self.damaged(&error))?, visit)?;
        }
        let mut tail = archive.into_inner();
        io::copy(&mut tail, &mut io::sink()).map_err(|error| self.damaged(&error))?;
        if tail.ends_in_zeros() { Ok(()) } else { Err(self.damaged(&"its end is missing")) }
    }

    fn tar_entry<R: Read>(&self, mut entry: tar::Entry<'_, R>, visit: &mut Visit<'_>) -> Result<(), ArtefactError> {
        use tar::EntryType;
        let kind = entry.header().entry_type();
        if matches!(kind, EntryType::XGlobalHeader) {
            return Ok(());
        }
        let raw = entry.path_bytes().into_owned();
        let Some(path) = EntryPath::new(&raw)? else { return Ok(()) };
        let mode = entry.header().mode().map_err(|error| self.damaged(&error))?;
        let target = entry.link_name_bytes().map(std::borrow::Cow::into_owned);
        match kind {
            EntryType::Directory => visit(&path, Node::Folder),
            EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => {
                let mode = FileMode::new(&path, mode)?;
                visit(&path, Node::File { mode, content: &mut entry })
            }
            EntryType::Symlink => {
                let target = target.ok_or_else(|| self.damaged(&"a link without a target"))?;
                visit(&path, Node::Link { target: PathBuf::from(std::ffi::OsStr::from_bytes(&target)) })
            }
            EntryType::Link => {
                let target = target.ok_or_else(|| self.damaged(&"a link without a target"))?;
                // A hard link that names a path outside is a link that leaves.
                let target = EntryPath::new(&target).map_err(|_| path.refuse(EntryRefused::LinkLeaves))?;
                let target = target.ok_or_else(|| path.refuse(EntryRefused::HardLinkWithoutFile))?;
                visit(&path, Node::HardLink { target })
            }
            _ => Err(refuse(&raw, EntryRefused::Special)),
        }
    }

    fn zip(&self, visit: &mut Visit<'_>) -> Result<(), ArtefactError> {
        let mut raw = File::open(&self.path).map(BufReader::new).map_err(cannot_read(&self.path))?;
        // Before the library takes them all into memory.
        match zip_directory::entries(&mut raw).map_err(cannot_read(&self.path))? {
            Some(count) if count > self.entries_max => {
                return Err(ArtefactError::TooMany { entries_max: self.entries_max });
            }
            Some(_) => {}
            None => return Err(self.damaged(&"it has no directory")),
        }
        let reader = File::open(&self.path).map(BufReader::new).map_err(cannot_read(&self.path))?;
        let mut archive = zip::ZipArchive::new(reader).map_err(|error| self.damaged(&error))?;
        self.zip_modes(&mut raw, archive.central_directory_start())?;
        if archive.has_duplicate_names() {
            return Err(ArtefactError::Entry { entry: "some entry".to_owned(), why: EntryRefused::Twice });
        }
        for index in 0..archive.len() {
            let mut entry = archive.by_index(index).map_err(|error| self.damaged(&error))?;
            let Some(path) = EntryPath::new(entry.name_raw())? else { continue };
            // Without a Unix mode (made elsewhere) it is a plain file or folder.
            let mode = entry.unix_mode().unwrap_or(0o644);
            let kind = mode & libc::S_IFMT;
            if entry.is_dir() {
                visit(&path, Node::Folder)?;
            } else if kind == libc::S_IFLNK {
                let mut target = Vec::new();
                let read = (&mut entry).take(TARGET_BYTES_MAX + 1).read_to_end(&mut target);
                read.map_err(|error| self.damaged(&error))?;
                if target.len() as u64 > TARGET_BYTES_MAX {
                    return Err(path.refuse(EntryRefused::TooLong));
                }
                visit(&path, Node::Link { target: PathBuf::from(std::ffi::OsStr::from_bytes(&target)) })?;
            } else if kind == 0 || kind == libc::S_IFREG {
                let mode = FileMode::new(&path, mode)?;
                visit(&path, Node::File { mode, content: &mut entry })?;
            } else {
                return Err(path.refuse(EntryRefused::Special));
            }
        }
        Ok(())
    }

    /// The library clears the set-id bits and keeps one of two entries of one name: both are looked for in the directory itself.
    fn zip_modes(&self, raw: &mut BufReader<File>, start: u64) -> Result<(), ArtefactError> {
        let mut names = Names::default();
        zip_directory::modes(raw, start, |name, mode| {
            let Some(path) = EntryPath::new(name).map_err(Looked::Refused)? else { return Ok(()) };
            let is_file = matches!(mode & libc::S_IFMT, 0 | libc::S_IFREG) && !name.ends_with(b"/");
            if is_file {
                FileMode::new(&path, mode).map_err(Looked::Refused)?;
            }
            if names.add(&path, 0).is_some() && is_file {
                return Err(Looked::Refused(path.refuse(EntryRefused::Twice)));
            }
            Ok(())
        })
        .map_err(|looked| match looked {
            Looked::Refused(refused) => refused,
            Looked::Unreadable(error) => self.damaged(&error),
        })
    }
}

/// Why the directory of a zip archive was not read to its end.
enum Looked {
    Refused(ArtefactError),
    Unreadable(io::Error),
}

impl From<io::Error> for Looked {
    fn from(error: io::Error) -> Looked {
        Looked::Unreadable(error)
    }
}

/// Visits what is in a folder and not left out, links not followed.
pub(super) fn folder(root: &Path, ignored: Option<&Ignored>, visit: &mut Visit<'_>) -> Result<(), ArtefactError> {
    let mut open = vec![PathBuf::new()];
    while let Some(relative) = open.pop() {
        let folder = root.join(&relative);
        for entry in fs::read_dir(&folder).map_err(cannot_read(&folder))? {
            let entry = entry.map_err(cannot_read(&folder))?;
            let below = relative.join(entry.file_name());
            let Some(path) = EntryPath::new(below.as_os_str().as_bytes())? else { continue };
            let full = entry.path();
            let meta = fs::symlink_metadata(&full).map_err(cannot_read(&full))?;
            let kind = meta.file_type();
            let is_left_out = |ignored: &Ignored| match kind.is_dir() {
                true => ignored.holds_folder(&below),
                false => ignored.holds_file(&below),
            };
            if ignored.is_some_and(is_left_out) {
                continue;
            }
            if kind.is_dir() {
                visit(&path, Node::Folder)?;
                open.push(below);
            } else if kind.is_symlink() {
                let target = fs::read_link(&full).map_err(cannot_read(&full))?;
                visit(&path, Node::Link { target })?;
            } else if kind.is_file() {
                let mode = FileMode::new(&path, meta.mode())?;
                let mut content = File::open(&full).map_err(cannot_read(&full))?;
                visit(&path, Node::File { mode, content: &mut content })?;
            } else {
                debug_assert!(kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device());
                return Err(path.refuse(EntryRefused::Special));
            }
        }
    }
    Ok(())
}

/// A reader that remembers the last block it gave.
struct Tail<R> {
    reader: R,
    total: u64,
    /// How many zero bytes in a row came last.
    zeros: u64,
}

impl<R> Tail<R> {
    fn new(reader: R) -> Tail<R> {
        Tail { reader, total: 0, zeros: 0 }
    }

    fn ends_in_zeros(&self) -> bool {
        self.total > 0 && self.zeros >= TAR_BLOCK as u64
    }
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.reader.read(buffer)?;
        let zeros = buffer[..length].iter().rev().take_while(|byte| **byte == 0).count();
        self.total += length as u64;
        self.zeros = if zeros == length { self.zeros + zeros as u64 } else { zeros as u64 };
        Ok(length)
    }
}
