//! A client's connection: raw bytes out, whole answers in, and every way in which it can end told apart.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use socket2::{Domain, SockRef, Socket, Type};

/// The receive buffer of a client that reads slowly, in bytes: the system must not read for it.
const SMALL_BUFFER: usize = 16 * 1024;
/// The most headers of an answer.
const HEADERS_MAX: usize = 128;
/// The most that is kept of one answer, in bytes.
const ANSWER_MAX: usize = 64 * 1024 * 1024;

/// Whether the system may take in much before the client reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appetite {
    Usual,
    Small,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Clean,
    Reset,
}

/// What waiting for an answer came to.
#[derive(Debug)]
pub(crate) enum Outcome {
    Whole(Answer),
    /// The connection ended with no byte of an answer.
    Nothing(End),
    /// The connection ended inside an answer.
    Partial {
        answer: Answer,
        end: End,
    },
}

/// An answer, or as much of it as came.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub status: u16,
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

enum Framing {
    Counted(usize),
    Chunked,
    ToTheEnd,
}

#[derive(Debug)]
pub(crate) struct Connection {
    socket: TcpStream,
    unread: Vec<u8>,
    /// Whether the last request sent was a HEAD: its answer has no body, whatever it says.
    asked_head: bool,
    end: Option<End>,
    patience: Duration,
    pace: Option<u64>,
}

impl Connection {
    pub fn open(address: SocketAddr, appetite: Appetite, patience: Duration) -> anyhow::Result<Self> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).context("no socket")?;
        if appetite == Appetite::Small {
            socket.set_recv_buffer_size(SMALL_BUFFER).context("cannot set the receive buffer")?;
        }
        socket.connect_timeout(&address.into(), patience).with_context(|| format!("cannot connect to {address}"))?;
        let socket = TcpStream::from(socket);
        socket.set_nodelay(true).context("cannot set TCP_NODELAY")?;
        Ok(Self { socket, unread: Vec::new(), asked_head: false, end: None, patience, pace: None })
    }

    /// Sends bytes; that the other side has ended meanwhile is not an error, but what the next expectation meets.
    pub fn send(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if bytes.windows(6).any(|part| part == b" HTTP/") {
            self.asked_head = bytes.starts_with(b"HEAD ");
        }
        self.socket.set_write_timeout(Some(self.patience))?;
        match self.socket.write_all(bytes) {
            Ok(()) => Ok(()),
            Err(error) if is_ended(&error) => Ok(()),
            Err(error) => Err(error).context("cannot send"),
        }
    }

    /// Sends one byte after the other; whether all of them went out.
    pub fn drip(&mut self, bytes: &[u8], pause: Duration) -> anyhow::Result<()> {
        for byte in bytes {
            if self.socket.write_all(std::slice::from_ref(byte)).is_err() {
                return Ok(());
            }
            // The pause is spent listening: a real client would see an early answer too.
            self.read_until(Instant::now() + pause)?;
            if self.end.is_some() {
                return Ok(());
            }
        }
        Ok(())
    }

    pub fn pace(&mut self, bytes_per_second: u64) {
        self.pace = Some(bytes_per_second.max(1));
    }

    pub fn half_close(&self) {
        let _ = self.socket.shutdown(Shutdown::Write);
    }

    pub fn abort(self) {
        let _ = SockRef::from(&self.socket).set_linger(Some(Duration::ZERO));
    }

    /// Reads one whole final answer.
    pub fn answer(&mut self) -> anyhow::Result<Outcome> {
        let deadline = Instant::now() + self.patience;
        let mut answer = Answer::default();
        loop {
            match self.take_head()? {
                Some(head) => answer = head,
                None if self.more(deadline)? => continue,
                None if self.unread.is_empty() => return Ok(Outcome::Nothing(self.ended())),
                None => {
                    answer.head = std::mem::take(&mut self.unread);
                    return Ok(Outcome::Partial { answer, end: self.ended() });
                }
            }
            if answer.status >= 200 || answer.status == 101 {
                break;
            }
        }
        // Time counts anew while bytes come, so that a slow reader has the time it needs.
        match framing(&answer, self.asked_head)? {
            Framing::Counted(length) => self.counted(answer, length),
            Framing::Chunked => self.chunked(answer),
            Framing::ToTheEnd => {
                while self.more(Instant::now() + self.patience)? {}
                answer.body = std::mem::take(&mut self.unread);
                match self.ended() {
                    End::Clean => Ok(Outcome::Whole(answer)),
                    end => Ok(Outcome::Partial { answer, end }),
                }
            }
        }
    }

    /// Reads so many bytes as they are.
    pub fn receive(&mut self, count: usize) -> anyhow::Result<Vec<u8>> {
        while self.unread.len() < count && self.more(Instant::now() + self.patience)? {}
        let count = count.min(self.unread.len());
        Ok(self.unread.drain(..count).collect())
    }

    /// Reads to the connection's end.
    pub fn until_end(&mut self) -> anyhow::Result<End> {
        let deadline = Instant::now() + self.patience;
        while self.more(deadline)? {
            self.unread.clear();
        }
        Ok(self.ended())
    }

    fn ended(&self) -> End {
        self.end.unwrap_or(End::Clean)
    }

    fn take_head(&mut self) -> anyhow::Result<Option<Answer>> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut response = httparse::Response::new(&mut headers);
        match response.parse(&self.unread).context("what came is no HTTP answer")? {
            httparse::Status::Complete(length) => {
                let status = response.code.unwrap_or_default();
                let head = self.unread.drain(..length).collect();
                Ok(Some(Answer { status, head, body: Vec::new() }))
            }
            httparse::Status::Partial => Ok(None),
        }
    }

    fn counted(&mut self, mut answer: Answer, length: usize) -> anyhow::Result<Outcome> {
        while self.unread.len() < length {
            if !self.more(Instant::now() + self.patience)? {
                answer.body = std::mem::take(&mut self.unread);
                return Ok(Outcome::Partial { answer, end: self.ended() });
            }
        }
        answer.body = self.unread.drain(..length).collect();
        Ok(Outcome::Whole(answer))
    }

    fn chunked(&mut self, mut answer: Answer) -> anyhow::Result<Outcome> {
        loop {
            match httparse::parse_chunk_size(&self.unread) {
                Ok(httparse::Status::Complete((at, size))) => {
                    let size = usize::try_from(size).context("a chunk is too long")?;
                    let end = at + size + 2;
                    while self.unread.len() < end {
                        if !self.more(Instant::now() + self.patience)? {
                            return Ok(Outcome::Partial { answer, end: self.ended() });
                        }
                    }
                    answer.body.extend_from_slice(&self.unread[at..at + size]);
                    self.unread.drain(..end);
                    if size == 0 {
                        return Ok(Outcome::Whole(answer));
                    }
                }
                Ok(httparse::Status::Partial) => {
                    if !self.more(Instant::now() + self.patience)? {
                        return Ok(Outcome::Partial { answer, end: self.ended() });
                    }
                }
                Err(_) => bail!("what came is no chunk"),
            }
        }
    }

    /// Reads whatever comes until then.
    fn read_until(&mut self, deadline: Instant) -> anyhow::Result<()> {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || self.end.is_some() {
                return Ok(());
            }
            self.read_once(left)?;
        }
    }

    /// Waits for more; false at the connection's end.
    fn more(&mut self, deadline: Instant) -> anyhow::Result<bool> {
        loop {
            if self.end.is_some() {
                return Ok(false);
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                bail!("nothing more came for {} s", self.patience.as_secs());
            }
            if self.read_once(left)? {
                return Ok(true);
            }
        }
    }

    /// One read; whether anything came.
    fn read_once(&mut self, at_most: Duration) -> anyhow::Result<bool> {
        let mut buffer = [0; 64 * 1024];
        let most = match self.pace {
            // Twenty reads a second: steady, as seen from the other side.
            Some(pace) => usize::try_from(pace / 20).unwrap_or(1).clamp(1, buffer.len()),
            None => buffer.len(),
        };
        self.socket.set_read_timeout(Some(at_most.max(Duration::from_millis(1))))?;
        match self.socket.read(&mut buffer[..most]) {
            Ok(0) => self.end = Some(End::Clean),
            Ok(count) => {
                self.unread.extend_from_slice(&buffer[..count]);
                anyhow::ensure!(self.unread.len() <= ANSWER_MAX, "more than {ANSWER_MAX} bytes came");
                if self.pace.is_some() {
                    std::thread::sleep(Duration::from_millis(50));
                }
                return Ok(true);
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_ended(&error) => self.end = Some(End::Reset),
            Err(error) => return Err(error).context("cannot read"),
        }
        Ok(false)
    }
}

fn is_ended(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}

/// How the end of an answer's body is known (RFC 9112 §6.3).
fn framing(answer: &Answer, asked_head: bool) -> anyhow::Result<Framing> {
    if asked_head || answer.status == 101 || answer.status == 204 || answer.status == 304 {
        return Ok(Framing::Counted(0));
    }
    let text = String::from_utf8_lossy(&answer.head).to_ascii_lowercase();
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
    if value("transfer-encoding:").is_some_and(|value| value.ends_with("chunked")) {
        return Ok(Framing::Chunked);
    }
    match value("content-length:") {
        Some(length) => Ok(Framing::Counted(length.parse().context("a Content-Length that is none")?)),
        None => Ok(Framing::ToTheEnd),
    }
}
