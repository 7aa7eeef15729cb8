//! What the sample service answers, path by path.

use std::time::Duration;

use super::millis;
use super::serve::Service;
use crate::http::{Broken, Head, Peer};
use crate::plan::BODY_MAX;
use crate::websocket::{self, Frame, Side};
use crate::{ID_HEADER, RELEASE_HEADER};

/// The body of a plain answer, in bytes.
const BODY_BYTES: usize = 1024;
/// The longest a query may ask an answer to take.
const SLOW_MAX: Duration = Duration::from_secs(120);
/// Pieces of a streamed answer.
const STREAM_PIECES: usize = 50;
/// The most server-sent events of one answer.
const EVENTS_MAX: u64 = 100_000;

/// What becomes of the connection.
pub(super) enum After {
    Next,
    Closed,
}

/// Takes the request's body, then answers.
pub(super) async fn answer(service: &Service, peer: &mut Peer, head: &Head) -> Result<After, Broken> {
    if head.has_token("expect", "100-continue") {
        peer.write(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
    }
    let body = peer.body(head.framing(true)?, None).await?;
    if head.path() == "/healthz" {
        return health(service, peer, head).await;
    }
    let fails = service.fails_now();
    service.note(head);
    tokio::time::sleep(millis(service.options.work)).await;
    if fails {
        return counted(service, peer, head, 500, b"failing as told\n").await;
    }
    match head.path() {
        "/slow" => {
            tokio::time::sleep(asked_time(head)).await;
            counted(service, peer, head, 200, b"late\n").await
        }
        "/large" => counted(service, peer, head, 200, &vec![b'x'; asked_bytes(head)]).await,
        "/stream" => stream(service, peer, head).await,
        "/sse" => events(service, peer, head).await,
        "/ws" if head.has_token("upgrade", "websocket") => sockets(service, peer, head).await,
        "/whoami" => {
            let (release, pid, answered) = (&service.label, std::process::id(), service.answered.get());
            let told = serde_json::json!({ "release": release, "pid": pid, "answered": answered });
            counted(service, peer, head, 200, told.to_string().as_bytes()).await
        }
        _ if !body.is_empty() => counted(service, peer, head, 200, &body).await,
        _ => counted(service, peer, head, 200, &page(service)).await,
    }
}

async fn health(service: &Service, peer: &mut Peer, head: &Head) -> Result<After, Broken> {
    if service.options.hang_health {
        std::future::pending::<()>().await;
    }
    let (status, text) = if service.options.never_healthy { (503, "unwell\n") } else { (200, "well\n") };
    counted(service, peer, head, status, text.as_bytes()).await
}

/// The plain answer: the label, padded to its size.
fn page(service: &Service) -> Vec<u8> {
    let mut body = format!("release {}\n", service.label).into_bytes();
    body.resize(BODY_BYTES, b'.');
    body
}

/// The head of an answer, up to its framing; the connection closes after it when the service stops or the client asks.
fn start(service: &Service, head: &Head, status: u16) -> (String, After) {
    let reason = match status {
        101 => "Switching Protocols",
        200 => "OK",
        500 => "Internal Server Error",
        _ => "Service Unavailable",
    };
    let mut text = format!("HTTP/1.1 {status} {reason}\r\n{RELEASE_HEADER}: {}\r\n", service.label);
    if let Some(id) = head.header(ID_HEADER) {
        text.push_str(&format!("{ID_HEADER}: {id}\r\n"));
    }
    if service.is_stopping() || head.closes() {
        text.push_str("connection: close\r\n");
        return (text, After::Closed);
    }
    (text, After::Next)
}

async fn counted(service: &Service, peer: &mut Peer, head: &Head, status: u16, body: &[u8]) -> Result<After, Broken> {
    let (mut text, after) = start(service, head, status);
    text.push_str(&format!("content-length: {}\r\n\r\n", body.len()));
    let mut bytes = text.into_bytes();
    if head.method != "HEAD" {
        bytes.extend_from_slice(body);
    }
    peer.write(&bytes).await?;
    Ok(after)
}

/// A counted number of bytes in chunks over a time.
async fn stream(service: &Service, peer: &mut Peer, head: &Head) -> Result<After, Broken> {
    let (mut text, after) = start(service, head, 200);
    text.push_str("transfer-encoding: chunked\r\n\r\n");
    peer.write(text.as_bytes()).await?;
    let (mut left, pause) = (asked_bytes(head), asked_time(head) / STREAM_PIECES as u32);
    let piece = left.div_ceil(STREAM_PIECES).max(1);
    while left > 0 {
        let now = left.min(piece);
        chunk(peer, &vec![b'x'; now]).await?;
        left -= now;
        tokio::time::sleep(pause).await;
    }
    peer.write(b"0\r\n\r\n").await?;
    Ok(after)
}

async fn chunk(peer: &mut Peer, data: &[u8]) -> Result<(), Broken> {
    let mut bytes = format!("{:x}\r\n", data.len()).into_bytes();
    bytes.extend_from_slice(data);
    bytes.extend_from_slice(b"\r\n");
    peer.write(&bytes).await
}

/// Server-sent events; ended whole when the service stops.
async fn events(service: &Service, peer: &mut Peer, head: &Head) -> Result<After, Broken> {
    let (mut text, after) = start(service, head, 200);
    text.push_str("content-type: text/event-stream\r\ncache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n");
    peer.write(text.as_bytes()).await?;
    let count = head.query("events").and_then(|n| n.parse().ok()).unwrap_or(10).min(EVENTS_MAX);
    let mut stopping = service.stopping.clone();
    for number in 0..count {
        chunk(peer, format!("id: {number}\ndata: {}\n\n", service.label).as_bytes()).await?;
        tokio::select! {
            () = tokio::time::sleep(asked_time(head)) => {}
            _ = stopping.wait_for(|stopping| *stopping) => break,
        }
    }
    peer.write(b"0\r\n\r\n").await?;
    Ok(after)
}

/// A WebSocket echo.
async fn sockets(service: &Service, peer: &mut Peer, head: &Head) -> Result<After, Broken> {
    let accept = websocket::accept(head.header("sec-websocket-key").unwrap_or_default());
    let (mut text, _) = start(service, head, 101);
    text = text.replace("connection: close\r\n", "");
    text.push_str(&format!("connection: Upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: {accept}\r\n\r\n"));
    peer.write(text.as_bytes()).await?;
    let mut stopping = service.stopping.clone();
    loop {
        let frame = tokio::select! {
            frame = websocket::read(peer) => frame?,
            _ = stopping.wait_for(|stopping| *stopping) => {
                return say_goodbye(peer).await;
            }
        };
        match frame {
            Frame::Text(text) => peer.write(&websocket::encode(&Frame::Text(text), Side::Service)).await?,
            Frame::Ping(data) => peer.write(&websocket::encode(&Frame::Pong(data), Side::Service)).await?,
            Frame::Pong(_) => {}
            Frame::Close(code) => {
                peer.write(&websocket::encode(&Frame::Close(code), Side::Service)).await?;
                return Ok(After::Closed);
            }
        }
    }
}

/// Close 1001 (going away), then up to a second for the client's own Close.
async fn say_goodbye(peer: &mut Peer) -> Result<After, Broken> {
    peer.write(&websocket::encode(&Frame::Close(1001), Side::Service)).await?;
    let answered = async { while !matches!(websocket::read(peer).await, Ok(Frame::Close(_)) | Err(_)) {} };
    let _ = tokio::time::timeout(millis(1_000), answered).await;
    Ok(After::Closed)
}

fn asked_bytes(head: &Head) -> usize {
    head.query("bytes").and_then(|n| n.parse().ok()).unwrap_or(BODY_BYTES).min(BODY_MAX)
}

fn asked_time(head: &Head) -> Duration {
    head.query("ms").and_then(|n| n.parse().ok()).map_or(millis(100), millis).min(SLOW_MAX)
}
