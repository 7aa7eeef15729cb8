//! The floor: a bare epoll byte forwarder, one upstream connection for each client connection, nothing read and nothing added.
//!
//! No proxy in user space that copies bytes can cost less; what a proxy costs above it is the price of understanding HTTP.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;

use anyhow::Context;
use rustix::event::epoll::{self, EventData, EventFlags};

use super::backend::listen;

/// Events taken at once.
const EVENTS: usize = 256;
/// The key of the listening socket.
const LISTENER: u64 = u64::MAX;

/// One end of a pair. Ends with keys 2n and 2n + 1 belong together.
struct End {
    socket: TcpStream,
    /// What came from the other end and could not be written yet.
    pending: Vec<u8>,
}

struct Forwarder {
    poll: OwnedFd,
    /// By key; a place that is free again is taken by the next pair.
    ends: Vec<Option<End>>,
    buffer: Vec<u8>,
}

/// Forwards until killed.
pub fn serve(address: SocketAddr, upstream: SocketAddr) -> anyhow::Result<()> {
    let listener = listen(address)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, &listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut forwarder = Forwarder { poll, ends: Vec::new(), buffer: vec![0; 64 * 1024] };
    let mut events = Vec::with_capacity(EVENTS);
    loop {
        events.clear();
        epoll::wait(&forwarder.poll, rustix::buffer::spare_capacity(&mut events), None)?;
        for event in &events {
            let key = event.data.u64();
            if key == LISTENER {
                while let Ok((client, _)) = listener.accept() {
                    // A client that is gone again already is nobody's loss.
                    let _ = forwarder.pair(client, upstream);
                }
            } else if forwarder.turn(key, event.flags).is_err() {
                forwarder.ends[key as usize] = None;
                forwarder.ends[key as usize ^ 1] = None;
            }
        }
    }
}

impl Forwarder {
    fn pair(&mut self, client: TcpStream, upstream: SocketAddr) -> anyhow::Result<()> {
        let free = self.ends.chunks(2).position(|pair| pair.iter().all(Option::is_none)).map(|pair| pair * 2);
        let key = free.unwrap_or(self.ends.len()) as u64;
        if free.is_none() {
            self.ends.extend([None, None]);
        }
        let instance = TcpStream::connect(upstream).with_context(|| format!("cannot connect to {upstream}"))?;
        for (key, socket) in [(key, client), (key + 1, instance)] {
            socket.set_nonblocking(true)?;
            socket.set_nodelay(true)?;
            epoll::add(&self.poll, &socket, EventData::new_u64(key), EventFlags::IN)?;
            self.ends[key as usize] = Some(End { socket, pending: Vec::new() });
        }
        Ok(())
    }

    fn turn(&mut self, key: u64, flags: EventFlags) -> std::io::Result<()> {
        if flags.contains(EventFlags::OUT) {
            self.flush(key)?;
        }
        if flags.intersects(EventFlags::IN | EventFlags::HUP | EventFlags::ERR) {
            self.forward(key)?;
        }
        Ok(())
    }

    /// Reads from one end and writes to the other.
    fn forward(&mut self, key: u64) -> std::io::Result<()> {
        let Some(Some(from)) = self.ends.get_mut(key as usize) else { return Ok(()) };
        let read = match from.socket.read(&mut self.buffer) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let Some(Some(to)) = self.ends.get_mut(key as usize ^ 1) else { return Ok(()) };
        let mut rest = &self.buffer[..read];
        if to.pending.is_empty() {
            match to.socket.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if !rest.is_empty() {
            to.pending.extend_from_slice(rest);
            // Back-pressure: the reading end waits until the writing end has room.
            epoll::modify(&self.poll, &to.socket, EventData::new_u64(key ^ 1), EventFlags::IN | EventFlags::OUT)?;
            let Some(from) = &self.ends[key as usize] else { return Ok(()) };
            epoll::modify(&self.poll, &from.socket, EventData::new_u64(key), EventFlags::empty())?;
        }
        Ok(())
    }

    fn flush(&mut self, key: u64) -> std::io::Result<()> {
        let Some(Some(end)) = self.ends.get_mut(key as usize) else { return Ok(()) };
        match end.socket.write(&end.pending) {
            Ok(written) => drop(end.pending.drain(..written)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if end.pending.is_empty() {
            epoll::modify(&self.poll, &end.socket, EventData::new_u64(key), EventFlags::IN)?;
            if let Some(other) = &self.ends[key as usize ^ 1] {
                epoll::modify(&self.poll, &other.socket, EventData::new_u64(key ^ 1), EventFlags::IN)?;
            }
        }
        Ok(())
    }
}
