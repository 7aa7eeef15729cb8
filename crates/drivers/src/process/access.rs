//! Who may read a release: the user of the controller, and the user its instances run as. Nobody else.
//!
//! A release lies in a folder that is closed to others, whatever the modes of its files. Where its instances run as another user, the
//! tree is given to that user's own group, which may read what its owner may; the owner stays the controller's user, so that an instance that
//! was broken into cannot change the release it will be started from again.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, chmodat, chownat};
use rustix::process::Gid;

use super::launch::failed;
use crate::driver::DriverError;
use crate::sys;

/// What a group needs of a folder.
const GROUP_READS: u32 = 0o050;

/// Lets the user that an instance runs as read its release. Nothing where that is the controller's own, or where only root could.
pub(super) fn grant(release: &Path, user: Option<&str>) -> Result<(), DriverError> {
    let Some(user) = user else { return Ok(()) };
    if !rustix::process::geteuid().is_root() {
        return Ok(());
    }
    // One that does not exist is told by the keeper, as the release's own fault.
    let Some(user) = sys::user(user).ok().flatten().filter(|user| user.uid != 0) else { return Ok(()) };
    // A folder that is not there is told by the keeper too.
    let Ok(top) = fs::symlink_metadata(release) else { return Ok(()) };
    if top.gid() == user.gid && top.mode() & 0o777 == 0o750 {
        return Ok(());
    }
    let group = Gid::from_raw(user.gid);
    let mut open = vec![release.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs::read_dir(&folder).map_err(failed("read", &folder))? {
            let path = entry.map_err(failed("read", &folder))?.path();
            let meta = fs::symlink_metadata(&path).map_err(failed("read", &path))?;
            if meta.is_dir() {
                give(&path, group, meta.mode() | GROUP_READS)?;
                open.push(path);
            } else if meta.is_file() {
                give(&path, group, meta.mode() | ((meta.mode() & 0o500) >> 3))?;
            }
        }
    }
    // The last, so that one that was interrupted is done again.
    give(release, group, 0o750)
}

/// The tree is the controller's own and closed to others, so that nobody can put a link in the place of what was looked at.
fn give(path: &Path, group: Gid, mode: u32) -> Result<(), DriverError> {
    let path: PathBuf = path.to_owned();
    let done = chownat(CWD, &path, None, Some(group), AtFlags::SYMLINK_NOFOLLOW)
        .and_then(|()| chmodat(CWD, &path, Mode::from_raw_mode(mode & 0o777), AtFlags::empty()));
    done.map_err(|error| failed("open to its user", &path)(io::Error::from(error)))
}
