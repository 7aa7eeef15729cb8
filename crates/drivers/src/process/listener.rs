//! Who listens on an instance's port. That a port answers says nothing: whoever was there first answers too.
//!
//! `/proc/net/tcp` and `tcp6` name the listening sockets by inode, `/proc/<pid>/fd` names the sockets that a process holds. A listener is
//! the instance's own when a process of its tree holds it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};

use crate::keeper::{self, InstanceFolder};

/// The longest command line that is told, in characters.
const COMMAND_CHARS_MAX: usize = 200;
/// The state of a listening socket (`TCP_LISTEN`).
const LISTENING: &str = "0A";

/// Who listens on the port of an instance.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Listener {
    /// The instance itself, and nobody else.
    Own,
    /// Nobody.
    Nobody,
    /// Somebody else, at least on a share of its connections.
    Foreign(Foreign),
    /// Not to be told: the processes of the instance do not let themselves be looked into.
    Unknown,
}

/// A process that listens where an instance should.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Foreign {
    /// The port.
    pub port: u16,
    /// The process and its command line, where they can be told.
    pub process: Option<(i32, String)>,
}

impl fmt::Display for Foreign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.process {
            Some((pid, command)) => write!(f, "port {} is another program's: process {pid} ({command})", self.port),
            None => write!(f, "port {} is another program's, which this user may not look into", self.port),
        }
    }
}

/// The listening sockets that get the connections to a port at 127.0.0.1, by inode.
pub(crate) fn sockets(port: u16) -> io::Result<BTreeSet<u64>> {
    let mut all = Vec::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        match File::open(table) {
            Ok(file) => all.extend(listening(BufReader::new(file), port)?),
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    // The kernel prefers the socket that is bound to the address itself, then one bound to all of IPv4, then one to all addresses. Several on one rank share
    // the connections (SO_REUSEPORT).
    let best = all.iter().map(|(rank, _)| *rank).min();
    Ok(all.into_iter().filter(|(rank, _)| Some(*rank) == best).map(|(_, inode)| inode).collect())
}

/// The listening sockets of a table on a port, with the rank of their address.
fn listening(table: impl BufRead, port: u16) -> io::Result<Vec<(u8, u64)>> {
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let line = line?;
        let mut fields = line.split_ascii_whitespace();
        let (Some(local), Some(state)) = (fields.nth(1), fields.nth(1)) else { continue };
        if state != LISTENING {
            // They come first; behind them may be a hundred thousand connections.
            break;
        }
        let Some((address, at)) = local.split_once(':') else { continue };
        let inode = fields.nth(5).and_then(|inode| inode.parse().ok());
        if u16::from_str_radix(at, 16) == Ok(port)
            && let (Some(rank), Some(inode)) = (rank(address), inode)
        {
            found.push((rank, inode));
        }
    }
    Ok(found)
}

/// How well an address, as the table writes it (words of four bytes in the machine's order), fits 127.0.0.1; none where it does not.
fn rank(address: &str) -> Option<u8> {
    let word = |bytes: [u8; 4]| format!("{:08X}", u32::from_ne_bytes(bytes));
    let (zero, home) = (word([0; 4]), word([127, 0, 0, 1]));
    let mapped = format!("{zero}{zero}{}{home}", word([0, 0, 0xff, 0xff]));
    match address {
        address if address == home || address == mapped => Some(0),
        address if address == zero => Some(1),
        address if address.len() == 32 && address.bytes().all(|byte| byte == b'0') => Some(2),
        _ => None,
    }
}

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

    use super::*;

    #[test]
    fn the_listening_sockets_of_a_port_are_found_and_its_connections_are_not() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let _client = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).unwrap();
        let own = held(i32::try_from(std::process::id()).unwrap()).unwrap();
        let found = sockets(port).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found.is_subset(&own));
        drop(listener);
        assert!(sockets(port).unwrap().is_empty());
    }

    #[cfg(target_endian = "little")]
    #[test]
    fn a_socket_that_is_bound_to_the_address_itself_comes_before_one_that_is_bound_to_all() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
            \x20  0: 00000000:4E21 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 11 1 0 100 0 0 10 0\n\
            \x20  1: 0100007F:4E21 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 12 1 0 100 0 0 10 0\n\
            \x20  2: 0101007F:4E21 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 13 1 0 100 0 0 10 0\n\
            \x20  3: 0100007F:4E22 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 14 1 0 100 0 0 10 0\n\
            \x20  4: 0100007F:4E21 0100007F:B1B2 01 00000000:00000000 00:00000000 00000000     0        0 15 1 0 20 4 30 10 -1\n";
        assert_eq!(listening(table.as_bytes(), 20_001).unwrap(), [(1, 11), (0, 12)]);
        let six = "  sl\n 0: 00000000000000000000000000000000:4E21 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 21 1\n\
            \x20 1: 0000000000000000FFFF00000100007F:4E21 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000 00000000 0 0 22 1\n";
        assert_eq!(listening(six.as_bytes(), 20_001).unwrap(), [(2, 21), (0, 22)]);
    }
}
