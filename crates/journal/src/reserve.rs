//! Room that is kept for when there is none.
//!
//! On a full disk a journal that cannot grow is worth less than nothing: an instance that died stays "ready", and a controller that
//! starts cannot even say so. So [`RESERVE_BYTES`] lie beside the journal, in pieces: what is given up is there for whoever writes first
//! (a log, most likely), so no more of it is given up than is needed at a time, and the last piece only for a start. They are made again
//! when the disk has room. Orders get none ([`Store::give_up_reserve`](crate::Store::give_up_reserve) is called for facts alone).

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, Mode, OFlags};

/// The room that is kept: some hundred facts and the checkpoint after them, and the files of the instances that are started anew.
pub const RESERVE_BYTES: u64 = 4 << 20;

/// In how many pieces.
const PIECES: u64 = 4;

/// One piece.
const PIECE_BYTES: u64 = RESERVE_BYTES / PIECES;

/// What the room is needed for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Need {
    /// A fact of a controller that runs: the last piece stays.
    Fact,
    /// The start of a controller.
    Start,
}

/// The files of the reserve in a journal's folder.
#[derive(Debug)]
pub(crate) struct Reserve {
    folder: PathBuf,
}

impl Reserve {
    /// In this folder.
    pub(crate) fn of(folder: &Path) -> Reserve {
        Reserve { folder: folder.to_owned() }
    }

    /// Gives a piece up; whether there was one for this need.
    pub(crate) fn give_up(&self, need: Need) -> bool {
        let kept = if need == Need::Fact { 1 } else { 0 };
        let given_up = (kept + 1..=PIECES).rev().find(|piece| give_back(&self.piece(*piece)).is_ok());
        if let Some(piece) = given_up {
            tracing::warn!(piece, "the disk is full: room kept for the journal is given up");
        }
        given_up.is_some()
    }

    /// Whether all of it is there; made where it is not and the disk has room for it twice, so that it is not made of the last room.
    pub(crate) fn keep(&self) -> bool {
        let lacking: Vec<PathBuf> =
            (1..=PIECES).map(|piece| self.piece(piece)).filter(|path| !is_whole(path)).collect();
        if lacking.is_empty() {
            return true;
        }
        let free = rustix::fs::statvfs(&self.folder).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free.is_ok_and(|free| free < 2 * RESERVE_BYTES) {
            return false;
        }
        let made = lacking.iter().try_for_each(|path| {
            make(path).inspect_err(|_| {
                let _not_made = give_back(path);
            })
        });
        if let Err(error) = &made {
            tracing::debug!(%error, "no room is kept for the journal");
        }
        made.is_ok()
    }

    fn piece(&self, number: u64) -> PathBuf {
        self.folder.join(format!("journal.reserve-{number}"))
    }
}

fn is_whole(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file() && meta.len() == PIECE_BYTES)
}

/// Removes a file and gives its room back at once. A file that anybody has open (a backup that copies the folder, a process that was forked while
/// the file was being made) keeps its room when only its name goes, so it is emptied first.
fn give_back(path: &Path) -> io::Result<()> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    rustix::fs::ftruncate(rustix::fs::open(path, flags, Mode::empty())?, 0)?;
    fs::remove_file(path)
}

fn make(path: &Path) -> io::Result<()> {
    // Whatever has the name, a link too: that is removed and not followed.
    let _leftover = fs::remove_file(path);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, PIECE_BYTES) {
        Ok(()) => {}
        // A file system that cannot allocate ahead gets the bytes themselves.
        Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => zeros(&mut file)?,
        Err(error) => return Err(error.into()),
    }
    file.sync_all()
}

fn zeros(file: &mut File) -> io::Result<()> {
    let block = vec![0; 1 << 16];
    for _ in 0..PIECE_BYTES / block.len() as u64 {
        file.write_all(&block)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn room_that_is_given_up_is_there_at_once_though_another_process_has_the_file_open() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::of(folder.path());
        assert!(reserve.keep());
        let read_by_another = File::open(reserve.piece(PIECES)).unwrap();
        assert!(read_by_another.metadata().unwrap().blocks() > 0);
        assert!(reserve.give_up(Need::Fact));
        assert_eq!(read_by_another.metadata().unwrap().blocks(), 0);
        assert!(!reserve.piece(PIECES).exists());
        assert!(reserve.keep(), "and it is made again");
    }
}
