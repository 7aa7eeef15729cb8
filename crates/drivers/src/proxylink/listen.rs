//! Listening sockets, opened by the controller and lent to proxies.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

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
