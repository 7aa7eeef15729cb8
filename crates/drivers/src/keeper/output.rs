//! What an instance writes to, so that its output outlives the keeper that reads it.
//!
//! Standard output and error are named pipes in the instance's folder. The instance holds each open for reading as well as for writing: so
//! there is a reader even while no keeper lives, and its next line neither fails nor kills it (SIGPIPE), it waits in the pipe for the
//! next keeper. With an anonymous pipe every instance whose keeper died would die of its next log line.
//!
//! The bound of this: while neither a keeper lives nor a controller that starts another, the pipe takes [`PIPE_BYTES`], and then the instance waits.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::process::{Gid, Uid};

/// How much a pipe is asked to hold: what Linux grants everyone (`/proc/sys/fs/pipe-max-size`). Its memory is taken only when it is used.
const PIPE_BYTES: usize = 1 << 20;

/// Both ends of one stream of an instance that is about to start.
#[derive(Debug)]
pub(crate) struct Ends {
    /// Never blocks.
    pub(crate) keeper: OwnedFd,
    pub(crate) instance: OwnedFd,
}

/// Makes the pipe of a stream, for the user that the instance becomes (it may open `/dev/stdout` again). Where no named pipe can be made, an
/// anonymous one: then the output ends with this keeper.
pub(crate) fn make(path: &Path, user: Option<(Uid, Gid)>) -> io::Result<Ends> {
    match named(path, user) {
        Ok(ends) => Ok(ends),
        Err(_) => {
            let (keeper, instance) = io::pipe()?;
            let keeper = OwnedFd::from(keeper);
            rustix::io::ioctl_fionbio(&keeper, true)?;
            Ok(Ends { keeper, instance: instance.into() })
        }
    }
}

fn named(path: &Path, user: Option<(Uid, Gid)>) -> io::Result<Ends> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    mkfifoat(CWD, path, Mode::RUSR | Mode::WUSR)?;
    let keeper = found(path)?;
    // For reading and writing this blocks in no case (fifo(7)).
    let instance = OwnedFd::from(
        OpenOptions::new().read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC).open(path)?,
    );
    if let Some((uid, gid)) = user {
        rustix::fs::fchown(&instance, Some(uid), Some(gid))?;
    }
    let _as_large_as_it_may = rustix::pipe::fcntl_setpipe_size(&instance, PIPE_BYTES);
    Ok(Ends { keeper, instance })
}

/// The reading end of a pipe that an earlier keeper made.
pub(crate) fn found(path: &Path) -> io::Result<OwnedFd> {
    let flags = libc::O_NONBLOCK | libc::O_NOFOLLOW | libc::O_CLOEXEC;
    let pipe: File = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if !std::os::unix::fs::FileTypeExt::is_fifo(&pipe.metadata()?.file_type()) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a named pipe"));
    }
    Ok(pipe.into())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn what_is_written_while_nobody_reads_waits_for_the_next_reader() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.pipe");
        let Ends { keeper, instance } = make(&path, None).unwrap();
        let mut instance = File::from(instance);
        instance.write_all(b"one\n").unwrap();
        let mut first = [0; 4];
        File::from(keeper).read_exact(&mut first).unwrap();
        instance.write_all(b"two\n").expect("no reader is left, and yet");
        let mut rest = String::new();
        let mut next = File::from(found(&path).unwrap());
        drop(instance);
        next.read_to_string(&mut rest).expect("the end comes when the instance is gone");
        assert_eq!((&first, rest.as_str()), (b"one\n", "two\n"));
    }

    #[test]
    fn something_else_in_the_place_of_a_pipe_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let (file, link) = (folder.path().join("file"), folder.path().join("link"));
        std::fs::write(&file, "secret").unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert!(found(&file).is_err() && found(&link).is_err());
    }
}
