//! Header lines: what each one is to a proxy, where it stands in the buffer, and token lists.

use std::mem::MaybeUninit;

use httparse::Header;

use crate::limits::LINES_MAX;
use crate::reject::{Reject, Rejected};

/// What a header line is to a proxy. Everything it need not understand is [`Field::Other`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// End to end, forwarded as it is.
    Other,
    /// `Host`.
    Host,
    /// `Content-Length`, the one that counts.
    ContentLength,
    /// `Transfer-Encoding`.
    TransferEncoding,
    /// `Connection`.
    Connection,
    /// `Upgrade`.
    Upgrade,
    /// `Expect`.
    Expect,
    /// `X-Request-Id`.
    RequestId,
    /// `X-Forwarded-For`.
    ForwardedFor,
    /// Another way to claim to be somebody else: `Forwarded`, `X-Real-IP`, any other `X-Forwarded-…`.
    Forwarded,
    /// `X-Gapless-Preview`: addressed to the proxy, never forwarded.
    Preview,
    /// A name that the proxy understands, spelled with underscores: applications in the manner of CGI read both spellings as
    /// one name. Never forwarded.
    Alias,
    /// Such a spelling of `Content-Length` or `Transfer-Encoding`: whoever reads it frames the message differently.
    FramingAlias,
    /// Meant for this connection alone (RFC 9110 §7.6.1), or named by `Connection`: never forwarded.
    HopByHop,
    /// A repeated line that says nothing new: never forwarded.
    Redundant,
}

impl Field {
    pub(crate) fn of(name: &[u8]) -> Self {
        if name.contains(&b'_') { Self::of_alias(name) } else { Self::of_exact(name) }
    }

    /// What a name with underscores is to a server that reads `_` as `-`.
    fn of_alias(name: &[u8]) -> Self {
        // No known name is longer, but for those that are known by their beginning.
        let mut folded = [0; ALIAS_BYTES_MAX];
        let length = name.len().min(ALIAS_BYTES_MAX);
        for (to, from) in folded.iter_mut().zip(name) {
            *to = if *from == b'_' { b'-' } else { *from };
        }
        match Self::of_exact(&folded[..length]) {
            Self::Other => Self::Other,
            Self::ContentLength | Self::TransferEncoding => Self::FramingAlias,
            _ => Self::Alias,
        }
    }

    fn of_exact(name: &[u8]) -> Self {
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        match name.len() {
            2 if is("te") => Self::HopByHop,
            4 if is("host") => Self::Host,
            6 if is("expect") => Self::Expect,
            7 if is("upgrade") => Self::Upgrade,
            9 if is("forwarded") || is("x-real-ip") => Self::Forwarded,
            10 if is("connection") => Self::Connection,
            10 if is("keep-alive") => Self::HopByHop,
            12 if is("x-request-id") => Self::RequestId,
            14 if is("content-length") => Self::ContentLength,
            15 if is("x-forwarded-for") => Self::ForwardedFor,
            14 if is("http2-settings") => Self::HopByHop,
            16 if is("proxy-connection") => Self::HopByHop,
            17 if is("transfer-encoding") => Self::TransferEncoding,
            17 if is("x-gapless-preview") => Self::Preview,
            n if n >= 11 && (name[0] | 0x20) == b'x' && name[..11].eq_ignore_ascii_case(b"x-forwarded") => {
                Self::Forwarded
            }
            _ => Self::Other,
        }
    }

    /// What the line is in a response, where several that matter in a request are nothing special.
    pub(crate) fn in_response(self) -> Self {
        match self {
            Self::Host
            | Self::Expect
            | Self::RequestId
            | Self::ForwardedFor
            | Self::Forwarded
            | Self::Preview
            | Self::Alias
            | Self::FramingAlias => Self::Other,
            Self::Other
            | Self::ContentLength
            | Self::TransferEncoding
            | Self::Connection
            | Self::Upgrade
            | Self::HopByHop
            | Self::Redundant => self,
        }
    }
}

/// Bytes of a name with underscores that are compared with known names.
const ALIAS_BYTES_MAX: usize = 32;

/// Room for the header lines of one head and what each is. Lives on the caller's stack, so that heads are small values.
#[derive(Debug)]
pub struct Slots<'b> {
    pub(crate) headers: [MaybeUninit<Header<'b>>; LINES_MAX],
    pub(crate) fields: [Field; LINES_MAX],
}

impl Slots<'_> {
    /// Empty room. Costs next to nothing: the lines are not initialised before they are used.
    #[inline]
    pub fn new() -> Self {
        Self { headers: [const { MaybeUninit::uninit() }; LINES_MAX], fields: [Field::Other; LINES_MAX] }
    }
}

impl Default for Slots<'_> {
    fn default() -> Self {
        Self::new()
    }
}

/// The header lines of one head, in order, each with its meaning.
#[derive(Debug)]
pub struct Lines<'h, 'b> {
    head: &'b [u8],
    headers: &'h [Header<'b>],
    fields: &'h mut [Field],
    /// Offset of the first byte after the last line, which is where the empty line begins.
    end: usize,
}

impl<'h, 'b> Lines<'h, 'b> {
    /// Takes the parsed lines of `head`, which ends with the empty line, and checks that each ends in CRLF.
    pub(crate) fn new(head: &'b [u8], headers: &'h [Header<'b>], fields: &'h mut [Field]) -> Rejected<Self> {
        if headers.len() > LINES_MAX {
            return Err(Reject::HeadTooLarge);
        }
        let end = head.len().checked_sub(2).filter(|&end| head[end..] == *b"\r\n").ok_or(Reject::LineEnding)?;
        for (field, header) in fields.iter_mut().zip(headers) {
            *field = Field::of(header.name.as_bytes());
        }
        let lines = Self { head, headers, fields, end };
        // `httparse` takes a bare LF for a line's end. What stands before each line, and before the empty one, must
        // be CRLF; the line before the first is the start line.
        let ends_in_crlf = |start: usize| start >= 2 && head[start - 2] == b'\r';
        if (0..headers.len()).all(|i| ends_in_crlf(lines.start(i))) && ends_in_crlf(end) {
            Ok(lines)
        } else {
            Err(Reject::LineEnding)
        }
    }

    /// How many lines there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.headers.len()
    }

    /// Whether there is no line.
    pub fn is_empty(&self) -> bool {
        self.headers.is_empty()
    }

    /// What line `i` is. `i` is below [`Lines::len`].
    #[inline]
    pub fn field(&self, i: usize) -> Field {
        self.fields[i]
    }

    /// Whether any line is that.
    #[inline]
    pub(crate) fn has(&self, field: Field) -> bool {
        self.fields[..self.headers.len()].contains(&field)
    }

    pub(crate) fn set_field(&mut self, i: usize, field: Field) {
        self.fields[i] = field;
    }

    /// The value of line `i`, without the white space around it.
    #[inline]
    pub fn value(&self, i: usize) -> &'b [u8] {
        self.headers[i].value
    }

    /// The name of line `i` as it was written.
    #[inline]
    pub fn name(&self, i: usize) -> &'b str {
        self.headers[i].name
    }

    /// The value of the first line called `name`, whatever its case.
    pub fn find(&self, name: &str) -> Option<&'b [u8]> {
        self.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name)).map(|header| header.value)
    }

    /// All lines as (name, value), in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'b str, &'b [u8])> + '_ {
        self.headers.iter().map(|header| (header.name, header.value))
    }

    #[inline]
    fn start(&self, i: usize) -> usize {
        // Both pointers are into the same buffer: `httparse` hands out slices of what it was given.
        self.headers[i].name.as_ptr() as usize - self.head.as_ptr() as usize
    }

    /// Appends the lines for which `keep` holds, as they were written, in runs as long as possible.
    pub(crate) fn write_kept(&self, out: &mut Vec<u8>, keep: impl Fn(Field) -> bool) {
        let mut run: Option<usize> = None;
        for i in 0..self.headers.len() {
            match (keep(self.fields[i]), run) {
                (true, None) => run = Some(self.start(i)),
                (false, Some(start)) => {
                    out.extend_from_slice(&self.head[start..self.start(i)]);
                    run = None;
                }
                (true, Some(_)) | (false, None) => {}
            }
        }
        if let Some(start) = run {
            out.extend_from_slice(&self.head[start..self.end]);
        }
    }

    /// Marks the lines that `Connection` names by `token` as [`Field::HopByHop`]. Fields that the proxy itself understands
    /// keep their meaning: naming `Content-Length` or `X-Forwarded-Host` in `Connection` must not make them vanish.
    pub(crate) fn mark_nominated(&mut self, token: &[u8]) {
        for (field, header) in self.fields.iter_mut().zip(self.headers) {
            if *field == Field::Other && header.name.as_bytes().eq_ignore_ascii_case(token) {
                *field = Field::HopByHop;
            }
        }
    }

    /// The values of all lines that are `field`, in order.
    pub fn values(&self, field: Field) -> impl Iterator<Item = &'b [u8]> + '_ {
        let lines = self.fields.iter().zip(self.headers);
        lines.filter(move |(found, _)| **found == field).map(|(_, header)| header.value)
    }
}

/// The members of a comma-separated list (RFC 9110 §5.6.1), empty ones left out.
pub fn tokens(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    list.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}

/// Whether a comma-separated list has `token`, whatever its case.
pub fn has_token(list: &[u8], token: &str) -> bool {
    tokens(list).any(|member| member.eq_ignore_ascii_case(token.as_bytes()))
}

/// Whether this is one protocol of an `Upgrade` line: a name, and perhaps a version (RFC 9110 §7.8).
pub(crate) fn is_protocol(text: &[u8]) -> bool {
    let is_token = |part: &[u8]| !part.is_empty() && part.iter().all(|&byte| is_token_byte(byte));
    match text.iter().position(|&byte| byte == b'/') {
        Some(at) => is_token(&text[..at]) && is_token(&text[at + 1..]),
        None => is_token(text),
    }
}

/// RFC 9110 §5.6.2.
fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Reads a `Content-Length` value: decimal digits alone (RFC 9110 §8.6).
pub(crate) fn content_length(value: &[u8]) -> Rejected<u64> {
    if value.is_empty() || value.len() > 18 || !value.iter().all(u8::is_ascii_digit) {
        return Err(Reject::LengthInvalid);
    }
    Ok(value.iter().fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
}
