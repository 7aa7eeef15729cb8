//! The head of a response, read strictly (RFC 9112 §4, §6.3).

use crate::body::Framing;
use crate::fields::{Field, Lines, Slots};
use crate::limits::{HEAD_BYTES_MAX, HEADERS_MAX};
use crate::message::{BodyLength, Connection, Persistence, Version, head_length};
use crate::reject::{Reject, Rejected};

/// What of the request decides how its response is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestContext {
    /// The response to `HEAD` has a head alone, whatever its header lines say.
    Head,
    /// Any other request.
    Other,
}

/// The head of a response. Borrows from the buffer it was read from.
#[derive(Debug)]
pub struct ResponseHead<'h, 'b> {
    /// 100 to 599.
    pub status: u16,
    /// The reason phrase as it was written.
    pub reason: &'b str,
    /// What the instance speaks.
    pub version: Version,
    /// How the body's end is told.
    pub framing: Framing,
    /// Whether the instance keeps the connection.
    pub persistence: Persistence,
    /// The one protocol the instance changes to (only with status 101, which without one is refused).
    pub upgrade: Option<&'b [u8]>,
    /// The `timeout` parameter of `Keep-Alive`, in seconds, if there is one.
    pub keep_alive_seconds: Option<u32>,
    /// The header lines.
    pub lines: Lines<'h, 'b>,
    /// Bytes of the head, from the beginning of the buffer to the first byte of the body.
    pub length: usize,
}

impl ResponseHead<'_, '_> {
    /// Whether another response to the same request follows (1xx, but not 101).
    pub fn is_interim(&self) -> bool {
        self.status < 200 && self.status != 101
    }
}

/// Reads the head of a response at the front of `buffer`; `None` when it is not all there yet.
///
/// # Errors
/// [`Reject`]: the instance broke the protocol and nothing of its answer may be forwarded.
pub fn parse_response<'h, 'b>(
    buffer: &'b [u8],
    slots: &'h mut Slots<'b>,
    context: RequestContext,
) -> Rejected<Option<ResponseHead<'h, 'b>>> {
    if let [b'\r' | b'\n', ..] = buffer {
        return Err(Reject::LeadingLines);
    }
    let config = httparse::ParserConfig::default();
    let mut parsed = httparse::Response::new(&mut []);
    let found = config.parse_response_with_uninit_headers(&mut parsed, buffer, &mut slots.headers);
    let Some(length) = head_length(found, buffer.len(), HEAD_BYTES_MAX)? else { return Ok(None) };
    if parsed.headers.len() > HEADERS_MAX {
        return Err(Reject::HeadTooLarge);
    }
    let (Some(status), Some(reason), Some(version)) = (parsed.code, parsed.reason, parsed.version) else {
        return Err(Reject::StartLine);
    };
    if !(100..600).contains(&status) {
        return Err(Reject::StartLine);
    }
    let mut lines = Lines::new(&buffer[..length], parsed.headers, &mut slots.fields)?;
    let version = Version::of(version);
    let facts = Facts::of(&mut lines, version)?;
    let framing = match (status, context) {
        (100..=199 | 204 | 304, _) | (_, RequestContext::Head) => Framing::None,
        (_, RequestContext::Other) => facts.framing,
    };
    let persistence = if framing == Framing::UntilClose { Persistence::Close } else { facts.persistence };
    let upgrade = facts.upgrade.filter(|_| status == 101);
    if status == 101 && upgrade.is_none() {
        return Err(Reject::HeaderLine);
    }
    Ok(Some(ResponseHead {
        status,
        reason,
        version,
        framing,
        persistence,
        upgrade,
        keep_alive_seconds: facts.keep_alive_seconds,
        lines,
        length,
    }))
}

struct Facts<'b> {
    framing: Framing,
    persistence: Persistence,
    upgrade: Option<&'b [u8]>,
    keep_alive_seconds: Option<u32>,
}

impl<'b> Facts<'b> {
    fn of(lines: &mut Lines<'_, 'b>, version: Version) -> Rejected<Self> {
        let mut body = BodyLength::default();
        let mut upgrades = 0;
        let mut upgrade = None;
        let mut keep_alive_seconds = None;
        let mut connection = Connection::default();
        for i in 0..lines.len() {
            let value = lines.value(i);
            match lines.field(i) {
                Field::ContentLength => body.read_length(i, lines)?,
                Field::TransferEncoding => body.read_coding(value, version)?,
                Field::Connection => connection.read(value, lines)?,
                Field::Upgrade => {
                    upgrades += crate::fields::tokens(value).count();
                    upgrade = Some(value).filter(|value| crate::fields::is_protocol(value));
                }
                Field::HopByHop if lines.name(i).eq_ignore_ascii_case("keep-alive") => {
                    keep_alive_seconds = keep_alive_timeout(value);
                }
                other => lines.set_field(i, other.in_response()),
            }
        }
        let framing = body.framing(Framing::UntilClose)?;
        // Whoever names two protocols has not said which bytes follow.
        let upgrade = upgrade.filter(|_| connection.upgrade && upgrades == 1);
        Ok(Self { framing, persistence: connection.persistence(version), upgrade, keep_alive_seconds })
    }
}

/// The `timeout` of `Keep-Alive: timeout=5, max=100`.
fn keep_alive_timeout(value: &[u8]) -> Option<u32> {
    crate::fields::tokens(value)
        .find_map(|token| token.strip_prefix(b"timeout="))
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| digits.parse().ok())
}
