//! The system calls of the data side, with their outcomes sorted by what the caller does next.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, Shutdown, SocketFlags, SocketType, acceptfrom_with, connect, ipproto, recv,
    send, shutdown, socket_with, sockopt,
};

/// After so much silence the peer's system is asked whether it is still there.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);

/// So often again when it does not answer, and so many times.
const KEEP_ALIVE_EVERY: Duration = Duration::from_secs(20);
const KEEP_ALIVE_TIMES: u32 = 3;

/// Makes a listening socket non-blocking and gives it what connections inherit from it: no delay of small writes, and
/// probes, so that a peer that vanished without a word does not hold a tunnel for ever.
pub(crate) fn prepare_listener(socket: &OwnedFd) -> io::Result<()> {
    rustix::io::ioctl_fionbio(socket, true)?;
    sockopt::set_tcp_nodelay(socket, true)?;
    probe_silence(socket)
}

/// Asks the system to probe a connection that is silent.
pub(crate) fn probe_silence(socket: &OwnedFd) -> io::Result<()> {
    sockopt::set_socket_keepalive(socket, true)?;
    sockopt::set_tcp_keepidle(socket, KEEP_ALIVE_AFTER)?;
    sockopt::set_tcp_keepintvl(socket, KEEP_ALIVE_EVERY)?;
    sockopt::set_tcp_keepcnt(socket, KEEP_ALIVE_TIMES)?;
    Ok(())
}

/// What came of trying to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ReadOutcome {
    /// So many bytes.
    Bytes(usize),
    /// Nothing now.
    Blocked,
    /// The peer sends no more.
    Ended,
    /// The connection is broken.
    Broken(Errno),
}

/// What came of trying to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WriteOutcome {
    /// So many bytes, perhaps fewer than offered.
    Bytes(usize),
    /// Nothing now.
    Blocked,
    /// The connection is broken; nothing was written by this call.
    Broken(Errno),
}

/// Reads once.
#[inline]
pub(crate) fn read(socket: &OwnedFd, buffer: &mut [u8]) -> ReadOutcome {
    loop {
        return match recv(socket, &mut *buffer, RecvFlags::empty()) {
            Ok((0, _)) => ReadOutcome::Ended,
            Ok((count, _)) => ReadOutcome::Bytes(count),
            Err(Errno::AGAIN) => ReadOutcome::Blocked,
            Err(Errno::INTR) => continue,
            Err(errno) => ReadOutcome::Broken(errno),
        };
    }
}

/// Writes once.
#[inline]
pub(crate) fn write(socket: &OwnedFd, bytes: &[u8]) -> WriteOutcome {
    loop {
        return match send(socket, bytes, SendFlags::NOSIGNAL) {
            Ok(count) => WriteOutcome::Bytes(count),
            Err(Errno::AGAIN | Errno::NOBUFS) => WriteOutcome::Blocked,
            Err(Errno::INTR) => continue,
            Err(errno) => WriteOutcome::Broken(errno),
        };
    }
}

/// Has what was read acknowledged now rather than with the next write.
#[inline]
pub(crate) fn acknowledge(socket: &OwnedFd) {
    // Fails only for what is no TCP socket, and then nothing is delayed.
    let _ = sockopt::set_tcp_quickack(socket, true);
}

/// What stands on a socket that nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Silence {
    /// Nothing: it is open, and every byte that came was read.
    Quiet,
    /// Bytes.
    Bytes,
    /// Its end, or it is broken.
    Over,
}

/// Looks what stands on a socket, and leaves it there.
#[inline]
pub(crate) fn listen(socket: &OwnedFd) -> Silence {
    let mut byte = [0u8; 1];
    loop {
        return match recv(socket, &mut byte, RecvFlags::PEEK | RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN) => Silence::Quiet,
            Err(Errno::INTR) => continue,
            Ok((0, _)) | Err(_) => Silence::Over,
            Ok(_) => Silence::Bytes,
        };
    }
}

/// Accepts one connection, non-blocking; its other options are those of the listening socket ([`prepare_listener`]).
pub(crate) fn accept(listener: &OwnedFd) -> io::Result<Option<(OwnedFd, SocketAddr)>> {
    match acceptfrom_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
        Ok((socket, peer)) => {
            let peer = peer
                .and_then(|peer| SocketAddr::try_from(peer).ok())
                .unwrap_or_else(|| SocketAddr::from(([0, 0, 0, 0], 0)));
            Ok(Some((socket, peer)))
        }
        Err(Errno::AGAIN) => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}

/// How a connection to an instance began.
#[derive(Debug)]
pub(crate) enum Connected {
    /// It is there.
    Now(OwnedFd),
    /// It will be there, or not, when the socket becomes writable.
    Pending(OwnedFd),
}

/// Begins to connect.
pub(crate) fn begin_connect(address: SocketAddr) -> Result<Connected, Errno> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    sockopt::set_tcp_nodelay(&socket, true)?;
    match connect(&socket, &address) {
        Ok(()) => Ok(Connected::Now(socket)),
        Err(Errno::INPROGRESS) => Ok(Connected::Pending(socket)),
        Err(errno) => Err(errno),
    }
}

/// Why a connection that was pending failed, or that it did not.
pub(crate) fn connect_outcome(socket: &OwnedFd) -> Result<(), Errno> {
    match sockopt::socket_error(socket) {
        Ok(Ok(())) => Ok(()),
        Ok(Err(errno)) | Err(errno) => Err(errno),
    }
}

/// Makes the closing of a connection a reset: what the peer was not sent yet is thrown away, and it sees an error instead of an end.
pub(crate) fn reset_on_close(socket: impl AsFd) {
    // Fails only for what is no socket.
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}

/// Tells the peer that nothing more comes.
pub(crate) fn end_sending(socket: impl AsFd) {
    // Fails only when the peer is gone, and then there is nobody to tell.
    let _ = shutdown(socket, Shutdown::Write);
}
