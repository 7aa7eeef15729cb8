//! The second reading: into a new folder, links last, so that nothing is ever written through one.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, openat2};

use super::entry::{EntryPath, EntryRefused, Node};
use super::source::Source;
use super::survey::Survey;
use super::{ArtefactError, cannot_write, make_folder, set_mode, venv};

/// Unpacks into a folder that is not there yet.
pub(super) fn unpack(source: &Source, survey: &Survey, into: &Path) -> Result<(), ArtefactError> {
    // Closed to others, whatever the modes of what is in it: `process::access` opens it to the user it runs as.
    make_folder(into, 0o700)?;
    set_mode(into, 0o700)?;
    let mut links: Vec<(EntryPath, PathBuf)> = Vec::new();
    let (mut bytes, mut entries) = (0_u64, 0_u64);
    source.visit(&mut |path, node| {
        entries += 1;
        // It was counted a moment ago; more than that is another artefact than the one that was judged.
        let left = survey.bytes.saturating_sub(bytes).saturating_add(1);
        let full = into.join(path.as_path());
        match node {
            Node::Folder => folder(into, path.as_path())?,
            Node::File { mode, content } => {
                folder_of(into, path)?;
                let mut file = create(&full, mode.bits())?;
                bytes += copy(source, path, &mut content.take(left), &mut file, &full)?;
            }
            Node::HardLink { target } => {
                folder_of(into, path)?;
                let from = into.join(target.as_path());
                let mut content = File::open(&from).map_err(cannot_write(&from))?;
                let mode = content.metadata().map_err(cannot_write(&from))?.permissions().mode() & 0o777;
                let mut file = create(&full, mode)?;
                bytes += io::copy(&mut content, &mut file).map_err(cannot_write(&full))?;
            }
            Node::Link { target } => links.push((path.clone(), target)),
        }
        if bytes > survey.bytes || entries > survey.entries.saturating_mul(2).saturating_add(16) {
            return Err(ArtefactError::Changed { path: source.path.clone() });
        }
        Ok(())
    })?;
    if bytes != survey.bytes {
        return Err(ArtefactError::Changed { path: source.path.clone() });
    }
    for (path, target) in &links {
        folder_of(into, path)?;
        let full = into.join(path.as_path());
        std::os::unix::fs::symlink(target, &full).map_err(cannot_write(&full))?;
    }
    // Only now, with all links in place, does each lead where it will: a link over another link may leave where its text does not.
    let root = File::open(into).map_err(cannot_write(into))?;
    links.iter().try_for_each(|(path, target)| {
        let is_interpreter = venv::mark_of(path, target).is_some_and(|mark| survey.holds_file(&mark));
        if is_interpreter { Ok(()) } else { stays_inside(&root, path) }
    })
}

/// Asks the kernel to follow a link without leaving the folder. A link to something that is not there is taken: it leads nowhere.
fn stays_inside(root: &File, path: &EntryPath) -> Result<(), ArtefactError> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    match openat2(root, path.as_path(), OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve) {
        Ok(_) | Err(rustix::io::Errno::NOENT) => Ok(()),
        Err(rustix::io::Errno::XDEV) => Err(path.refuse(EntryRefused::LinkLeaves)),
        // A circle, a file taken for a folder, or a kernel that cannot tell: not taken.
        Err(_) => Err(path.refuse(EntryRefused::LinkCircle)),
    }
}

fn copy(
    source: &Source,
    path: &EntryPath,
    content: &mut dyn Read,
    file: &mut File,
    full: &Path,
) -> Result<u64, ArtefactError> {
    // Reading and writing fail with the same type; which of the two it was decides whose fault it is.
    let mut buffer = vec![0; 128 << 10];
    let mut total = 0;
    loop {
        let length = match content.read(&mut buffer) {
            Ok(0) => return Ok(total),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(source.unreadable(path, error)),
        };
        io::Write::write_all(file, &buffer[..length]).map_err(cannot_write(full))?;
        total += length as u64;
    }
}

fn create(full: &Path, mode: u32) -> Result<File, ArtefactError> {
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(full).map_err(cannot_write(full))?;
    // Whatever the mask of this process: modes are part of the content.
    file.set_permissions(Permissions::from_mode(mode)).map_err(cannot_write(full))?;
    Ok(file)
}

fn folder_of(into: &Path, path: &EntryPath) -> Result<(), ArtefactError> {
    path.as_path().parent().map_or(Ok(()), |parent| folder(into, parent))
}

/// Makes a folder and those above it, below `into`.
fn folder(into: &Path, relative: &Path) -> Result<(), ArtefactError> {
    let mut path = into.to_owned();
    for part in relative {
        path.push(part);
        match fs::create_dir(&path) {
            Ok(()) => set_mode(&path, 0o755)?,
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(cannot_write(&path)(error)),
        }
    }
    Ok(())
}
