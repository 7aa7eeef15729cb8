//! One client connection and the phases it goes through.

use std::net::{IpAddr, SocketAddr};

use gapless_http1::{Inbound, RequestHead, tokens};

use super::buffers::Buffers;
use super::exchange::Exchange;
use super::progress::Taken;
use super::slab::Key;
use super::socket::WriteOutcome;
use super::stream::Stream;
use super::tunnel::Tunnel;

/// What a client connection is doing.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Between requests, or reading a head that is not whole.
    Waiting,
    /// A request is being answered.
    Exchange(Box<Exchange>),
    /// The connection was upgraded; bytes are carried as they are.
    Tunnel(Box<Tunnel>),
    /// The last answer was given and our end of the connection is closed. What the client still sends is read and thrown
    /// away, so that the system does not reset the connection before the answer was read.
    Lingering {
        /// Bytes that are still put up with.
        patience: u64,
        /// Until when.
        until_ms: u64,
    },
}

/// A client connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) key: Key,
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// The header lines that are the same for every request of this connection.
    pub(crate) lines: PeerLines,
    /// Bytes that were read and not used: part of a head, of a body, or further requests.
    pub(crate) input: Vec<u8>,
    /// Whether `input` has bytes that came with an earlier request and were not looked at since.
    pub(crate) has_leftover: bool,
    /// Whether we have told the client that nothing more comes.
    pub(crate) said_end: bool,
    /// Bytes that wait until the client takes them.
    pub(crate) output: Output,
    pub(crate) phase: Phase,
    /// When something last went forward, in milliseconds of the thread's clock.
    pub(crate) progress_ms: u64,
    /// When the first byte of the head at hand came; none between requests. Set once per head, so that no later byte prolongs it.
    pub(crate) head_began_ms: Option<u64>,
    /// How far it has come with what was written to it.
    pub(crate) taken: Taken,
}

impl Client {
    /// Who asks: the peer, or whom a trusted peer names last in `X-Forwarded-For`, which is the address that it saw itself.
    pub(crate) fn address_of(&self, head: &RequestHead<'_, '_>) -> IpAddr {
        let named = || {
            let lines = head.lines.iter().filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
            let last = tokens(lines.last()?.1).last()?;
            std::str::from_utf8(last).ok()?.parse().ok()
        };
        let named = if self.lines.inbound == Inbound::Trusted { named() } else { None };
        named.unwrap_or(self.peer.ip())
    }
}

/// What is told to instances about a client connection.
#[derive(Debug)]
pub(crate) struct PeerLines {
    /// The `X-Forwarded-For` line.
    pub(crate) peer: Box<[u8]>,
    /// The `X-Forwarded-Proto` line.
    pub(crate) protocol: &'static [u8],
    /// What becomes of the client's own lines of that kind.
    pub(crate) inbound: Inbound,
}

/// Bytes that wait to be written.
#[derive(Debug, Default)]
pub(crate) struct Output {
    buffer: Vec<u8>,
    sent: usize,
}

/// What came of trying to write all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing waits any more.
    All,
    /// Something waits until the peer takes more.
    Some,
    /// The peer is gone.
    Broken,
}

impl Output {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.buffer.len() == self.sent
    }

    /// Writes what waits.
    #[inline]
    pub(crate) fn flush(&mut self, stream: &mut Stream, buffers: &mut Buffers) -> Flushed {
        if self.buffer.capacity() == 0 {
            return Flushed::All;
        }
        while self.sent < self.buffer.len() {
            match stream.write(&self.buffer[self.sent..]) {
                WriteOutcome::Bytes(count) => self.sent += count,
                WriteOutcome::Blocked => return Flushed::Some,
                WriteOutcome::Broken(_) => return Flushed::Broken,
            }
        }
        self.sent = 0;
        buffers.take_back(std::mem::take(&mut self.buffer));
        Flushed::All
    }

    /// Writes `bytes` behind what waits; what the peer does not take now is kept.
    #[inline]
    pub(crate) fn send(&mut self, stream: &mut Stream, buffers: &mut Buffers, bytes: &[u8]) -> Flushed {
        match self.flush(stream, buffers) {
            Flushed::All => {}
            Flushed::Some => {
                buffers.append(&mut self.buffer, bytes);
                return Flushed::Some;
            }
            Flushed::Broken => return Flushed::Broken,
        }
        let mut rest = bytes;
        while !rest.is_empty() {
            match stream.write(rest) {
                WriteOutcome::Bytes(count) => rest = &rest[count..],
                WriteOutcome::Blocked => {
                    buffers.append(&mut self.buffer, rest);
                    return Flushed::Some;
                }
                WriteOutcome::Broken(_) => {
                    // Kept as what the peer was never given, so that nobody takes the whole for delivered.
                    buffers.append(&mut self.buffer, rest);
                    return Flushed::Broken;
                }
            }
        }
        Flushed::All
    }

    /// Gives the buffer back, with whatever is in it.
    pub(crate) fn discard(&mut self, buffers: &mut Buffers) {
        self.sent = 0;
        buffers.take_back(std::mem::take(&mut self.buffer));
    }
}
