//! Where a message's body ends, and what of the bytes at hand belongs to it (RFC 9112 §6).

use crate::chunked::ChunkedDecoder;
use crate::reject::{Reject, Rejected};

/// How the end of a body is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// So many bytes follow.
    Counted(u64),
    /// Chunks follow, and trailers perhaps.
    Chunked,
    /// Everything until the peer closes (responses only).
    UntilClose,
}

/// What stands at the front of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'i> {
    /// Bytes of the body; never empty.
    Data(&'i [u8]),
    /// The trailer lines as they were written, checked, without the empty line; never empty.
    Trailers(&'i [u8]),
    /// More input is needed. What was not consumed must be offered again with more behind it.
    Starved,
    /// The body has ended. Input behind it belongs to the next message.
    End,
}

/// Finds the body in a stream of bytes.
#[derive(Debug, Clone)]
pub enum BodyDecoder {
    /// This many bytes are still to come.
    Counted(u64),
    /// Inside a chunked body.
    Chunked(ChunkedDecoder),
    /// Until the peer closes.
    UntilClose,
}

impl BodyDecoder {
    /// A decoder at the first byte behind the head.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Counted(0),
            Framing::Counted(length) => Self::Counted(length),
            Framing::Chunked => Self::Chunked(ChunkedDecoder::new()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    /// Looks at the front of `input`: how many bytes of it are done with, and what they were.
    ///
    /// # Errors
    /// [`Reject`] when the chunk framing is malformed or a bound is passed.
    #[inline]
    pub fn decode<'i>(&mut self, input: &'i [u8]) -> Rejected<(usize, Piece<'i>)> {
        match self {
            Self::Counted(0) => Ok((0, Piece::End)),
            Self::Counted(_) | Self::UntilClose if input.is_empty() => Ok((0, Piece::Starved)),
            Self::Counted(left) => {
                let taken = usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                *left -= taken as u64;
                Ok((taken, Piece::Data(&input[..taken])))
            }
            Self::UntilClose => Ok((input.len(), Piece::Data(input))),
            Self::Chunked(chunked) => chunked.decode(input),
        }
    }

    /// Whether the body has ended.
    #[inline]
    pub fn is_done(&self) -> bool {
        match self {
            Self::Counted(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_done(),
            Self::UntilClose => false,
        }
    }

    /// The peer has closed: whether the body was whole.
    ///
    /// # Errors
    /// [`Reject::Truncated`] when more was promised.
    pub fn finish(&self) -> Rejected<()> {
        match self {
            Self::UntilClose => Ok(()),
            _ if self.is_done() => Ok(()),
            _ => Err(Reject::Truncated),
        }
    }
}
