//! Room that is kept for when there is none.
//!
//! On a full disk a journal that cannot grow is worth less than nothing: an instance that died stays "ready", and a controller that
//! starts cannot even say so. So a file of [`RESERVE_BYTES`] lies beside the journal and is given up when the facts have to be
//! written; it is made again when the disk has room. Orders do not get it ([`Store::give_up_reserve`](crate::Store::give_up_reserve) is
//! called for facts alone).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;

/// The room that is kept: some hundred facts and the checkpoint after them, and the files of the instances that are started anew.
pub const RESERVE_BYTES: u64 = 4 << 20;

/// The file of the reserve in a journal's folder.
#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    /// In this folder.
    pub(crate) fn of(folder: &Path) -> Reserve {
        Reserve { path: folder.join("journal.reserve") }
    }

    /// Gives it up; whether there was one.
    pub(crate) fn give_up(&self) -> bool {
        let given_up = fs::remove_file(&self.path).is_ok();
        if given_up {
            tracing::warn!(bytes = RESERVE_BYTES, "the disk is full: the room kept for the journal is given up");
        }
        given_up
    }

    /// Whether it is there; made where it is not and the disk has room for it twice, so that it is not made of the last room.
    pub(crate) fn keep(&self) -> bool {
        if fs::symlink_metadata(&self.path).is_ok_and(|meta| meta.is_file() && meta.len() == RESERVE_BYTES) {
            return true;
        }
        let Some(folder) = self.path.parent() else { return false };
        let free = rustix::fs::statvfs(folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free.is_ok_and(|free| free < 2 * RESERVE_BYTES) {
            return false;
        }
        let made = self.make();
        if let Err(error) = &made {
            tracing::debug!(%error, "no room is kept for the journal");
            let _not_made = fs::remove_file(&self.path);
        }
        made.is_ok()
    }

    fn make(&self) -> io::Result<()> {
        let _leftover = fs::remove_file(&self.path);
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path)?;
        match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, RESERVE_BYTES) {
            Ok(()) => {}
            // A file system that cannot allocate ahead gets the bytes themselves.
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => zeros(&mut file)?,
            Err(error) => return Err(error.into()),
        }
        file.sync_all()
    }
}

fn zeros(file: &mut File) -> io::Result<()> {
    let block = vec![0; 1 << 16];
    for _ in 0..RESERVE_BYTES / block.len() as u64 {
        file.write_all(&block)?;
    }
    Ok(())
}
