//! The chunked transfer coding (RFC 9112 §7.1), read strictly and written plainly.
//!
//! Extensions are read and dropped: they belong to one hop. Sizes have at most fifteen digits, lines end in CRLF, and
//! trailer lines obey the same rules as header lines.

use crate::body::Piece;
use crate::fields::Field;
use crate::limits::{CHUNK_DIGITS_MAX, CHUNK_LINE_BYTES_MAX, TRAILER_BYTES_MAX};
use crate::reject::{Reject, Rejected};

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Size { digits: usize, size: u64 },
    Extension { size: u64, line: usize, quote: Quote },
    SizeLf { size: u64 },
    Data { left: u64 },
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// Where in a quoted extension value we are: CR and LF are forbidden everywhere, so quoting changes nothing but the
/// bytes allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quote {
    Outside,
    Inside,
    Escaped,
}

/// Reads a chunked body. All input but an incomplete trailer section is consumed as it comes.
#[derive(Debug, Clone)]
pub struct ChunkedDecoder {
    at: At,
}

impl ChunkedDecoder {
    pub(crate) fn new() -> Self {
        Self { at: At::Size { digits: 0, size: 0 } }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at == At::Done
    }

    pub(crate) fn decode<'i>(&mut self, input: &'i [u8]) -> Rejected<(usize, Piece<'i>)> {
        let mut used = 0;
        loop {
            let rest = &input[used..];
            match self.at {
                At::Done => return Ok((used, Piece::End)),
                At::Trailers => {
                    let Some(block) = trailer_block(rest)? else { return Ok((used, Piece::Starved)) };
                    self.at = At::Done;
                    used += block.len();
                    let lines = &block[..block.len() - 2];
                    return Ok(if lines.is_empty() { (used, Piece::End) } else { (used, Piece::Trailers(lines)) });
                }
                At::Data { left } if !rest.is_empty() => {
                    let taken = usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    let left = left - taken as u64;
                    self.at = if left == 0 { At::DataCr } else { At::Data { left } };
                    return Ok((used + taken, Piece::Data(&rest[..taken])));
                }
                at => {
                    let Some(&byte) = rest.first() else { return Ok((used, Piece::Starved)) };
                    self.at = after(at, byte)?;
                    used += 1;
                }
            }
        }
    }
}

/// The state behind one byte of framing.
fn after(at: At, byte: u8) -> Rejected<At> {
    Ok(match (at, byte) {
        (At::Size { digits, size }, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') if digits < CHUNK_DIGITS_MAX => {
            let digit = (byte as char).to_digit(16).map_or(0, u64::from);
            At::Size { digits: digits + 1, size: size << 4 | digit }
        }
        (At::Size { digits: 1.., size }, b'\r') => At::SizeLf { size },
        (At::Size { digits: 1.., size }, b';') => At::Extension { size, line: 0, quote: Quote::Outside },
        (At::Extension { size, quote: Quote::Outside, .. }, b'\r') => At::SizeLf { size },
        (At::Extension { size, line, quote }, b'\t' | b' '..=b'~' | 0x80..) if line < CHUNK_LINE_BYTES_MAX => {
            let quote = match (quote, byte) {
                (Quote::Outside, b'"') => Quote::Inside,
                (Quote::Inside, b'"') => Quote::Outside,
                (Quote::Inside, b'\\') => Quote::Escaped,
                (Quote::Escaped, _) => Quote::Inside,
                (quote, _) => quote,
            };
            At::Extension { size, line: line + 1, quote }
        }
        (At::SizeLf { size: 0 }, b'\n') => At::Trailers,
        (At::SizeLf { size }, b'\n') => At::Data { left: size },
        (At::DataCr, b'\r') => At::DataLf,
        (At::DataLf, b'\n') => At::Size { digits: 0, size: 0 },
        _ => return Err(Reject::Chunk),
    })
}

/// The trailer section at the front of `input`, its empty line included, or `None` when it is not all there.
fn trailer_block(input: &[u8]) -> Rejected<Option<&[u8]>> {
    match input {
        [b'\r', b'\n', ..] => return Ok(Some(&input[..2])),
        [] | [b'\r'] => return Ok(None),
        [b'\r', ..] => return Err(Reject::Chunk),
        _ => {}
    }
    let mut room = [httparse::EMPTY_HEADER; crate::limits::HEADERS_MAX];
    match httparse::parse_headers(input, &mut room) {
        Ok(httparse::Status::Complete((length, _))) if length > TRAILER_BYTES_MAX => Err(Reject::TrailersTooLarge),
        Ok(httparse::Status::Complete((length, headers))) => {
            check_trailers(&input[..length], headers).map(|()| Some(&input[..length]))
        }
        Ok(httparse::Status::Partial) if input.len() > TRAILER_BYTES_MAX => Err(Reject::TrailersTooLarge),
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Reject::TrailersTooLarge),
        Err(_) => Err(Reject::Chunk),
    }
}

/// Every trailer line must end in CRLF.
fn check_trailers(block: &[u8], headers: &[httparse::Header<'_>]) -> Rejected<()> {
    let offset = |header: &httparse::Header<'_>| header.name.as_ptr() as usize - block.as_ptr() as usize;
    let ends_in_crlf = |start: usize| start >= 2 && block[start - 2..start] == *b"\r\n";
    let whole = headers.iter().skip(1).all(|header| ends_in_crlf(offset(header)))
        && block.ends_with(b"\r\n")
        && ends_in_crlf(block.len() - 2);
    if whole { Ok(()) } else { Err(Reject::Chunk) }
}

/// Appends one chunk. `data` must not be empty: an empty chunk is the end of a body.
#[inline]
pub fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    debug_assert!(!data.is_empty(), "BUG: an empty chunk would end the body");
    let mut digits = [0u8; 18];
    let mut at = 16;
    digits[16] = b'\r';
    digits[17] = b'\n';
    let mut size = data.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[size & 15];
        size >>= 4;
        if size == 0 {
            break;
        }
    }
    out.reserve(data.len() + 20);
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk with the trailer lines of [`Piece::Trailers`], without those that would change how a message
/// is framed, routed or authorised (RFC 9110 §6.5.1).
pub fn write_trailers(out: &mut Vec<u8>, lines: &[u8]) {
    out.extend_from_slice(b"0\r\n");
    for line in lines.split_inclusive(|&byte| byte == b'\n') {
        let name = line.split(|&byte| byte == b':').next().unwrap_or_default();
        if is_trailer(name) {
            out.extend_from_slice(line);
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn is_trailer(name: &[u8]) -> bool {
    const FORBIDDEN: [&str; 12] = [
        "authorization",
        "content-encoding",
        "content-range",
        "content-type",
        "cookie",
        "max-forwards",
        "proxy-authenticate",
        "proxy-authorization",
        "set-cookie",
        "trailer",
        "www-authenticate",
        "idempotency-key",
    ];
    Field::of(name) == Field::Other && !FORBIDDEN.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}
