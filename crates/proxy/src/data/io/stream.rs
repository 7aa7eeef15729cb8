//! A socket with what the event queue has told about it.
//!
//! Sockets are registered once, edge-triggered, for everything. So a request costs no call to change interests, and the
//! price is to remember here what was told. A read that filled less than its buffer has emptied the socket (epoll(7)),
//! unless the peer has ended: its end is read without a further event.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::epoll::EventFlags;
use rustix::io::Errno;

use super::kernel;
use super::socket::{self, ReadOutcome, Silence, WriteOutcome};

/// A non-blocking socket.
#[derive(Debug)]
pub(crate) struct Stream {
    socket: OwnedFd,
    readable: bool,
    writable: bool,
    /// The peer has sent its end, or the connection is broken: reading goes on to the end without further events.
    ended: bool,
    /// The connection is broken in both directions.
    hung_up: bool,
    /// Bytes that were written.
    written: u64,
    /// Something was read since the last write, which would have carried the acknowledgement of it.
    owes_acknowledgement: bool,
}

impl Stream {
    /// A connected socket of which nothing is known yet. Writing is tried at once; reading waits for news.
    pub(crate) fn connected(socket: OwnedFd) -> Self {
        Self { writable: true, ..Self::connecting(socket) }
    }

    /// A socket that is still connecting.
    pub(crate) fn connecting(socket: OwnedFd) -> Self {
        let (readable, writable, ended, hung_up) = (false, false, false, false);
        Self { socket, readable, writable, ended, hung_up, written: 0, owes_acknowledgement: false }
    }

    /// What the event queue told.
    #[inline]
    pub(crate) fn note(&mut self, flags: EventFlags) {
        let over = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
        self.readable |= flags.intersects(EventFlags::IN | over);
        self.writable |= flags.intersects(EventFlags::OUT | EventFlags::HUP | EventFlags::ERR);
        self.ended |= flags.intersects(over);
        self.hung_up |= flags.intersects(EventFlags::HUP | EventFlags::ERR);
    }

    #[inline]
    pub(crate) fn is_readable(&self) -> bool {
        self.readable
    }

    #[inline]
    pub(crate) fn is_writable(&self) -> bool {
        self.writable
    }

    /// Whether the peer has ended or is gone. There may still be bytes to read.
    #[inline]
    pub(crate) fn is_ended(&self) -> bool {
        self.ended
    }

    /// Whether nothing can be sent any more.
    #[inline]
    pub(crate) fn is_hung_up(&self) -> bool {
        self.hung_up
    }

    /// Looks at the socket itself, whatever was told.
    #[inline]
    pub(crate) fn listen(&mut self) -> Silence {
        let silence = socket::listen(&self.socket);
        // What comes later is told by an event of its own: the socket was found empty.
        self.readable = silence != Silence::Quiet;
        silence
    }

    /// Whether a connection that was being made is there.
    ///
    /// # Errors
    /// Why it is not.
    pub(crate) fn connect_outcome(&self) -> Result<(), Errno> {
        socket::connect_outcome(&self.socket)
    }

    /// Has the peer's system probed while the connection is silent.
    ///
    /// # Errors
    /// Of the system.
    pub(crate) fn probe_silence(&self) -> io::Result<()> {
        socket::probe_silence(&self.socket)
    }

    /// Tells the peer that nothing more comes.
    pub(crate) fn end_sending(&self) {
        socket::end_sending(&self.socket);
    }

    /// Makes the closing of the connection a reset.
    pub(crate) fn reset_on_close(&self) {
        socket::reset_on_close(&self.socket);
    }

    /// Bytes that were written. The system may still have some of them.
    #[inline]
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Bytes that were written and that the peer's system has not acknowledged, where that can be known.
    pub(crate) fn unacknowledged(&self) -> Option<u64> {
        kernel::unacknowledged(&self.socket)
    }

    /// Bytes that the peer's system has acknowledged, where that can be known.
    pub(crate) fn acknowledged(&self) -> Option<u64> {
        self.unacknowledged().map(|bytes| self.written.saturating_sub(bytes))
    }

    /// Reads once, if there may be something.
    #[inline]
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> ReadOutcome {
        if !self.readable {
            return ReadOutcome::Blocked;
        }
        let outcome = socket::read(&self.socket, buffer);
        match outcome {
            ReadOutcome::Bytes(count) => {
                self.readable = self.ended || count == buffer.len();
                self.owes_acknowledgement = true;
            }
            ReadOutcome::Blocked => self.readable = false,
            ReadOutcome::Ended | ReadOutcome::Broken(_) => self.ended = true,
        }
        outcome
    }

    /// Acknowledges what was read, since nothing is written until more of the same message comes.
    ///
    /// A peer that writes head and body apart, and leaves the delay of small writes on (Nagle's algorithm, RFC 9293 §3.7.4), sends
    /// the body only when the head is acknowledged, and systems wait up to 40 ms for something to acknowledge it with.
    #[inline]
    pub(crate) fn await_rest(&mut self) {
        if std::mem::take(&mut self.owes_acknowledgement) {
            socket::acknowledge(&self.socket);
        }
    }

    /// Writes once, if there may be room.
    #[inline]
    pub(crate) fn write(&mut self, bytes: &[u8]) -> WriteOutcome {
        if !self.writable {
            return WriteOutcome::Blocked;
        }
        let outcome = socket::write(&self.socket, bytes);
        match outcome {
            WriteOutcome::Bytes(count) => {
                self.writable = count == bytes.len();
                self.written += count as u64;
                self.owes_acknowledgement = false;
            }
            WriteOutcome::Blocked => self.writable = false,
            WriteOutcome::Broken(_) => self.hung_up = true,
        }
        outcome
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
