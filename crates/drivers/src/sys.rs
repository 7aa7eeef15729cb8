//! The only unsafe code of this crate: what the standard library and `rustix` do not offer safely.

#![expect(
    unsafe_code,
    reason = "signals as a file, users of the system, the moment between fork and exec; a proof per block"
)]

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io::{self, Read};
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// The most supplementary groups of a user that are kept; Linux allows 65 536, people have tens.
const GROUPS_MAX: usize = 1024;
/// Room for one entry of the user database; longer ones are an error of that database.
const USER_BYTES_MAX: usize = 16 << 10;

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
    let c_name = CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
    let mut entry = MaybeUninit::<libc::passwd>::uninit();
    let mut buffer = vec![0_u8; USER_BYTES_MAX];
    let mut found: *mut libc::passwd = std::ptr::null_mut();
    // SAFETY: all pointers are to live memory of the sizes named, for the length of the call.
    let code = unsafe {
        libc::getpwnam_r(c_name.as_ptr(), entry.as_mut_ptr(), buffer.as_mut_ptr().cast(), buffer.len(), &raw mut found)
    };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    if found.is_null() {
        return Ok(None);
    }
    // SAFETY: a result of 0 with `found` set says that `entry` was written, with strings inside `buffer`, which lives on.
    let (uid, gid, home) = unsafe {
        let entry = entry.assume_init_ref();
        (entry.pw_uid, entry.pw_gid, CStr::from_ptr(entry.pw_dir).to_string_lossy().into_owned())
    };
    let mut groups = vec![0 as libc::gid_t; GROUPS_MAX];
    let mut count = GROUPS_MAX as libc::c_int;
    // SAFETY: `groups` has room for `count` numbers; the call writes no more than that and sets `count`.
    let code = unsafe { libc::getgrouplist(c_name.as_ptr(), gid, groups.as_mut_ptr(), &raw mut count) };
    if code < 0 {
        return Err(io::Error::other(format!("more than {GROUPS_MAX} groups")));
    }
    groups.truncate(usize::try_from(count).unwrap_or(0));
    Ok(Some(User { name: name.to_owned(), uid, gid, groups, home }))
}

/// The signals a keeper hears, as a file: SIGCHLD, SIGTERM, SIGINT. They are blocked for this thread, which must be the only one.
#[derive(Debug)]
pub(crate) struct Signals {
    file: File,
}

impl Signals {
    /// Blocks the signals and opens the file.
    pub(crate) fn open() -> io::Result<Signals> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigemptyset` initialises the set before it is used, all pointers are to live memory; blocking signals changes no memory.
        let descriptor = unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGCHLD, libc::SIGTERM, libc::SIGINT] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            if libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut()) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
        };
        if descriptor < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was just made by `signalfd` and belongs to nobody else.
        let file = File::from(unsafe { OwnedFd::from_raw_fd(descriptor) });
        Ok(Signals { file })
    }

    /// The numbers of the signals that have come since the last call; several of one kind may be one.
    pub(crate) fn take(&mut self) -> Vec<i32> {
        const SIZE: usize = size_of::<libc::signalfd_siginfo>();
        let mut taken = Vec::new();
        let mut buffer = [0_u8; SIZE];
        while matches!(self.file.read(&mut buffer), Ok(SIZE)) {
            // `ssi_signo` is the first field, a u32 in the machine's order (signalfd(2)).
            let number = u32::from_ne_bytes([buffer[0], buffer[1], buffer[2], buffer[3]]);
            taken.extend(i32::try_from(number));
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
