//! Bytes and file descriptors over a Unix stream socket: one `sendmsg`, one `recvmsg`. Neither waits nor retries; the runtimes of both
//! ends do that in their own ways.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};

use super::frame::FDS_MAX;

/// Sends as many of the bytes as the socket takes, and all of the descriptors with the first of them: a caller that is told a
/// number of bytes sends the rest without descriptors.
///
/// # Errors
/// As the socket's: `WouldBlock` when a non-blocking one is full, `InvalidInput` for more than [`FDS_MAX`] descriptors.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<usize> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fits = descriptors.len() <= FDS_MAX
        && (descriptors.is_empty() || ancillary.push(SendAncillaryMessage::ScmRights(descriptors)));
    if !fits {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "more descriptors than one message takes"));
    }
    Ok(rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut ancillary, SendFlags::NOSIGNAL)?)
}

/// Receives what is there, up to the length of the buffer, and the descriptors that came with it (closed on exec). Zero bytes: the
/// other side closed.
///
/// # Errors
/// As the socket's: `WouldBlock` when a non-blocking one has nothing.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS_MAX))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let mut slices = [IoSliceMut::new(buffer)];
    let received = rustix::net::recvmsg(socket, &mut slices, &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    Ok((received.bytes, descriptors))
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_listening_socket_arrives_and_accepts() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(send(&ours, b"hello", &[listener.as_fd(), listener.as_fd()]).unwrap(), 5);
        drop(listener);
        let mut buffer = [0; 64];
        let (count, mut descriptors) = receive(&theirs, &mut buffer).unwrap();
        assert_eq!((&buffer[..count], descriptors.len()), (&b"hello"[..], 2));
        let arrived = TcpListener::from(descriptors.remove(0));
        let mut client = TcpStream::connect(address).unwrap();
        client.write_all(b"x").unwrap();
        let mut byte = [0];
        arrived.accept().unwrap().0.read_exact(&mut byte).unwrap();
        assert_eq!(&byte, b"x");
        drop(ours);
        assert_eq!(receive(&theirs, &mut buffer).unwrap().0, 0);
    }

    #[test]
    fn more_descriptors_than_fit_are_refused() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let many = vec![ours.as_fd(); FDS_MAX + 1];
        assert_eq!(send(&ours, b"x", &many).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(send(&ours, b"x", &many[..FDS_MAX]).unwrap(), 1);
    }
}
