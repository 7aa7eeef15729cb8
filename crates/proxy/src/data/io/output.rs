//! What a peer does not take at once.

use super::buffers::Buffers;
use super::socket::WriteOutcome;
use super::stream::Stream;

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
