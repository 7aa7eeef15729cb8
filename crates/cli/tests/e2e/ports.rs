//! Ports that are a test's own as long as it lives.
//!
//! A port that the kernel gave out and took back may be an outgoing connection's a moment later, and a range chosen by chance is
//! another test's on a machine where several suites run at once. So ranges are locked, over all processes of the machine, and lie below
//! those that the kernel gives to outgoing connections (32768 on, `ip_local_port_range`).

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;

use rustix::fs::{FlockOperation, flock};

/// A range of ports that no other test on this machine uses.
pub struct Ports {
    /// The first of [`Ports::COUNT`].
    pub first: u16,
    _lock: File,
}

impl Ports {
    /// How many a test gets: one for the proxy, the rest for instances.
    pub const COUNT: u16 = 64;

    /// Where the ranges begin.
    const FROM: u16 = 10_000;
    /// How many ranges there are; the last ends below 32768.
    const RANGES: u16 = 340;

    /// The next range that nobody has. Looking begins at another place in each process, so that not all try the same first.
    pub fn take() -> Self {
        let folder = std::env::temp_dir().join("gapless-test-ports");
        fs::create_dir_all(&folder).expect("a folder for the locks of ports");
        let _another_users = fs::set_permissions(&folder, fs::Permissions::from_mode(0o1777));
        let begin = (std::process::id() % u32::from(Self::RANGES)) as u16;
        let ranges = (0..Self::RANGES).map(|turn| (begin + turn) % Self::RANGES);
        let mut free = ranges.filter_map(|range| {
            let path = folder.join(range.to_string());
            // Another user's lock can be read, and that is enough to ask for it.
            let made = File::options().create(true).truncate(false).write(true).open(&path);
            let lock = made.or_else(|_| File::open(&path)).ok()?;
            flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
            let first = Self::FROM + range * Self::COUNT;
            // What serves here without a lock is no test of ours.
            TcpListener::bind((Ipv4Addr::LOCALHOST, first)).ok()?;
            Some(Self { first, _lock: lock })
        });
        free.next().expect("a range of ports that is free")
    }
}
