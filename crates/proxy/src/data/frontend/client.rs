//! The connection of one client, whatever it is doing.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;

use gapless_http1::{Inbound, RequestHead, tokens};

use crate::data::io::buffers::Buffers;
use crate::data::io::output::{Flushed, Output};
use crate::data::io::progress::Taken;
use crate::data::io::slab::Key;
use crate::data::io::stream::Stream;
use crate::data::settings::Settings;

/// A client's connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) key: Key,
    pub(crate) stream: Stream,
    pub(crate) peer: SocketAddr,
    /// The header lines that are the same for every request of this connection.
    pub(crate) lines: PeerLines,
    /// Bytes that were read and not used: part of a head, of a body, or further requests.
    pub(crate) input: Vec<u8>,
    /// Bytes that wait until the client takes them.
    pub(crate) output: Output,
    /// When something last went forward, in milliseconds of the thread's clock.
    pub(crate) progress_ms: u64,
    /// How far it has come with what was written to it.
    pub(crate) taken: Taken,
}

/// What is told to instances about a client's connection.
#[derive(Debug)]
pub(crate) struct PeerLines {
    /// The `X-Forwarded-For` line.
    pub(crate) peer: Box<[u8]>,
    /// The `X-Forwarded-Proto` line.
    pub(crate) protocol: &'static [u8],
    /// What becomes of the client's own lines of that kind.
    pub(crate) inbound: Inbound,
}

impl PeerLines {
    fn of(peer: SocketAddr, settings: &Settings) -> Self {
        let trusted = settings.trusted_peers.iter().any(|network| network.holds(peer.ip()));
        Self {
            peer: format!("X-Forwarded-For: {}\r\n", peer.ip().to_canonical()).into_bytes().into_boxed_slice(),
            protocol: b"X-Forwarded-Proto: http\r\n",
            inbound: if trusted { Inbound::Trusted } else { Inbound::Dropped },
        }
    }
}

impl Client {
    /// One that was just accepted.
    pub(crate) fn accepted(key: Key, socket: OwnedFd, peer: SocketAddr, settings: &Settings, now_ms: u64) -> Self {
        Self {
            key,
            stream: Stream::connected(socket),
            peer,
            lines: PeerLines::of(peer, settings),
            input: Vec::new(),
            output: Output::default(),
            progress_ms: now_ms,
            taken: Taken::default(),
        }
    }

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

    /// Writes what waits for it.
    #[inline]
    pub(crate) fn flush(&mut self, buffers: &mut Buffers) -> Flushed {
        self.output.flush(&mut self.stream, buffers)
    }

    /// Writes `bytes` behind what waits for it; what it does not take now is kept.
    #[inline]
    pub(crate) fn send(&mut self, buffers: &mut Buffers, bytes: &[u8]) -> Flushed {
        self.output.send(&mut self.stream, buffers, bytes)
    }

    /// Gives back the buffers that it was lent.
    pub(crate) fn discard(&mut self, buffers: &mut Buffers) {
        self.output.discard(buffers);
        buffers.take_back(std::mem::take(&mut self.input));
    }

    /// For how many milliseconds it has taken nothing; `most_ms` is what is asked about.
    pub(crate) fn still_ms(&mut self, now_ms: u64, most_ms: u64) -> u64 {
        self.taken.still_ms(&self.stream, self.progress_ms, now_ms, most_ms)
    }

    /// Whether something is on its way to it, and it has taken some of that within the time.
    pub(crate) fn is_taking(&mut self, now_ms: u64, within_ms: u64) -> bool {
        self.stream.unacknowledged().is_some_and(|bytes| bytes > 0) && self.still_ms(now_ms, within_ms) <= within_ms
    }
}
