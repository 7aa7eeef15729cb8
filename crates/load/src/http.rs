//! Just enough HTTP/1.1 for both ends of the load: heads by `httparse`, bodies counted, in chunks or to the end.
//!
//! Not the proxy's codec, on purpose (see the crate's docs).

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::plan::BODY_MAX;

/// The most headers of one head.
const HEADERS_MAX: usize = 64;
/// The largest head, in bytes.
const HEAD_MAX: usize = 32 * 1024;
/// How much is read at once.
const READ_SIZE: usize = 16 * 1024;

/// Why an exchange did not come to its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The other side closed or reset the connection; whether anything of the message had come.
    Ended { began: bool },
    /// What came is not HTTP/1.1.
    Malformed(String),
}

impl Broken {
    pub fn malformed(why: impl Into<String>) -> Self {
        Self::Malformed(why.into())
    }
}

/// How the end of a body is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Counted(u64),
    Chunked,
    UntilClose,
}

/// A head, of a request or an answer.
#[derive(Debug)]
pub(crate) struct Head {
    /// The status of an answer; 0 for a request.
    pub status: u16,
    pub method: String,
    pub target: String,
    headers: Vec<(String, String)>,
    /// Whether the version is 1.0, where connections close by default.
    old: bool,
}

impl Head {
    /// The first value of a header, by its lower-case name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Whether a comma-separated header holds a word.
    pub fn has_token(&self, name: &str, token: &str) -> bool {
        let mut values = self.headers.iter().filter(|(known, _)| known == name);
        values.any(|(_, value)| value.split(',').any(|word| word.trim().eq_ignore_ascii_case(token)))
    }

    /// Whether this message is the connection's last.
    pub fn closes(&self) -> bool {
        self.has_token("connection", "close") || (self.old && !self.has_token("connection", "keep-alive"))
    }

    /// How the body of this message is framed (RFC 9112 §6.3); `head_only` for answers to HEAD.
    pub fn framing(&self, is_request: bool) -> Result<Framing, Broken> {
        if !is_request && (self.status < 200 || self.status == 204 || self.status == 304) {
            return Ok(Framing::Counted(0));
        }
        let length = self.header("content-length");
        if self.has_token("transfer-encoding", "chunked") {
            if length.is_some() {
                return Err(Broken::malformed("both Content-Length and Transfer-Encoding"));
            }
            return Ok(Framing::Chunked);
        }
        match length {
            Some(text) => match text.trim().parse() {
                Ok(length) => Ok(Framing::Counted(length)),
                Err(_) => Err(Broken::malformed(format!("Content-Length `{text}`"))),
            },
            None if is_request => Ok(Framing::Counted(0)),
            None => Ok(Framing::UntilClose),
        }
    }

    /// The value of a key in the query, as it is written.
    pub fn query(&self, key: &str) -> Option<&str> {
        let (_, query) = self.target.split_once('?')?;
        query.split('&').find_map(|pair| pair.split_once('=').filter(|(name, _)| *name == key)).map(|(_, value)| value)
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// The bytes used and the head, none while it is not whole.
type Parsed = Result<Option<(usize, Head)>, Broken>;

/// How fast a body is read: by a schedule, so that a reader who wakes late catches up instead of adding its lateness up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// The body's length, in bytes.
    pub bytes: usize,
    /// How long all of it takes.
    pub over: Duration,
    /// The most bytes that are read at once.
    pub piece: usize,
}

impl Pace {
    /// When so many bytes are to have been read, after the beginning.
    fn due(self, read: usize) -> Duration {
        self.over.mul_f64((read as f64 / self.bytes.max(1) as f64).min(1.0))
    }
}

/// A connection with what was read and not yet used.
pub(crate) struct Peer {
    pub socket: TcpStream,
    buffer: Vec<u8>,
}

impl Peer {
    pub fn new(socket: TcpStream) -> Self {
        Self { socket, buffer: Vec::new() }
    }

    /// Whether bytes wait that belong to no message yet.
    pub fn has_leftover(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether an idle connection can still be used: neither closed nor with bytes nobody asked for.
    /// What has come meanwhile is kept as leftover.
    pub fn is_idle_and_open(&mut self) -> bool {
        self.buffer.is_empty()
            && matches!(self.socket.try_read_buf(&mut self.buffer), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Reads more; false at the end of the stream. A reset is an end like any other: the ledger tells them apart by what had come.
    pub async fn fill(&mut self) -> bool {
        self.buffer.reserve(READ_SIZE);
        matches!(self.socket.read_buf(&mut self.buffer).await, Ok(read) if read > 0)
    }

    /// Writes all of it.
    pub async fn write(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        self.socket.write_all(bytes).await.map_err(|_| Broken::Ended { began: false })
    }

    /// The next answer's head, interim ones (100, 103) passed over.
    pub async fn answer_head(&mut self) -> Result<Head, Broken> {
        loop {
            let head = self.head(parse_answer).await?;
            if head.status >= 200 || head.status == 101 {
                return Ok(head);
            }
        }
    }

    /// The next request's head; `Ended { began: false }` when the other side is done.
    pub async fn request_head(&mut self) -> Result<Head, Broken> {
        self.head(parse_request).await
    }

    async fn head(&mut self, parse: fn(&[u8]) -> Parsed) -> Result<Head, Broken> {
        loop {
            if let Some((used, head)) = parse(&self.buffer)? {
                self.buffer.drain(..used);
                return Ok(head);
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(Broken::malformed("a head past 32 KiB"));
            }
            if !self.fill().await {
                return Err(Broken::Ended { began: !self.buffer.is_empty() });
            }
        }
    }

    /// A whole body, read at a pace if one is given.
    pub async fn body(&mut self, framing: Framing, pace: Option<Pace>) -> Result<Vec<u8>, Broken> {
        let mut body = Vec::new();
        let begun = Instant::now();
        match framing {
            Framing::Counted(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.take(length, pace.map(|pace| (pace, begun)), &mut body).await?;
            }
            Framing::Chunked => self.chunks(pace.map(|pace| (pace, begun)), &mut body).await?,
            Framing::UntilClose => {
                while self.fill().await {
                    if self.buffer.len() > BODY_MAX {
                        return Err(Broken::malformed("a body past its bound"));
                    }
                }
                body.append(&mut self.buffer);
            }
        }
        Ok(body)
    }

    /// Exactly `length` bytes, appended to `body`.
    async fn take(&mut self, length: usize, pace: Option<(Pace, Instant)>, body: &mut Vec<u8>) -> Result<(), Broken> {
        if length.saturating_add(body.len()) > BODY_MAX {
            return Err(Broken::malformed("a body past its bound"));
        }
        let mut left = length;
        while left > 0 {
            if self.buffer.is_empty() && !self.fill().await {
                return Err(Broken::Ended { began: true });
            }
            let piece = left.min(self.buffer.len()).min(pace.map_or(usize::MAX, |(pace, _)| pace.piece));
            body.extend(self.buffer.drain(..piece));
            left -= piece;
            if let Some((pace, begun)) = pace {
                tokio::time::sleep_until(begun + pace.due(body.len())).await;
            }
        }
        Ok(())
    }

    async fn chunks(&mut self, pace: Option<(Pace, Instant)>, body: &mut Vec<u8>) -> Result<(), Broken> {
        loop {
            let line = self.line().await?;
            let size = line.split(';').next().unwrap_or_default().trim();
            let size =
                usize::from_str_radix(size, 16).map_err(|_| Broken::malformed(format!("chunk size `{size}`")))?;
            if size == 0 {
                while !self.line().await?.is_empty() {} // trailers
                return Ok(());
            }
            self.take(size, pace, body).await?;
            if !self.line().await?.is_empty() {
                return Err(Broken::malformed("a chunk longer than its size"));
            }
        }
    }

    /// A line without its CRLF.
    async fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = String::from_utf8_lossy(&self.buffer[..end]).into_owned();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            if self.buffer.len() > HEAD_MAX {
                return Err(Broken::malformed("a line past 32 KiB"));
            }
            if !self.fill().await {
                return Err(Broken::Ended { began: true });
            }
        }
    }

    /// Exactly so many bytes, for what follows an upgrade.
    pub async fn exactly(&mut self, length: usize) -> Result<Vec<u8>, Broken> {
        let mut bytes = Vec::with_capacity(length.min(READ_SIZE));
        self.take(length, None, &mut bytes).await?;
        Ok(bytes)
    }
}

fn parse_answer(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let used = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Broken::malformed(error.to_string())),
    };
    let head = Head {
        status: parsed.code.unwrap_or(0),
        method: String::new(),
        target: String::new(),
        old: parsed.version == Some(0),
        headers: owned(parsed.headers),
    };
    Ok(Some((used, head)))
}

fn parse_request(bytes: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Request::new(&mut headers);
    let used = match parsed.parse(bytes) {
        Ok(httparse::Status::Complete(used)) => used,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(error) => return Err(Broken::malformed(error.to_string())),
    };
    let head = Head {
        status: 0,
        method: parsed.method.unwrap_or_default().to_owned(),
        target: parsed.path.unwrap_or_default().to_owned(),
        old: parsed.version == Some(0),
        headers: owned(parsed.headers),
    };
    Ok(Some((used, head)))
}

fn owned(headers: &[httparse::Header<'_>]) -> Vec<(String, String)> {
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    headers.iter().map(|header| (header.name.to_ascii_lowercase(), text(header.value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Head {
        parse_answer(text.as_bytes()).unwrap().unwrap().1
    }

    #[test]
    fn the_framing_follows_the_head() {
        let framing = |text: &str| answer(text).framing(false);
        assert_eq!(framing("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").unwrap(), Framing::Counted(5));
        assert_eq!(framing("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap(), Framing::Chunked);
        assert_eq!(framing("HTTP/1.1 200 OK\r\n\r\n").unwrap(), Framing::UntilClose);
        assert_eq!(framing("HTTP/1.1 204 No\r\n\r\n").unwrap(), Framing::Counted(0));
        assert!(framing("HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n").is_err());
    }

    #[test]
    fn a_close_is_announced_by_word_or_by_version() {
        assert!(answer("HTTP/1.1 200 OK\r\nConnection: foo, Close\r\n\r\n").closes());
        assert!(answer("HTTP/1.0 200 OK\r\n\r\n").closes());
        assert!(!answer("HTTP/1.1 200 OK\r\n\r\n").closes());
    }

    #[test]
    fn path_and_query_are_told_apart() {
        let (_, head) = parse_request(b"GET /large?bytes=12&id=r-1 HTTP/1.1\r\n\r\n").unwrap().unwrap();
        assert_eq!((head.path(), head.query("bytes"), head.query("id")), ("/large", Some("12"), Some("r-1")));
    }
}
