//! Heads written for the next hop: hop-by-hop lines removed, ours added, everything else as it was.

use crate::body::Framing;
use crate::fields::Field;
use crate::message::{Persistence, Version};
use crate::request::RequestHead;
use crate::response::ResponseHead;

/// What becomes of `X-Forwarded-…` and `Forwarded` lines that came with the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inbound {
    /// The peer is anybody: they are dropped.
    Dropped,
    /// The peer is a trusted proxy: they are kept, and ours are added behind them where a list is meant.
    Trusted,
}

/// What is added to a request.
#[derive(Debug, Clone, Copy)]
pub struct Forwarding<'a> {
    /// The `X-Forwarded-For` line of the peer, ended by CRLF. The same for a whole connection.
    pub peer_line: &'a [u8],
    /// The `X-Forwarded-Proto` line, ended by CRLF. The same for a whole connection.
    pub protocol_line: &'a [u8],
    /// Used for `X-Request-Id` unless [`RequestHead::kept_request_id`] has one.
    pub request_id: &'a [u8],
    /// What becomes of the same lines from the client.
    pub inbound: Inbound,
}

/// Appends the head of a request for an instance.
///
/// The body must be sent in the framing of `head`: counted as it was counted, chunked as chunks.
pub fn write_request(out: &mut Vec<u8>, head: &RequestHead<'_, '_>, forwarding: &Forwarding<'_>) {
    out.reserve(head.length + forwarding.peer_line.len() + head.host.len() + 160);
    out.extend_from_slice(head.method.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.target.as_bytes());
    out.extend_from_slice(b" HTTP/1.1\r\n");
    let trusted = forwarding.inbound == Inbound::Trusted;
    let identified = head.kept_request_id(forwarding.inbound).is_some();
    head.lines.write_kept(out, |field| match field {
        Field::Other | Field::Host | Field::ContentLength | Field::TransferEncoding => true,
        Field::RequestId => identified,
        Field::Expect => head.expects_continue,
        Field::ForwardedFor | Field::Forwarded => trusted,
        Field::Connection
        | Field::Upgrade
        | Field::HopByHop
        | Field::Redundant
        | Field::Preview
        | Field::Alias
        | Field::FramingAlias => false,
    });
    if let Some(protocol) = head.upgrade {
        out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
        out.extend_from_slice(protocol);
        out.extend_from_slice(b"\r\n");
    }
    if !head.lines.has(Field::Host) {
        // HTTP/1.0 without a host: an HTTP/1.1 request has one, be it empty.
        out.extend_from_slice(b"Host: \r\n");
    }
    out.extend_from_slice(forwarding.peer_line);
    if !(trusted && head.lines.find("x-forwarded-proto").is_some()) {
        out.extend_from_slice(forwarding.protocol_line);
    }
    if !(trusted && head.lines.find("x-forwarded-host").is_some()) {
        out.extend_from_slice(b"X-Forwarded-Host: ");
        out.extend_from_slice(head.host.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !identified {
        out.extend_from_slice(b"X-Request-Id: ");
        out.extend_from_slice(forwarding.request_id);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
}

/// How a response is delivered to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delivery {
    /// How the body's end is told to the client.
    pub framing: Framing,
    /// Whether the client's connection goes on.
    pub persistence: Persistence,
}

impl Delivery {
    /// How the response `head` is delivered to a client that speaks `version` and wants `persistence`.
    ///
    /// A body whose end is told by the instance's closing becomes chunks where the client knows chunks, so that a cut is
    /// not taken for the end.
    pub fn of(head: &ResponseHead<'_, '_>, version: Version, persistence: Persistence) -> Self {
        match (head.framing, version) {
            (Framing::None | Framing::Counted(_), _) => Self { framing: head.framing, persistence },
            (Framing::Chunked | Framing::UntilClose, Version::Http11) => {
                Self { framing: Framing::Chunked, persistence }
            }
            (Framing::Chunked | Framing::UntilClose, Version::Http10) => {
                Self { framing: Framing::UntilClose, persistence: Persistence::Close }
            }
        }
    }
}

/// Appends the head of a final response (not 101) for a client.
pub fn write_response(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>, delivery: Delivery, version: Version) {
    write_status_line(out, head);
    let coded = delivery.framing == Framing::Chunked;
    // RFC 9110 §8.6: no Content-Length with 204. With 304 and in answer to HEAD it tells what there would be.
    let counted = head.status != 204;
    head.lines.write_kept(out, |field| match field {
        Field::ContentLength => counted,
        Field::TransferEncoding => coded && head.framing == Framing::Chunked,
        // 426 tells what to upgrade to; elsewhere an offer is between the instance and us.
        Field::Upgrade => head.status == 426,
        other => other.in_response() == Field::Other,
    });
    if coded && head.framing == Framing::UntilClose {
        out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
    }
    match (delivery.persistence, version) {
        (Persistence::Close, _) => out.extend_from_slice(b"Connection: close\r\n\r\n"),
        (Persistence::KeepAlive, Version::Http10) => out.extend_from_slice(b"Connection: keep-alive\r\n\r\n"),
        (Persistence::KeepAlive, Version::Http11) => out.extend_from_slice(b"\r\n"),
    }
}

/// Appends an interim response (1xx, but not 101).
pub fn write_interim(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    write_status_line(out, head);
    head.lines.write_kept(out, |field| field == Field::Other);
    out.extend_from_slice(b"\r\n");
}

/// Appends the `101 Switching Protocols` that begins a tunnel.
pub fn write_switching(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    write_status_line(out, head);
    head.lines.write_kept(out, |field| matches!(field, Field::Other | Field::Upgrade));
    out.extend_from_slice(b"Connection: Upgrade\r\n\r\n");
}

fn write_status_line(out: &mut Vec<u8>, head: &ResponseHead<'_, '_>) {
    out.reserve(head.length + 64);
    if head.status == 200 && head.reason == "OK" {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        return;
    }
    out.extend_from_slice(b"HTTP/1.1 ");
    let digits = [head.status / 100, head.status / 10 % 10, head.status % 10].map(|digit| b'0' + digit as u8);
    out.extend_from_slice(&digits);
    out.push(b' ');
    out.extend_from_slice(head.reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}
