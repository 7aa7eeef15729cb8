//! A sans-IO HTTP/1.1 codec over `httparse`: heads, framing, bodies, upgrades, for both sides.
//!
//! This crate owns what a sequence of bytes *means* as HTTP/1.1 (RFC 9110, RFC 9112) and how a message that was
//! understood is written for the next hop. It refuses to know sockets, clocks, routing and instances: bytes come in as
//! slices, decisions go out as values, rendered bytes go into a buffer of the caller.
//!
//! A head is parsed in place and never copied: [`RequestHead`] and [`ResponseHead`] borrow from the caller's buffer, and
//! rendering copies whole runs of header lines at once. That is where the speed of the proxy comes from.
//!
//! Invariants, tested in `tests/`:
//!
//! 1. **Framing (I14).** A message is rejected, or what is rendered for the next hop parses to the same message:
//!    `round_trip.rs`.
//! 2. **Chunking.** Cutting the input at any places gives the same events: `chunking.rs`.
//! 3. **Strictness.** What two parsers could read differently is rejected: `smuggling.rs`.
//! 4. **Bounds.** A head has at most [`HEADERS_MAX`] lines, [`HEAD_BYTES_MAX`] bytes and [`CONNECTION_OPTIONS_MAX`] connection
//!    options, a chunk-size line at most
//!    [`CHUNK_LINE_BYTES_MAX`] bytes, trailers at most [`TRAILER_BYTES_MAX`].

mod body;
mod chunked;
mod fields;
mod limits;
mod message;
mod reject;
mod render;
mod request;
mod response;
mod status;

pub use body::{BodyDecoder, Framing, Piece};
pub use chunked::{LAST_CHUNK, write_chunk, write_trailers};
pub use fields::{Field, Lines, Slots, has_token, tokens};
pub use limits::{
    CHUNK_LINE_BYTES_MAX, CONNECTION_OPTIONS_MAX, HEAD_BYTES_MAX, HEADERS_MAX, REQUEST_ID_BYTES_MAX, TRAILER_BYTES_MAX,
};
pub use message::{Persistence, Version};
pub use reject::{Reject, Rejected};
pub use render::{Delivery, Forwarding, Inbound, write_interim, write_request, write_response, write_switching};
pub use request::{Method, RequestHead, parse_rendered, parse_request};
pub use response::{RequestContext, ResponseHead, parse_response};
pub use status::reason_phrase;
