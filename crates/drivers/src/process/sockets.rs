//! Which sockets listen on a port, by inode.
//!
//! Asked of the kernel's socket diagnostics (`sock_diag(7)`), which look at listening sockets alone. Where they are refused (a sandbox),
//! `/proc/net/tcp` and `tcp6` say the same, at the price of a walk over the table of all connections: 2.5 ms on a quiet machine, and this is
//! asked at every probe of every instance.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{self, AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, sockopt};

/// Where the kernel tells all sockets of TCP, by family.
const TABLES: [&str; 2] = ["/proc/net/tcp", "/proc/net/tcp6"];
/// The state of a listening socket (`TCP_LISTEN`).
const LISTEN: u8 = 10;
/// `IPPROTO_TCP`.
const TCP: u8 = 6;
/// The request by family (`SOCK_DIAG_BY_FAMILY`), and the type of its answers.
const BY_FAMILY: u16 = 20;
/// A request for all that fit (`NLM_F_REQUEST | NLM_F_DUMP`).
const DUMP: u16 = 0x301;
/// The answer's end (`NLMSG_DONE`), and a refusal (`NLMSG_ERROR`).
const DONE: u16 = 3;
const REFUSED: u16 = 2;
/// The header of each message, in bytes.
const HEADER: usize = 16;
/// Where an answer (`struct inet_diag_msg`) has the address and the inode.
const ADDRESS_AT: usize = 8;
const INODE_AT: usize = 68;
/// The most datagrams read for one answer: far more than the sockets of one port fill.
const DATAGRAMS_MAX: usize = 64;
/// How long the kernel may take for one: it answers before the request returns.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// The listening sockets that get the connections to a port at 127.0.0.1, by inode.
pub(super) fn listening_at(port: u16) -> io::Result<BTreeSet<u64>> {
    let all = diagnosed(port).or_else(|_refused| tabled(port))?;
    // The kernel prefers the socket that is bound to the address itself, then one bound to all of IPv4, then one to all addresses. Several on
    // one rank share the connections (SO_REUSEPORT).
    let best = all.iter().map(|(rank, _)| *rank).min();
    Ok(all.into_iter().filter(|(rank, _)| Some(*rank) == best).map(|(_, inode)| inode).collect())
}

/// How well an address fits 127.0.0.1; none where it does not.
fn rank(address: IpAddr) -> Option<u8> {
    match address {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(0),
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Some(1),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Some(2),
        IpAddr::V6(six) if six.to_ipv4_mapped() == Some(Ipv4Addr::LOCALHOST) => Some(0),
        _ => None,
    }
}

/// The listening sockets on a port, with the rank of their address, as the socket diagnostics tell them.
fn diagnosed(port: u16) -> io::Result<Vec<(u8, u64)>> {
    let socket = net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(ANSWER_TIMEOUT))?;
    let mut found = Vec::new();
    for family in [AddressFamily::INET, AddressFamily::INET6] {
        let family = u8::try_from(family.as_raw()).map_err(io::Error::other)?;
        net::sendto(&socket, &request(family, port), SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        let mut datagram = [0; 16 * 1024];
        let mut more = true;
        for _ in 0..DATAGRAMS_MAX {
            let (length, _) = net::recv(&socket, &mut datagram[..], RecvFlags::empty())?;
            more = read(&datagram[..length], family, &mut found)?;
            if !more {
                break;
            }
        }
        if more {
            return Err(io::Error::other("an answer without an end"));
        }
    }
    Ok(found)
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`: all listening sockets of a family on a port.
fn request(family: u8, port: u16) -> [u8; 72] {
    let mut bytes = [0; 72];
    bytes[..4].copy_from_slice(&72_u32.to_ne_bytes());
    bytes[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
    bytes[6..8].copy_from_slice(&DUMP.to_ne_bytes());
    bytes[16] = family;
    bytes[17] = TCP;
    bytes[20..24].copy_from_slice(&(1_u32 << LISTEN).to_ne_bytes());
    bytes[24..26].copy_from_slice(&port.to_be_bytes());
    bytes
}

/// Reads the messages of a datagram; whether more are to come.
fn read(mut bytes: &[u8], family: u8, found: &mut Vec<(u8, u64)>) -> io::Result<bool> {
    let short = || io::Error::other("an answer that ends early");
    while !bytes.is_empty() {
        let length =
            usize::try_from(u32::from_ne_bytes(field(bytes, 0).ok_or_else(short)?)).map_err(io::Error::other)?;
        let message = bytes.get(..length).filter(|message| message.len() >= HEADER).ok_or_else(short)?;
        match u16::from_ne_bytes(field(message, 4).ok_or_else(short)?) {
            DONE => return Ok(false),
            REFUSED => return Err(io::Error::other("the kernel gives no socket diagnostics")),
            _ => {
                let body = &message[HEADER..];
                let inode = u32::from_ne_bytes(field(body, INODE_AT).ok_or_else(short)?);
                let address = if family == 2 {
                    IpAddr::from(field::<4>(body, ADDRESS_AT).ok_or_else(short)?)
                } else {
                    IpAddr::from(field::<16>(body, ADDRESS_AT).ok_or_else(short)?)
                };
                found.extend(rank(address).map(|rank| (rank, u64::from(inode))));
            }
        }
        // Messages begin at multiples of four.
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(true)
}

/// So many bytes at a place; none where the message is shorter.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// The same, as `/proc` tells them.
fn tabled(port: u16) -> io::Result<Vec<(u8, u64)>> {
    let mut all = Vec::new();
    for table in TABLES {
        match File::open(table) {
            Ok(file) => all.extend(listening(BufReader::new(file), port)?),
            // A kernel without IPv6.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// All listening sockets of the machine, with their addresses.
pub(super) fn all_listening() -> io::Result<Vec<(SocketAddr, u64)>> {
    let mut all = Vec::new();
    for table in TABLES {
        match File::open(table) {
            Ok(file) => all.extend(listeners(BufReader::new(file))?),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The listening sockets of a table on a port, with the rank of their address.
fn listening(table: impl BufRead, port: u16) -> io::Result<Vec<(u8, u64)>> {
    let of_port = listeners(table)?.into_iter().filter(|(address, _)| address.port() == port);
    Ok(of_port.filter_map(|(address, inode)| Some((rank(address.ip())?, inode))).collect())
}

/// The listening sockets of a table.
fn listeners(table: impl BufRead) -> io::Result<Vec<(SocketAddr, u64)>> {
    let mut found = Vec::new();
    for line in table.lines().skip(1) {
        let line = line?;
        let mut fields = line.split_ascii_whitespace();
        let (Some(local), Some(state)) = (fields.nth(1), fields.nth(1)) else { continue };
        if u8::from_str_radix(state, 16) != Ok(LISTEN) {
            // They come first; behind them may be a hundred thousand connections.
            break;
        }
        let Some((address, at)) = local.split_once(':') else { continue };
        let inode = fields.nth(5).and_then(|inode| inode.parse().ok());
        if let (Some(address), Ok(port), Some(inode)) = (written(address), u16::from_str_radix(at, 16), inode) {
            found.push((SocketAddr::new(address, port), inode));
        }
    }
    Ok(found)
}

/// An address as the table writes it: words of four bytes in the machine's order.
fn written(address: &str) -> Option<IpAddr> {
    let word = |at: usize| u32::from_str_radix(address.get(at..at + 8)?, 16).ok().map(u32::to_ne_bytes);
    match address.len() {
        8 => word(0).map(IpAddr::from),
        32 => {
            let mut bytes = [0; 16];
            for (at, four) in bytes.chunks_mut(4).enumerate() {
                four.copy_from_slice(&word(at * 8)?);
            }
            Some(IpAddr::from(bytes))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_diagnostics_and_the_table_tell_the_same() {
        for address in ["127.0.0.1:0", "0.0.0.0:0", "[::]:0", "127.0.0.2:0"] {
            let Ok(listener) = TcpListener::bind(address) else { continue };
            let port = listener.local_addr().unwrap().port();
            let table = tabled(port).unwrap();
            assert_eq!(diagnosed(port).unwrap_or_else(|_| table.clone()), table, "{address}");
            assert_eq!(table.len(), usize::from(address != "127.0.0.2:0"), "{address}");
        }
    }

    #[test]
    fn an_answer_that_is_cut_anywhere_is_an_error_and_no_panic() {
        let mut message = [0; 88];
        message[..4].copy_from_slice(&88_u32.to_ne_bytes());
        message[4..6].copy_from_slice(&BY_FAMILY.to_ne_bytes());
        message[HEADER + ADDRESS_AT..HEADER + ADDRESS_AT + 4].copy_from_slice(&[127, 0, 0, 1]);
        message[HEADER + INODE_AT] = 7;
        for length in 1..message.len() {
            assert!(read(&message[..length], 2, &mut Vec::new()).is_err(), "{length}");
        }
        let mut found = Vec::new();
        assert!(read(&message, 2, &mut found).unwrap());
        assert_eq!(found, [(0, u64::from(u32::from_ne_bytes([7, 0, 0, 0])))]);
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
