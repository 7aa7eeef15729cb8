//! One GET over HTTP/1.1, for probes and checks.
//!
//! Not the proxy's codec and not a client library: a probe opens a connection of its own, asks once and closes, and everything it
//! reads is bounded.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The largest head of an answer, in bytes; as large as what the proxy takes (DESIGN §6 rule 8).
pub const HEAD_BYTES_MAX: usize = 32 << 10;
/// The most of a body that is read where a check looks into it, in bytes.
pub const BODY_BYTES_MAX: usize = 1 << 20;
/// The most header fields of an answer.
const HEADERS_MAX: usize = 100;

/// A GET to send.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Get {
    /// Where to.
    pub address: SocketAddr,
    /// The `Host` field.
    pub host: String,
    /// Path and query, beginning with `/`.
    pub path: String,
    /// Further header fields.
    pub headers: Vec<(String, String)>,
    /// How much of the body to read, at most [`BODY_BYTES_MAX`]; 0 for none: the connection is closed after the head.
    pub body_bytes_max: usize,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response {
    /// The status; never 1xx.
    pub status: u16,
    /// As much of the body as was asked for.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum GetFailed {
    /// The connection could not be opened.
    #[error("cannot connect")]
    Connect(#[source] io::Error),
    /// A field or the path holds what cannot be sent in a head.
    #[error("{0:?} cannot be sent in a head")]
    Unsendable(String),
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broken(#[from] io::Error),
    /// The answer ended within its head, or within its body.
    #[error("the answer ended early")]
    EndedEarly,
    /// The head is larger than [`HEAD_BYTES_MAX`].
    #[error("the head is larger than {HEAD_BYTES_MAX} bytes")]
    HeadTooLarge,
    /// The answer is not HTTP/1.
    #[error("the answer is not HTTP: {0}")]
    NotHttp(String),
}

/// Asks and reads the answer. Has no time limit of its own; callers wrap it.
///
/// # Errors
/// [`GetFailed`].
pub async fn get(order: &Get) -> Result<Response, GetFailed> {
    let request = head(order)?;
    let mut stream = TcpStream::connect(order.address).await.map_err(GetFailed::Connect)?;
    stream.write_all(request.as_bytes()).await?;
    let mut buffer = Vec::with_capacity(1024);
    let (status, framing, consumed) = loop {
        match parse(&buffer)? {
            // An interim answer: the final one follows.
            Some((100..=199, _, consumed)) => {
                buffer.drain(..consumed);
                continue;
            }
            Some(found) => break found,
            None if buffer.len() >= HEAD_BYTES_MAX => return Err(GetFailed::HeadTooLarge),
            None => {}
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Err(GetFailed::EndedEarly);
        }
    };
    buffer.drain(..consumed);
    let wanted = order.body_bytes_max.min(BODY_BYTES_MAX);
    let body = if wanted == 0 || matches!(status, 204 | 304) {
        Vec::new()
    } else {
        read_body(&mut stream, buffer, framing, wanted).await?
    };
    Ok(Response { status, body })
}

fn head(order: &Get) -> Result<String, GetFailed> {
    let fine = |text: &str| text.bytes().all(|byte| byte == b'\t' || (0x20..0x7f).contains(&byte) || byte >= 0x80);
    let mut text = format!("GET {} HTTP/1.1\r\nHost: {}\r\n", order.path, order.host);
    for (name, value) in &order.headers {
        text += &format!("{name}: {value}\r\n");
    }
    let parts = order.headers.iter().flat_map(|(name, value)| [name, value]).chain([&order.path, &order.host]);
    if let Some(wrong) = parts.into_iter().find(|part| !fine(part)) {
        return Err(GetFailed::Unsendable(wrong.clone()));
    }
    if order.path.contains(' ') || !order.path.starts_with('/') {
        return Err(GetFailed::Unsendable(order.path.clone()));
    }
    text += "User-Agent: gapless-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n";
    Ok(text)
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Framing {
    Length(u64),
    Chunked,
    UntilClose,
}

/// The status, the body's framing and the length of the head, once it is whole.
fn parse(buffer: &[u8]) -> Result<Option<(u16, Framing, usize)>, GetFailed> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let consumed = match response.parse(buffer) {
        Ok(httparse::Status::Complete(consumed)) => consumed,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(GetFailed::NotHttp(error.to_string())),
    };
    let status = response.code.ok_or_else(|| GetFailed::NotHttp("no status".to_owned()))?;
    let mut framing = Framing::UntilClose;
    for header in response.headers.iter() {
        let value = String::from_utf8_lossy(header.value);
        if header.name.eq_ignore_ascii_case("transfer-encoding") {
            framing = Framing::Chunked;
        } else if header.name.eq_ignore_ascii_case("content-length") && framing != Framing::Chunked {
            let length = value.trim().parse().map_err(|_| GetFailed::NotHttp(format!("Content-Length {value:?}")))?;
            framing = Framing::Length(length);
        }
    }
    Ok(Some((status, framing, consumed)))
}

async fn read_body(
    stream: &mut TcpStream,
    mut buffer: Vec<u8>,
    framing: Framing,
    wanted: usize,
) -> Result<Vec<u8>, GetFailed> {
    let mut body = Vec::new();
    // What chunk framing adds is bounded with the body: a chunk of one byte costs six.
    let raw_bytes_max = match framing {
        Framing::Chunked => wanted.saturating_mul(8).saturating_add(HEAD_BYTES_MAX),
        Framing::Length(_) | Framing::UntilClose => wanted,
    };
    let mut raw_bytes = buffer.len();
    loop {
        let ended = match framing {
            Framing::Length(length) => {
                body.append(&mut buffer);
                body.len() as u64 >= length
            }
            Framing::UntilClose => {
                body.append(&mut buffer);
                false
            }
            Framing::Chunked => take_chunks(&mut buffer, &mut body)?,
        };
        if ended || body.len() >= wanted || raw_bytes > raw_bytes_max {
            body.truncate(wanted);
            return Ok(body);
        }
        match stream.read_buf(&mut buffer).await? {
            0 if framing == Framing::UntilClose => return Ok(body),
            0 => return Err(GetFailed::EndedEarly),
            length => raw_bytes += length,
        }
    }
}

/// Moves all whole chunks to the body; whether the last one was seen.
fn take_chunks(buffer: &mut Vec<u8>, body: &mut Vec<u8>) -> Result<bool, GetFailed> {
    loop {
        match httparse::parse_chunk_size(buffer) {
            Ok(httparse::Status::Complete((_, 0))) => return Ok(true),
            Ok(httparse::Status::Complete((start, size))) => {
                let end = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
                let Some(end) = end.filter(|end| *end <= BODY_BYTES_MAX * 2) else {
                    return Err(GetFailed::NotHttp("a chunk that is too large".to_owned()));
                };
                if buffer.len() < end + 2 {
                    return Ok(false);
                }
                body.extend_from_slice(&buffer[start..end]);
                buffer.drain(..end + 2);
            }
            Ok(httparse::Status::Partial) => return Ok(false),
            Err(error) => return Err(GetFailed::NotHttp(error.to_string())),
        }
    }
}
