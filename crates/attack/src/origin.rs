//! The instance behind the proxy, as badly behaved as the case's script says.
//!
//! It is a process of its own, because that is what a proxy's instance is. It reads what comes in the simplest way that real servers do: a head to
//! its empty line, then what the script does, then the next head from wherever the last act stopped reading. A body that the script does not
//! read is therefore taken for the next request, as by servers that do not drain bodies. Every head is written down, for the expectations.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;

use crate::case::{Act, Case, read_folder};

/// The longest head that is read, in bytes; more is taken for rubbish.
const HEAD_MAX: usize = 256 * 1024;
/// How long a connection may stay without a byte.
const QUIET_MAX: Duration = Duration::from_secs(120);
/// The path that health is asked for at.
pub const HEALTH: &str = "/healthz";

/// How the origin is started.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it listens, on the loopback address.
    pub port: u16,
    /// The cases whose scripts it knows.
    pub cases: PathBuf,
    /// Where it writes down what it is asked.
    pub record: PathBuf,
}

/// One head that reached an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The run that asked, such as `k3-1`; empty where the target names none.
    pub run: String,
    /// The script asked for.
    pub script: String,
    /// The head as it came.
    pub head: Vec<u8>,
}

impl Options {
    /// The arguments that make these options, for a command line.
    #[must_use]
    pub fn arguments(port: &str, cases: &Path, record: &Path) -> Vec<String> {
        vec![port.to_owned(), cases.display().to_string(), record.display().to_string()]
    }

    /// The options of a command line made by [`Options::arguments`].
    ///
    /// # Errors
    /// Another number of arguments, or a port that is none.
    pub fn read(arguments: &[String]) -> anyhow::Result<Options> {
        let [port, cases, record] = arguments else { anyhow::bail!("PORT CASES RECORD are expected") };
        Ok(Options { port: port.parse().context("a port")?, cases: cases.into(), record: record.into() })
    }
}

/// Serves until its process is ended.
///
/// # Errors
/// Cases that cannot be read, a port that cannot be listened on, a record that cannot be written.
pub fn serve(options: &Options) -> anyhow::Result<()> {
    let cases = Arc::new(read_folder(&options.cases)?);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).context("cannot listen")?;
    let record =
        OpenOptions::new().create(true).append(true).open(&options.record).context("cannot open the record")?;
    let record = Arc::new(record);
    for socket in listener.incoming() {
        let Ok(socket) = socket else { continue };
        let (cases, record) = (Arc::clone(&cases), Arc::clone(&record));
        std::thread::spawn(move || {
            // A broken connection is the case's doing.
            let _ = Connection { socket, unread: Vec::new() }.serve(&cases, &record);
        });
    }
    Ok(())
}

/// What was written down so far.
///
/// # Errors
/// A record that cannot be read.
pub fn seen(record: &Path) -> anyhow::Result<Vec<Seen>> {
    let text = match std::fs::read_to_string(record) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(error).context("cannot read the origin's record"),
    };
    // The last line may be in the middle of being written.
    let whole = &text[..text.rfind('\n').map_or(0, |at| at + 1)];
    Ok(whole
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(' ');
            let (run, script, head) = (fields.next()?, fields.next()?, fields.next()?);
            Some(Seen { run: run.to_owned(), script: script.to_owned(), head: unhex(head) })
        })
        .collect())
}

/// The run and the script that a target asks for: `…/k3-1/script…`.
fn asked(target: &str) -> (String, String) {
    for (at, _) in target.match_indices("/k") {
        let rest = &target[at + 1..];
        let Some((run, behind)) = rest.split_once('/') else { continue };
        let numbers = run[1..].split_once('-');
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if numbers.is_some_and(|(case, number)| is_number(case) && is_number(number)) {
            let end = behind.find(['/', '?', '#', ';', ' ', '%']).unwrap_or(behind.len());
            return (run.to_owned(), behind[..end].to_owned());
        }
    }
    (String::new(), String::new())
}

struct Connection {
    socket: TcpStream,
    unread: Vec<u8>,
}

/// What becomes of a connection after an act.
#[derive(PartialEq, Eq)]
enum Next {
    Act,
    End,
}

impl Connection {
    fn serve(mut self, cases: &[Case], record: &File) -> std::io::Result<()> {
        self.socket.set_nodelay(true)?;
        self.socket.set_read_timeout(Some(QUIET_MAX))?;
        while let Some(head) = self.head()? {
            let line =
                String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
            let mut words = line.split(' ');
            let (Some(_method), Some(target), Some(version)) = (words.next(), words.next(), words.next()) else {
                note(record, "-", "-", &head);
                return self
                    .socket
                    .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            };
            if !version.starts_with("HTTP/") {
                note(record, "-", "-", &head);
                return self
                    .socket
                    .write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            }
            if target == HEALTH {
                self.socket.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")?;
                continue;
            }
            let (run, script) = asked(target);
            note(record, or_dash(&run), or_dash(&script), &head);
            let number: Option<usize> =
                run.strip_prefix('k').and_then(|rest| rest.split('-').next()).and_then(|number| number.parse().ok());
            let known = number.and_then(|number| cases.get(number));
            let acts = known.and_then(|case| case.scripts.iter().find(|known| known.name == script));
            let usual = [Act::Body, Act::Reflect];
            for act in acts.map_or(&usual[..], |script| &script.acts) {
                if self.act(act, &head)? == Next::End {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Reads a head to its empty line. None at the end between requests.
    fn head(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(at) = self.unread.windows(4).position(|part| part == b"\r\n\r\n") {
                return Ok(Some(self.unread.drain(..at + 4).collect()));
            }
            if self.unread.len() > HEAD_MAX || !self.read_more()? {
                return Ok(None);
            }
        }
    }

    fn read_more(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let count = self.socket.read(&mut buffer)?;
        self.unread.extend_from_slice(&buffer[..count]);
        Ok(count > 0)
    }

    /// Takes so many bytes of what comes; fewer at the end.
    fn take(&mut self, count: usize) -> std::io::Result<Vec<u8>> {
        while self.unread.len() < count && self.read_more()? {}
        let count = count.min(self.unread.len());
        Ok(self.unread.drain(..count).collect())
    }

    fn line(&mut self) -> std::io::Result<String> {
        loop {
            if let Some(at) = self.unread.windows(2).position(|part| part == b"\r\n") {
                let line: Vec<u8> = self.unread.drain(..at + 2).collect();
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if !self.read_more()? {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    fn body(&mut self, head: &[u8]) -> std::io::Result<()> {
        let text = String::from_utf8_lossy(head).to_ascii_lowercase();
        let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        if value("transfer-encoding:").is_some_and(|value| value.ends_with("chunked")) {
            loop {
                let line = self.line()?;
                let digits = line.split(';').next().unwrap_or_default().trim();
                let size = usize::from_str_radix(digits, 16).map_err(|_| std::io::ErrorKind::InvalidData)?;
                if size == 0 {
                    while !self.line()?.is_empty() {}
                    return Ok(());
                }
                self.take(size + 2)?;
            }
        }
        let length = value("content-length:").and_then(|value| value.parse().ok()).unwrap_or(0);
        self.take(length).map(drop)
    }

    fn act(&mut self, act: &Act, head: &[u8]) -> std::io::Result<Next> {
        match act {
            Act::Body => self.body(head)?,
            Act::Take(count) => drop(self.take(*count)?),
            Act::Reflect => {
                let length = head.len();
                self.socket.write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n").as_bytes())?;
                if !head.starts_with(b"HEAD ") {
                    self.socket.write_all(head)?;
                }
            }
            Act::Send(bytes) => self.socket.write_all(bytes)?,
            Act::Trickle { bytes, times, pause } => {
                for _ in 0..*times {
                    self.socket.write_all(bytes)?;
                    std::thread::sleep(*pause);
                }
            }
            Act::Wait(time) => std::thread::sleep(*time),
            Act::Close => {
                // In good order: with bytes unread, the system would reset the connection instead.
                self.socket.shutdown(Shutdown::Write)?;
                while self.read_more()? {
                    self.unread.clear();
                }
                return Ok(Next::End);
            }
            Act::Reset => {
                socket2::SockRef::from(&self.socket).set_linger(Some(Duration::ZERO))?;
                return Ok(Next::End);
            }
            Act::Crash => std::process::exit(7),
            Act::Echo => loop {
                let bytes = std::mem::take(&mut self.unread);
                self.socket.write_all(&bytes)?;
                if !self.read_more()? {
                    return Ok(Next::End);
                }
            },
        }
        Ok(Next::Act)
    }
}

fn or_dash(text: &str) -> &str {
    if text.is_empty() { "-" } else { text }
}

/// One line in one write, so that the lines of several instances do not mix.
fn note(mut record: &File, run: &str, script: &str, head: &[u8]) {
    let line = format!("{run} {script} {}\n", hex(head));
    // A record that cannot be written shows as a request that was not seen: the case fails.
    let _ = record.write_all(line.as_bytes());
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    digits.filter_map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_run_and_the_script_are_found_in_any_spelling_of_the_target() {
        let found = |target: &str| asked(target);
        let wanted = ("k12-3".to_owned(), "early".to_owned());
        for target in
            ["/k12-3/early", "//k12-3/early?x=1", "/a/../k12-3/early/more", "http://t/k12-3/early", "/k12-3/early%2e"]
        {
            assert_eq!(found(target), wanted, "{target}");
        }
        assert_eq!(found("/kk/k1/x").0, "");
        assert_eq!(unhex(&hex(b"a\x00\xff")), b"a\x00\xff");
    }
}
