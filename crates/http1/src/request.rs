//! The head of a request, read strictly (RFC 9112 §3, §6).

use crate::body::Framing;
use crate::fields::{Field, Lines, Slots};
use crate::limits::{
    HEAD_BYTES_MAX, HEADERS_MAX, LEADING_EMPTY_LINES_MAX, LINES_MAX, OWN_BYTES_MAX, REQUEST_ID_BYTES_MAX,
};
use crate::message::{BodyLength, Connection, Persistence, Version, head_length};
use crate::reject::{Reject, Rejected};
use crate::render::Inbound;

/// A request method.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method<'b>(&'b str);

impl<'b> Method<'b> {
    /// The method as it was written. Methods are case-sensitive.
    pub fn as_str(self) -> &'b str {
        self.0
    }

    /// Whether doing it twice is as good as once (RFC 9110 §9.2.2).
    pub fn is_idempotent(self) -> bool {
        matches!(self.0, "GET" | "HEAD" | "PUT" | "DELETE" | "OPTIONS" | "TRACE")
    }

    /// Whether answers to it have no body.
    pub fn is_head(self) -> bool {
        self.0 == "HEAD"
    }
}

/// The head of a request. Borrows from the buffer it was read from.
#[derive(Debug)]
pub struct RequestHead<'h, 'b> {
    /// What is to be done.
    pub method: Method<'b>,
    /// Path and query as it was written, beginning with `/`, or `*`. An absolute-form target is reduced to this.
    pub target: &'b str,
    /// The value of `Host`, with the port if it was given. Empty when an HTTP/1.0 client gave none.
    pub host: &'b str,
    /// What the client speaks.
    pub version: Version,
    /// How the body's end is told.
    pub framing: Framing,
    /// Whether the client wants the connection to go on.
    pub persistence: Persistence,
    /// Whether the client waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// The one protocol that is offered on of those the client offers to change to, if `Connection: upgrade` says so too: the first
    /// that is a protocol and is not `h2c`.
    pub upgrade: Option<&'b [u8]>,
    /// The header lines.
    pub lines: Lines<'h, 'b>,
    /// Bytes of the head, from the beginning of the buffer to the first byte of the body.
    pub length: usize,
}

impl<'b> RequestHead<'_, 'b> {
    /// The `X-Request-Id` that is passed on: that of a trusted peer, where it is there once, is short, and is made of what ids are
    /// made of. Logs and traces of others are keyed by it, so it is nobody's to choose who is not trusted.
    pub fn kept_request_id(&self, inbound: Inbound) -> Option<&'b [u8]> {
        let mut ids = self.lines.values(Field::RequestId);
        let (id, None) = (ids.next()?, ids.next()) else { return None };
        let well_formed = (1..=REQUEST_ID_BYTES_MAX).contains(&id.len())
            && id.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_.:/+=@".contains(byte));
        (inbound == Inbound::Trusted && well_formed).then_some(id)
    }
}

/// Reads the head of a request at the front of `buffer`; `None` when it is not all there yet.
///
/// # Errors
/// [`Reject`]; its status is the answer.
pub fn parse_request<'h, 'b>(buffer: &'b [u8], slots: &'h mut Slots<'b>) -> Rejected<Option<RequestHead<'h, 'b>>> {
    parse_bounded(buffer, slots, HEADERS_MAX, HEAD_BYTES_MAX)
}

/// Reads a head that [`crate::write_request`] rendered, which has our lines besides the client's.
///
/// # Errors
/// [`Reject`] when `buffer` does not begin with such a head.
pub fn parse_rendered<'h, 'b>(buffer: &'b [u8], slots: &'h mut Slots<'b>) -> Rejected<Option<RequestHead<'h, 'b>>> {
    parse_bounded(buffer, slots, LINES_MAX, HEAD_BYTES_MAX + OWN_BYTES_MAX)
}

#[inline]
fn parse_bounded<'h, 'b>(
    buffer: &'b [u8],
    slots: &'h mut Slots<'b>,
    lines_max: usize,
    bytes_max: usize,
) -> Rejected<Option<RequestHead<'h, 'b>>> {
    let skipped = leading_lines(buffer)?;
    let buffer = &buffer[skipped..];
    let mut parsed = httparse::Request::new(&mut []);
    let found = parsed.parse_with_uninit_headers(buffer, &mut slots.headers);
    let Some(length) = head_length(found, buffer.len(), bytes_max)? else { return Ok(None) };
    if parsed.headers.len() > lines_max {
        return Err(Reject::HeadTooLarge);
    }
    let (Some(method), Some(target), Some(version)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(Reject::StartLine);
    };
    let mut lines = Lines::new(&buffer[..length], parsed.headers, &mut slots.fields)?;
    let version = Version::of(version);
    let facts = Facts::of(&mut lines, version)?;
    let (target, authority) = split_target(method, target)?;
    let host = facts.host.unwrap_or("");
    if let Some(authority) = authority {
        check_authority(authority, facts.host)?;
    }
    Ok(Some(RequestHead {
        method: Method(method),
        target,
        host,
        version,
        framing: facts.framing,
        persistence: facts.persistence,
        expects_continue: facts.expects_continue,
        upgrade: facts.upgrade,
        lines,
        length: skipped + length,
    }))
}

/// Bytes of empty lines before the request line.
#[inline]
fn leading_lines(buffer: &[u8]) -> Rejected<usize> {
    let mut skipped = 0;
    while let [b'\r', b'\n', ..] = buffer[skipped..] {
        skipped += 2;
        if skipped > 2 * LEADING_EMPTY_LINES_MAX {
            return Err(Reject::LeadingLines);
        }
    }
    match buffer[skipped..] {
        [b'\n', ..] | [b'\r', _, ..] => Err(Reject::LineEnding),
        _ => Ok(skipped),
    }
}

/// What the header lines say about the message.
struct Facts<'b> {
    host: Option<&'b str>,
    framing: Framing,
    persistence: Persistence,
    expects_continue: bool,
    upgrade: Option<&'b [u8]>,
}

impl<'b> Facts<'b> {
    fn of(lines: &mut Lines<'_, 'b>, version: Version) -> Rejected<Self> {
        let mut host = None;
        let mut body = BodyLength::default();
        let mut expects_continue = false;
        let mut upgrade = None;
        let mut connection = Connection::default();
        for i in 0..lines.len() {
            let value = lines.value(i);
            match lines.field(i) {
                Field::Host if host.is_some() => return Err(Reject::HostDuplicate),
                Field::Host => host = Some(check_host(value)?),
                Field::ContentLength => body.read_length(i, lines)?,
                Field::TransferEncoding => body.read_coding(value, version)?,
                Field::FramingAlias => return Err(Reject::FramingAlias),
                Field::Connection => connection.read(value, lines)?,
                Field::Upgrade => upgrade = upgrade.or_else(|| first_forwarded(value)),
                Field::Expect if value.eq_ignore_ascii_case(b"100-continue") => {
                    expects_continue = version == Version::Http11;
                }
                Field::Expect => return Err(Reject::Expectation),
                Field::Other
                | Field::RequestId
                | Field::ForwardedFor
                | Field::Forwarded
                | Field::Preview
                | Field::Alias
                | Field::HopByHop
                | Field::Redundant => {}
            }
        }
        let framing = body.framing(Framing::None)?;
        if host.is_none() && version == Version::Http11 {
            return Err(Reject::HostMissing);
        }
        Ok(Self {
            host,
            framing,
            persistence: connection.persistence(version),
            expects_continue: expects_continue && framing != Framing::None,
            upgrade: upgrade.filter(|_| connection.upgrade && version == Version::Http11),
        })
    }
}

/// The first protocol of an offer that is passed on. `h2c` is not (RFC 9113 §3.1 retired it): requests in such a tunnel would get past
/// routing and past every rule here.
fn first_forwarded(offer: &[u8]) -> Option<&[u8]> {
    let retired = |protocol: &[u8]| protocol.get(..3).is_some_and(|start| start.eq_ignore_ascii_case(b"h2c"));
    crate::fields::tokens(offer).find(|protocol| crate::fields::is_protocol(protocol) && !retired(protocol))
}

/// Splits a target into what is sent on and the authority it named.
#[inline]
fn split_target<'b>(method: &str, target: &'b str) -> Rejected<(&'b str, Option<&'b str>)> {
    if method == "CONNECT" {
        return Err(Reject::Connect);
    }
    if !target.bytes().all(|byte| matches!(byte, b'!'..=b'~') && byte != b'#') {
        return Err(Reject::Target);
    }
    if target.starts_with('/') {
        return Ok((target, None));
    }
    if target == "*" {
        return if method == "OPTIONS" { Ok((target, None)) } else { Err(Reject::Target) };
    }
    let (scheme, rest) = target.split_once("://").ok_or(Reject::Target)?;
    if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
        return Err(Reject::Target);
    }
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    if authority.is_empty() || authority.contains('@') {
        return Err(Reject::Target);
    }
    match path {
        "" => Ok(("/", Some(authority))),
        // "http://host?query" would have to be sent as "/?query", which is not in the buffer. Nobody sends it.
        _ if path.starts_with('?') => Err(Reject::Target),
        _ => Ok((path, Some(authority))),
    }
}

/// The authority of the target and `Host` must agree: two readers must not route the request differently.
fn check_authority(authority: &str, host: Option<&str>) -> Rejected<()> {
    let plain = |name: &'_ str| name.strip_suffix(":80").unwrap_or(name).to_ascii_lowercase();
    match host {
        Some(host) if plain(host) == plain(authority) => Ok(()),
        _ => Err(Reject::HostMismatch),
    }
}

/// A host name, an address or an address in brackets, with or without a port (RFC 9110 §7.2).
#[inline]
fn check_host(value: &[u8]) -> Rejected<&str> {
    let valid = value.iter().all(|&byte| {
        byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b':' | b'[' | b']' | b'~' | b'%')
    });
    if !valid {
        return Err(Reject::HostInvalid);
    }
    std::str::from_utf8(value).map_err(|_| Reject::HostInvalid)
}

#[cfg(test)]
mod tests {
    use super::Method;

    #[test]
    fn only_methods_that_are_known_to_be_are_idempotent_and_they_have_a_case() {
        for (method, idempotent) in [("GET", true), ("PUT", true), ("POST", false), ("PATCH", false), ("get", false)] {
            assert_eq!(Method(method).is_idempotent(), idempotent, "{method}");
        }
    }
}
