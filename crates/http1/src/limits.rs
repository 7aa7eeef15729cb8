//! The bounds of the codec. Each exists so that one peer can make us hold only so much.

/// Most header lines in one head. More is answered 431.
pub const HEADERS_MAX: usize = 100;

/// Most bytes in one head, the request line and the empty line included. More is answered 431.
pub const HEAD_BYTES_MAX: usize = 32 * 1024;

/// Lines that are added to a request for its instance, at most.
pub(crate) const OWN_LINES_MAX: usize = 6;

/// Bytes of these lines, at most: names, an address, a host that was in the head already, an id.
pub(crate) const OWN_BYTES_MAX: usize = HEAD_BYTES_MAX + 1024;

/// Header lines there is room for.
pub(crate) const LINES_MAX: usize = HEADERS_MAX + OWN_LINES_MAX;

/// Most bytes in one chunk-size line, its extensions included. Extensions are dropped, so nobody needs long ones.
pub const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Most bytes in the trailer section of one chunked body.
pub const TRAILER_BYTES_MAX: usize = 8 * 1024;

/// Most empty lines before a request line (RFC 9112 §2.2 asks for at least one to be ignored).
pub(crate) const LEADING_EMPTY_LINES_MAX: usize = 1;

/// Most hexadecimal digits of a chunk size: fifteen digits always fit 64 bits.
pub(crate) const CHUNK_DIGITS_MAX: usize = 15;

/// Most options in all `Connection` lines of one head. Clients name one or two.
pub const CONNECTION_OPTIONS_MAX: usize = 32;

/// Most bytes of an `X-Request-Id` that is kept. A UUID has 36.
pub const REQUEST_ID_BYTES_MAX: usize = 128;
