//! Frames with descriptors over a Unix socket, on tokio.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use gapless_wire::control::ancillary;
use gapless_wire::control::frame::{Decoder, FrameInvalid, encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::Interest;

/// Bytes asked of the socket at a time.
const READ_BYTES: usize = 65_536;

/// The other end is a process of another user.
#[derive(Debug, thiserror::Error)]
pub enum PeerRefused {
    /// It is.
    #[error("the other end is a process of user {theirs}, not {ours}")]
    User {
        /// Theirs.
        theirs: u32,
        /// Ours.
        ours: u32,
    },
    /// The system does not say.
    #[error("the system does not say who is at the other end")]
    Unknown(#[from] io::Error),
}

/// Makes sure that the other end of a connection is a process of our own user (or of root).
///
/// # Errors
/// [`PeerRefused`].
pub fn check_peer(socket: impl AsFd) -> Result<(), PeerRefused> {
    let theirs = rustix::net::sockopt::socket_peercred(socket).map_err(io::Error::from)?.uid;
    let ours = rustix::process::geteuid();
    if theirs == ours || theirs.is_root() {
        Ok(())
    } else {
        Err(PeerRefused::User { theirs: theirs.as_raw(), ours: ours.as_raw() })
    }
}

/// Both directions of a connection. Within a tokio runtime only.
///
/// # Errors
/// When the socket cannot be made non-blocking or watched.
pub fn split(stream: UnixStream) -> io::Result<(FrameReader, FrameWriter)> {
    stream.set_nonblocking(true)?;
    let socket = Arc::new(tokio::net::UnixStream::from_std(stream)?);
    let reader = FrameReader { socket: Arc::clone(&socket), decoder: Decoder::default(), buffer: vec![0; READ_BYTES] };
    Ok((reader, FrameWriter { socket }))
}

/// The receiving direction.
#[derive(Debug)]
pub struct FrameReader {
    socket: Arc<tokio::net::UnixStream>,
    decoder: Decoder<OwnedFd>,
    buffer: Vec<u8>,
}

impl FrameReader {
    /// The next message; none when the other end closed between two. Loses nothing when it is dropped while it waits.
    ///
    /// # Errors
    /// Of the socket; `InvalidData` for what is no message ([`FrameInvalid`] within); `UnexpectedEof` for half a message.
    pub async fn message<M: DeserializeOwned>(&mut self) -> io::Result<Option<M>> {
        loop {
            if let Some(message) = self.decoder.message().map_err(invalid)? {
                return Ok(Some(message));
            }
            let (socket, buffer) = (&self.socket, &mut self.buffer);
            let (count, descriptors) =
                socket.async_io(Interest::READABLE, || ancillary::receive(socket, buffer)).await?;
            if count == 0 {
                return if self.decoder.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
            self.decoder.feed(&self.buffer[..count], descriptors).map_err(invalid)?;
        }
    }

    /// The descriptors that belong to the message just read.
    ///
    /// # Errors
    /// `InvalidData` when fewer came.
    pub fn descriptors(&mut self, named: usize) -> io::Result<Vec<OwnedFd>> {
        self.decoder.descriptors(named).map_err(invalid)
    }
}

fn invalid(error: FrameInvalid) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// The sending direction.
#[derive(Debug)]
pub struct FrameWriter {
    socket: Arc<tokio::net::UnixStream>,
}

impl FrameWriter {
    /// Sends a message and the descriptors that it names. Dropped while it waits, it may have sent half of it: the connection is then
    /// of no further use.
    ///
    /// # Errors
    /// Of the socket; `InvalidData` when the message is longer than a frame may be.
    pub async fn send(&mut self, message: &impl Serialize, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_encoded(&encode(message).map_err(invalid)?, descriptors).await
    }

    /// As [`FrameWriter::send`], for a frame that is one already.
    ///
    /// # Errors
    /// Of the socket.
    pub async fn send_encoded(&mut self, frame: &[u8], mut descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let mut rest = frame;
        while !rest.is_empty() {
            let write = || ancillary::send(&self.socket, rest, descriptors);
            let count = self.socket.async_io(Interest::WRITABLE, write).await?;
            rest = &rest[count..];
            descriptors = &[];
        }
        Ok(())
    }

    /// Says that nothing more is sent; what comes from the other end is still read.
    pub fn finish(self) {
        let _gone = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
    }
}
