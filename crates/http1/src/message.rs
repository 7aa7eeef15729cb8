//! What the heads of requests and responses have in common: where they end, the version, the length of the body, `Connection`.

use httparse::Status;

use crate::body::Framing;
use crate::fields::{Field, Lines, content_length, tokens};
use crate::limits::CONNECTION_OPTIONS_MAX;
use crate::reject::{Reject, Rejected};

/// The version a peer speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0: no chunks, no interim answers, closed after one exchange unless asked otherwise.
    Http10,
    /// HTTP/1.1.
    Http11,
}

impl Version {
    /// The version whose minor number `httparse` found.
    #[inline]
    pub(crate) fn of(minor: u8) -> Self {
        if minor == 0 { Self::Http10 } else { Self::Http11 }
    }
}

/// Whether a connection goes on after the message at hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// Another message may follow.
    KeepAlive,
    /// This is the last one.
    Close,
}

/// The length of the head that `httparse` found among `buffered` bytes; `None` when it is not all there yet.
#[inline]
pub(crate) fn head_length(
    parsed: httparse::Result<usize>,
    buffered: usize,
    bytes_max: usize,
) -> Rejected<Option<usize>> {
    match parsed {
        Ok(Status::Complete(length)) if length > bytes_max => Err(Reject::HeadTooLarge),
        Ok(Status::Complete(length)) => Ok(Some(length)),
        Ok(Status::Partial) if buffered >= bytes_max => Err(Reject::HeadTooLarge),
        Ok(Status::Partial) => Ok(None),
        Err(error) => Err(Reject::of_head(error)),
    }
}

/// What `Content-Length` and `Transfer-Encoding` said, over all their lines.
#[derive(Debug, Default)]
pub(crate) struct BodyLength {
    length: Option<u64>,
    chunked: bool,
}

impl BodyLength {
    /// Reads line `i`, a `Content-Length`. One that says the same again is marked as redundant.
    #[inline]
    pub(crate) fn read_length(&mut self, i: usize, lines: &mut Lines<'_, '_>) -> Rejected<()> {
        match (self.length, content_length(lines.value(i))?) {
            (Some(first), second) if first != second => return Err(Reject::LengthConflict),
            (Some(_), _) => lines.set_field(i, Field::Redundant),
            (None, first) => self.length = Some(first),
        }
        Ok(())
    }

    /// Reads the value of a `Transfer-Encoding`: once, exactly `chunked`, and not in HTTP/1.0.
    #[inline]
    pub(crate) fn read_coding(&mut self, value: &[u8], version: Version) -> Rejected<()> {
        if self.chunked || version == Version::Http10 || !value.eq_ignore_ascii_case(b"chunked") {
            return Err(Reject::Coding);
        }
        self.chunked = true;
        Ok(())
    }

    /// How the body's end is told; `untold` where neither line is there.
    #[inline]
    pub(crate) fn framing(&self, untold: Framing) -> Rejected<Framing> {
        match (self.length, self.chunked) {
            (Some(_), true) => Err(Reject::LengthWithCoding),
            (Some(0), false) => Ok(Framing::None),
            (Some(length), false) => Ok(Framing::Counted(length)),
            (None, true) => Ok(Framing::Chunked),
            (None, false) => Ok(untold),
        }
    }
}

/// What `Connection` said, over all its lines.
#[derive(Debug, Default)]
pub(crate) struct Connection {
    close: bool,
    keep_alive: bool,
    pub(crate) upgrade: bool,
    options: usize,
}

impl Connection {
    /// Reads one `Connection` line. Each option is compared with each line of the head, so both are bounded.
    #[inline]
    pub(crate) fn read(&mut self, value: &[u8], lines: &mut Lines<'_, '_>) -> Rejected<()> {
        for option in tokens(value) {
            self.options += 1;
            if self.options > CONNECTION_OPTIONS_MAX {
                return Err(Reject::ConnectionOptions);
            }
            if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                lines.mark_nominated(option);
            }
        }
        Ok(())
    }

    pub(crate) fn persistence(&self, version: Version) -> Persistence {
        match version {
            _ if self.close => Persistence::Close,
            Version::Http11 => Persistence::KeepAlive,
            Version::Http10 if self.keep_alive => Persistence::KeepAlive,
            Version::Http10 => Persistence::Close,
        }
    }
}
