//! Listening sockets, opened by the controller and lent to proxies.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use rustix::io::Errno;
use rustix::net::{AddressFamily, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use socket2::{Domain, Protocol, Socket, Type};

use super::address::ProcessMark;

/// Connections that may wait to be accepted on each socket: enough for the second that a proxy needs to come back.
const BACKLOG: i32 = 4_096;

/// A listening socket with its address.
#[derive(Debug)]
pub struct Listening {
    /// Where it listens; the port is never 0.
    pub address: SocketAddr,
    /// The socket.
    pub socket: TcpListener,
}

/// A listening socket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenFailed {
    /// Somebody else listens there.
    #[error("address {address} is in use by another program")]
    InUse {
        /// Where.
        address: SocketAddr,
    },
    /// The system refused.
    #[error("cannot listen on {address}")]
    Refused {
        /// Where.
        address: SocketAddr,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// So many sockets that listen on one address, and share its connections (`SO_REUSEPORT`): one for each thread of a proxy. With
/// port 0 the kernel chooses one port for all.
///
/// # Errors
/// [`ListenFailed::InUse`] also when the other program would share the address.
pub fn open_listeners(address: SocketAddr, count: usize) -> Result<Vec<Listening>, ListenFailed> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => ListenFailed::InUse { address },
        _ => ListenFailed::Refused { address, source },
    };
    // A socket that does not share finds out whether another program has the address; ours alone would be let in beside it.
    drop(open(address, Sharing::No).map_err(failed)?);
    let mut bound = address;
    let mut listeners = Vec::with_capacity(count);
    for _ in 0..count {
        let socket: TcpListener = open(bound, Sharing::Yes).map_err(failed)?.into();
        bound = socket.local_addr().map_err(failed)?;
        listeners.push(Listening { address: bound, socket });
    }
    Ok(listeners)
}

/// Copies of the sockets on which a process listens for TCP connections, made without its help: one that is frozen gives none away, and its
/// address cannot be opened beside it. A copy shares the queue of connections, so whoever accepts from it leaves none behind.
///
/// # Errors
/// Of the system: most often that this process may not look into that one (pidfd_getfd(2): as for ptrace(2)). Of a process that is gone there is
/// nothing to copy.
pub fn copy_listeners(of: &ProcessMark) -> io::Result<Vec<Listening>> {
    let pid = i32::try_from(of.pid).ok().and_then(Pid::from_raw).ok_or(io::ErrorKind::InvalidInput)?;
    let process = match pidfd_open(pid, PidfdFlags::empty()) {
        Err(Errno::SRCH) => return Ok(Vec::new()),
        process => process?,
    };
    // Only now is it certain that the number does not come to mean another process.
    if !of.is_alive() {
        return Ok(Vec::new());
    }
    let mut listeners = Vec::new();
    for entry in fs::read_dir(format!("/proc/{}/fd", of.pid))? {
        let entry = entry?;
        let number = entry.file_name().to_str().and_then(|name| name.parse().ok());
        let is_socket = fs::read_link(entry.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
        let Some(number) = number.filter(|_| is_socket) else { continue };
        let socket = match pidfd_getfd(&process, number, PidfdGetfdFlags::empty()) {
            Err(Errno::BADF) => continue, // closed meanwhile
            socket => socket?,
        };
        let tcp = matches!(sockopt::socket_domain(&socket)?, AddressFamily::INET | AddressFamily::INET6);
        if tcp && sockopt::socket_acceptconn(&socket)? {
            let socket = TcpListener::from(socket);
            listeners.push(Listening { address: socket.local_addr()?, socket });
        }
    }
    Ok(listeners)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sharing {
    Yes,
    No,
}

fn open(address: SocketAddr, sharing: Sharing) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?; // connections of an earlier life that still linger are no reason to fail
    socket.set_reuse_port(sharing == Sharing::Yes)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, TcpStream};

    use super::*;

    #[test]
    fn a_copy_of_a_listening_socket_shares_its_connections() {
        let ours = open_listeners(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), 2).unwrap();
        let address = ours[0].address;
        let process = ProcessMark::of(std::process::id()).unwrap();
        let copies: Vec<Listening> =
            copy_listeners(&process).unwrap().into_iter().filter(|copy| copy.address == address).collect();
        assert_eq!(copies.len(), 2, "every listening socket of that address, and nothing else");
        drop(ours);
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"x").unwrap();
        copies.iter().for_each(|copy| copy.socket.set_nonblocking(true).unwrap());
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
        let (mut accepted, _) = loop {
            match copies.iter().find_map(|copy| copy.socket.accept().ok()) {
                Some(accepted) => break accepted,
                None => assert!(std::time::Instant::now() < deadline, "nobody can accept it"),
            }
        };
        accepted.set_nonblocking(false).unwrap();
        accepted.read_exact(&mut [0]).unwrap();
        let gone = ProcessMark { started: process.started + 1, ..process };
        assert_eq!(copy_listeners(&gone).unwrap().len(), 0, "of another process with its number");
    }
}
