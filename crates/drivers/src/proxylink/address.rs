//! Where the proxies of a state folder are reached, whether or not anybody remembers them.
//!
//! Each proxy has a socket of its own, so that two can serve side by side while one takes the other's place. Usually it is a file in the proxies' folder;
//! where the file system takes none (it is full, or read-only) it is a name in Linux's abstract namespace, which needs no disk at all.

use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use socket2::{Domain, SockAddr, Socket, Type};

use super::socket::PeerRefused;
use crate::keeper::{boot, process};

/// Sockets that are looked at: far more than proxies ever run at once.
const SOCKETS_MAX: usize = 256;
/// Names that are looked at: any user can make some, and those of proxies must not be lost among them.
const NAMES_MAX: usize = 16_384;

/// The control socket of one proxy.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ControlAddress {
    /// A file.
    File(PathBuf),
    /// A name in the abstract namespace.
    Abstract(String),
}

impl fmt::Display for ControlAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ControlAddress::File(path) => path.display().fmt(f),
            ControlAddress::Abstract(name) => write!(f, "@{name}"),
        }
    }
}

impl ControlAddress {
    /// Connects without waiting: a process that is frozen accepts nothing, and its queue may be full.
    ///
    /// # Errors
    /// Of the system; `ConnectionRefused` or `NotFound` when nobody listens there.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let address = match self {
            ControlAddress::File(path) => SockAddr::unix(path)?,
            ControlAddress::Abstract(name) => SockAddr::unix(format!("\0{name}"))?,
        };
        let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.connect(&address)?;
        Ok(std::os::fd::OwnedFd::from(socket).into())
    }

    /// The sockets in a folder, this one file elsewhere, and the abstract names with a prefix. That one is listed says nothing about whether anybody listens.
    #[must_use]
    pub fn listed(folder: &Path, elsewhere: &Path, prefix: &str) -> Vec<ControlAddress> {
        let is_socket = |path: &Path| path.extension().is_some_and(|end| end == "sock");
        let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let mut files: Vec<PathBuf> = entries.filter(|path| is_socket(path)).collect();
        if fs::symlink_metadata(elsewhere).is_ok() {
            files.push(elsewhere.to_owned());
        }
        files.sort();
        // Anybody's names are in it, of any bytes.
        let sockets = fs::read("/proc/net/unix").unwrap_or_default();
        let sockets = String::from_utf8_lossy(&sockets);
        let mut names: Vec<&str> = sockets
            .lines()
            .filter_map(|line| line.split_ascii_whitespace().nth(7)?.strip_prefix('@'))
            .filter(|name| name.starts_with(prefix))
            .collect();
        names.sort_unstable();
        names.dedup(); // accepted connections are listed under the name too
        let files = files.into_iter().map(ControlAddress::File);
        let names = names.into_iter().map(|name| ControlAddress::Abstract(name.to_owned()));
        files.take(SOCKETS_MAX).chain(names.take(NAMES_MAX)).collect()
    }

    /// The users that its proxy may be of: whoever made the socket's file, in a folder where only proxies can, and for a name without a file ourselves or
    /// whoever that folder is given to.
    #[must_use]
    pub fn users(&self, folder: &Path) -> Vec<u32> {
        let ours = rustix::process::geteuid().as_raw();
        let owner = |path: &Path| fs::symlink_metadata(path).map(|found| (found.uid(), found.file_type().is_socket()));
        match self {
            ControlAddress::File(path) => {
                owner(path).into_iter().filter(|(_, socket)| *socket).map(|(user, _)| user).collect()
            }
            ControlAddress::Abstract(_) => owner(folder).into_iter().map(|(user, _)| user).chain([ours]).collect(),
        }
    }

    /// Removes the file of a socket on which nobody listens any more, with the lock beside it.
    pub fn remove(&self) {
        if let ControlAddress::File(path) = self {
            let mut lock = path.clone().into_os_string();
            lock.push(".lock");
            for path in [path.clone(), PathBuf::from(lock)] {
                let _gone_or_read_only = fs::remove_file(path);
            }
        }
    }
}

/// The prefix of the abstract names of one state folder: the folder's own identity.
#[must_use]
pub fn abstract_prefix(state: &Path) -> String {
    match fs::metadata(state) {
        Ok(folder) => format!("gapless-proxy/{:x}-{:x}/", folder.dev(), folder.ino()),
        Err(_) => "gapless-proxy/unknown/".to_owned(),
    }
}

/// One process for good: a number is reused, a number with its start time and boot is not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProcessMark {
    /// Its number.
    pub pid: u32,
    /// Its start, in clock ticks since boot.
    pub started: u64,
    /// The boot.
    pub boot: String,
}

impl ProcessMark {
    /// The process with this number now; none when there is none.
    #[must_use]
    pub fn of(pid: u32) -> Option<ProcessMark> {
        let started = process(i32::try_from(pid).ok()?)?.started;
        Some(ProcessMark { pid, started, boot: boot() })
    }

    /// Whether it still runs. One that ended and was not asked for its status does not.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let now = i32::try_from(self.pid).ok().and_then(process);
        self.boot == boot() && now.is_some_and(|now| now.started == self.started && !now.zombie)
    }
}

/// Makes sure that the other end of a connection is a process of one of these users, and answers its number.
///
/// # Errors
/// [`PeerRefused`].
pub fn peer_of(stream: &UnixStream, users: &[u32]) -> Result<u32, PeerRefused> {
    let peer = rustix::net::sockopt::socket_peercred(stream).map_err(io::Error::from)?;
    let theirs = peer.uid.as_raw();
    match users.contains(&theirs) {
        true => Ok(u32::try_from(peer.pid.as_raw_nonzero().get()).unwrap_or(0)),
        false => Err(PeerRefused::User { theirs, ours: users.first().copied().unwrap_or(u32::MAX) }),
    }
}

/// The numbers of a user and its group in the system's database; none when there is no such user.
///
/// # Errors
/// Of the database.
pub fn user_named(name: &str) -> io::Result<Option<(u32, u32)>> {
    Ok(crate::sys::user(name)?.map(|user| (user.uid, user.gid)))
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};

    use super::*;

    #[test]
    fn sockets_of_both_kinds_are_found_and_a_dead_one_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let prefix = abstract_prefix(folder.path());
        let file = folder.path().join("a.sock");
        let listener = UnixListener::bind(&file).unwrap();
        let name = format!("{prefix}b.sock");
        let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let elsewhere = folder.path().join("old");
        let found = ControlAddress::listed(folder.path(), &elsewhere, &prefix);
        assert_eq!(found, [ControlAddress::File(file.clone()), ControlAddress::Abstract(name)]);
        for address in &found {
            let ours = rustix::process::geteuid().as_raw();
            assert_eq!(peer_of(&address.connect().unwrap(), &[ours]).unwrap(), std::process::id());
            assert!(peer_of(&address.connect().unwrap(), &[ours + 1]).is_err());
        }
        drop(listener);
        assert_eq!(found[0].connect().unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        found[0].remove();
        assert!(!file.exists());
    }

    #[test]
    fn a_process_is_known_by_its_number_start_and_boot() {
        let ours = ProcessMark::of(std::process::id()).unwrap();
        assert!(ours.is_alive());
        assert!(!ProcessMark { started: ours.started + 1, ..ours.clone() }.is_alive());
        assert!(!ProcessMark { boot: "another".into(), ..ours }.is_alive());
    }
}
