//! The instance behind every measured proxy: one thread, epoll, a 1 KiB answer for each request.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::Context;
use rustix::event::epoll;
use socket2::{Domain, Socket, Type};

/// The body of each answer, in bytes.
const BODY_BYTES: usize = 1024;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4_096;
/// Events taken at once.
const EVENTS: usize = 256;
/// The key of the listening socket.
const LISTENER: u64 = u64::MAX;

/// A connection: what of a request has come, what of an answer is still to go.
struct Connection {
    socket: TcpStream,
    pending: Vec<u8>,
    /// How far the end of a head, `\r\n\r\n`, has been matched.
    matched: usize,
}

/// Serves until killed.
pub fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = listen(address)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, epoll::EventData::new_u64(LISTENER), epoll::EventFlags::IN)?;
    let answer = answer();
    let mut connections: Vec<Option<Connection>> = Vec::new();
    let mut buffer = vec![0; 64 * 1024];
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        events.clear();
        epoll::wait(&poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let (key, flags) = (event.data.u64(), event.flags);
            if key == LISTENER {
                while let Ok((socket, _)) = listener.accept() {
                    if socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true)).is_err() {
                        continue;
                    }
                    let place = connections.iter().position(Option::is_none).unwrap_or(connections.len());
                    if place == connections.len() {
                        connections.push(None);
                    }
                    epoll::add(&poll, &socket, epoll::EventData::new_u64(place as u64), epoll::EventFlags::IN)?;
                    connections[place] = Some(Connection { socket, pending: Vec::new(), matched: 0 });
                }
                continue;
            }
            let place = &mut connections[key as usize];
            let Some(connection) = place else { continue };
            if connection.turn(&mut buffer, &answer).is_err() {
                *place = None;
                continue;
            }
            let wanted = match connection.pending.is_empty() {
                true => epoll::EventFlags::IN,
                false => epoll::EventFlags::OUT,
            };
            if flags.contains(epoll::EventFlags::OUT) || wanted == epoll::EventFlags::OUT {
                epoll::modify(&poll, &connection.socket, epoll::EventData::new_u64(key), wanted)?;
            }
        }
    }
}

/// A listening socket with room for all connections of a measurement to come at once.
pub fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    let open = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        socket.set_nonblocking(true)?;
        std::io::Result::Ok(socket.into())
    };
    open().with_context(|| format!("cannot listen on {address}"))
}

impl Connection {
    /// Reads what is there and answers each head in it; an error ends the connection.
    fn turn(&mut self, buffer: &mut [u8], answer: &[u8]) -> std::io::Result<()> {
        if self.pending.is_empty() {
            let read = match self.socket.read(buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            for byte in &buffer[..read] {
                let expected = b"\r\n\r\n"[self.matched];
                self.matched = if *byte == expected { self.matched + 1 } else { usize::from(*byte == b'\r') };
                if self.matched == 4 {
                    self.matched = 0;
                    self.pending.extend_from_slice(answer);
                }
            }
        }
        match self.socket.write(&self.pending) {
            Ok(written) => drop(self.pending.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }
}

fn answer() -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: {BODY_BYTES}\r\n\r\n");
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + BODY_BYTES, b'x');
    answer
}
