//! What the standard library and `rustix` do not offer: by `nix` where that offers it, else the only unsafe code of this crate.

#![expect(
    unsafe_code,
    reason = "the end of a process that is no child, the moment between fork and exec; a proof per block"
)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

/// A user of the system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
    pub(crate) home: String,
}

/// Looks a user up in the system's database (files, directory services, whatever the C library is set up for).
pub(crate) fn user(name: &str) -> io::Result<Option<User>> {
    let Some(entry) = nix::unistd::User::from_name(name)? else { return Ok(None) };
    let c_name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let groups = nix::unistd::getgrouplist(&c_name, entry.gid)?.into_iter().map(nix::unistd::Gid::as_raw).collect();
    let home = entry.dir.to_string_lossy().into_owned();
    Ok(Some(User { name: name.to_owned(), uid: entry.uid.as_raw(), gid: entry.gid.as_raw(), groups, home }))
}

/// The home of this process's own user.
pub(crate) fn own_home() -> Option<String> {
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid()).ok()??;
    own.dir.into_os_string().into_string().ok()
}

/// The signals a keeper hears, as a file: SIGCHLD, SIGTERM, SIGINT. They are blocked for this thread, which must be the only one.
#[derive(Debug)]
pub(crate) struct Signals {
    file: SignalFd,
}

impl Signals {
    /// Blocks the signals and opens the file.
    pub(crate) fn open() -> io::Result<Signals> {
        let heard = SigSet::from_iter([Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT]);
        heard.thread_block()?;
        Ok(Signals { file: SignalFd::with_flags(&heard, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)? })
    }

    /// The numbers of the signals that have come since the last call; several of one kind may be one.
    pub(crate) fn take(&mut self) -> Vec<i32> {
        let mut taken = Vec::new();
        while let Ok(Some(signal)) = self.file.read_signal() {
            taken.extend(i32::try_from(signal.ssi_signo));
        }
        taken
    }
}

impl std::os::fd::AsFd for Signals {
    fn as_fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Gives what is free in this process's memory back to the system, where the C library can (glibc): it keeps small pieces for itself otherwise.
pub(crate) fn give_memory_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: touches nothing but memory that is free.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Lets a write beyond the size that files may have (`ulimit -f`) fail like any other, instead of ending this process.
pub(crate) fn ignore_file_size_signal() {
    // SAFETY: sets a disposition, no handler of ours; called before any other thread was made.
    unsafe { libc::signal(libc::SIGXFSZ, libc::SIG_IGN) };
}

/// The first form of `struct pidfd_info` (linux/pidfd.h, since Linux 6.13; the exit code since 6.15).
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    /// pid, tgid, ppid and the eight user and group ids.
    numbers: [u32; 11],
    exit_code: i32,
}

/// `PIDFD_GET_INFO`: `_IOWR(0xFF, 11, struct pidfd_info)`.
const PIDFD_GET_INFO: libc::c_ulong = (3 << 30) | ((size_of::<PidfdInfo>() as libc::c_ulong) << 16) | (0xFF << 8) | 11;
/// In `mask`: the exit code is asked for, and given.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// How a process ended that is not our child, as `wait` would say; none where the kernel does not tell, or not yet (until its parent has
/// waited for it).
pub(crate) fn status_of_ended(pidfd: &OwnedFd) -> Option<i32> {
    let mut info = PidfdInfo { mask: PIDFD_INFO_EXIT, ..PidfdInfo::default() };
    // SAFETY: the kernel reads and writes at most as many bytes as the request's number says, which is the size of `info`, plain numbers all.
    let code = unsafe { libc::ioctl(std::os::fd::AsRawFd::as_raw_fd(pidfd), PIDFD_GET_INFO, &raw mut info) };
    (code == 0 && info.mask & PIDFD_INFO_EXIT != 0).then_some(info.exit_code)
}

/// Adds what is done in the new process between fork and exec: the signals that [`Signals`] blocked are let through again (a blocked signal stays
/// blocked over exec, and the instance would never hear SIGTERM), then `prepare`.
///
/// # Safety of the caller's function
/// `prepare` runs in a copy of this process that has one thread, and in which another thread may have held any lock at the moment of
/// the fork. It must only make system calls: no allocation, no lock, no panic. The keeper has one thread, which makes this easy to hold.
pub(crate) fn between_fork_and_exec(
    command: &mut Command,
    mut prepare: impl FnMut() -> io::Result<()> + Send + Sync + 'static,
) {
    // SAFETY: this crate has one caller, `keeper::child`; its function makes plain system calls through `rustix` on descriptors and numbers
    // that were made before the fork, and builds its errors from numbers without allocating.
    // `signal`, `sigemptyset` and `sigprocmask` are async-signal-safe (signal-safety(7)) and write only to the set on this stack.
    unsafe {
        command.pre_exec(move || {
            // What is ignored stays ignored over exec too.
            libc::signal(libc::SIGXFSZ, libc::SIG_DFL);
            let mut none = MaybeUninit::<libc::sigset_t>::uninit();
            libc::sigemptyset(none.as_mut_ptr());
            if libc::sigprocmask(libc::SIG_SETMASK, none.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            prepare()
        });
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn root_is_known_and_nobody_else_is_invented() {
        let root = super::user("root").unwrap().unwrap();
        assert_eq!((root.uid, root.gid), (0, 0));
        assert!(root.groups.contains(&0));
        assert_eq!(super::user("no-such-user-here").unwrap(), None);
    }
}
