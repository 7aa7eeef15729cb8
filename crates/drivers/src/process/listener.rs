//! Who listens on an instance's port. That a port answers says nothing: whoever was there first answers too.
//!
//! The kernel names the listening sockets by inode ([`super::sockets`]), `/proc/<pid>/fd` names the sockets that a process holds. A listener
//! is the instance's own when a process of its tree holds it.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::net::SocketAddr;

use gapless_probe::Foreign;

use crate::driver::Listener;
use crate::keeper::{self, InstanceFolder};

/// The longest command line that is told, in characters.
const COMMAND_CHARS_MAX: usize = 200;

/// The most addresses of one instance that are told.
const ADDRESSES_MAX: usize = 8;

/// Whose these sockets are.
pub(crate) fn owner(folder: &InstanceFolder, port: u16, sockets: &BTreeSet<u64>) -> Listener {
    if sockets.is_empty() {
        return Listener::Nobody;
    }
    let mut left = sockets.clone();
    let mut closed = false;
    for process in keeper::processes_of(folder) {
        match held(process) {
            Ok(held) => left.retain(|inode| !held.contains(inode)),
            Err(error) => closed |= error.kind() == io::ErrorKind::PermissionDenied,
        }
        if left.is_empty() {
            return Listener::Own;
        }
    }
    if closed { Listener::Unknown } else { Listener::Foreign(Foreign { port, process: holder(&left) }) }
}

/// The addresses of those sockets that a process of the instance's tree holds, sorted; bounded by [`ADDRESSES_MAX`]. None
/// where nothing is seen and not every process may be looked at.
pub(crate) fn own(folder: &InstanceFolder, sockets: &[(SocketAddr, u64)]) -> Option<Vec<SocketAddr>> {
    let (mut inodes, mut closed) = (BTreeSet::new(), false);
    for process in keeper::processes_of(folder) {
        match held(process) {
            Ok(held) => inodes.extend(held),
            Err(error) => closed |= error.kind() == io::ErrorKind::PermissionDenied,
        }
    }
    let own: BTreeSet<SocketAddr> =
        sockets.iter().filter(|(_, inode)| inodes.contains(inode)).map(|(address, _)| *address).collect();
    (!own.is_empty() || !closed).then(|| own.into_iter().take(ADDRESSES_MAX).collect())
}

/// The sockets that a process holds, by inode.
fn held(pid: i32) -> io::Result<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(format!("/proc/{pid}/fd"))? {
        // One that was closed this moment is held no more.
        let Ok(target) = entry.and_then(|entry| fs::read_link(entry.path())) else { continue };
        let inode =
            target.to_str().and_then(|text| text.strip_prefix("socket:[")?.strip_suffix(']')?.parse::<u64>().ok());
        found.extend(inode);
    }
    Ok(found)
}

/// Some process that holds one of these sockets.
fn holder(sockets: &BTreeSet<u64>) -> Option<(i32, String)> {
    let entries = fs::read_dir("/proc").ok()?.flatten();
    let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let pid = numbers.into_iter().find(|pid| held(*pid).is_ok_and(|held| !held.is_disjoint(sockets)))?;
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<String> = line
        .split(|byte| *byte == 0)
        .filter(|word| !word.is_empty())
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect();
    // Another program's words go to a log and to a terminal.
    let told = words.join(" ").chars().map(|c| if c.is_control() { '?' } else { c }).take(COMMAND_CHARS_MAX).collect();
    Some((pid, told))
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, TcpListener, TcpStream};

    use super::super::sockets::listening_at;
    use super::*;

    #[test]
    fn the_listening_sockets_of_a_port_are_found_and_its_connections_are_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let own = held(i32::try_from(std::process::id()).unwrap()).unwrap();
        let found = listening_at(port).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found.is_subset(&own));
        let all = super::super::sockets::all_listening().unwrap();
        let at = listener.local_addr().unwrap();
        assert!(all.iter().any(|(address, inode)| *address == at && found.contains(inode)), "{all:?}");
        drop(listener);
        assert!(listening_at(port).unwrap().is_empty());
    }
}
