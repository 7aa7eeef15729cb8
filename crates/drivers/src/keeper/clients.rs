//! The keeper's side of its control socket: connections that never block it, each bounded in what it may send and leave unread.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};

use rustix::event::PollFlags;

use super::message::{Answer, Ask, FRAME_BYTES_MAX, Reply, frame, take_frame};
use super::spec::InstanceFolder;

/// The most connections at a time: one controller, and those of its predecessors that have not ended yet.
const CLIENTS_MAX: usize = 8;
/// The most bytes a client may leave unread before it is let go.
const UNREAD_BYTES_MAX: usize = 256 << 10;

/// The listening socket and who is connected.
#[derive(Debug)]
pub(crate) struct Clients {
    listener: UnixListener,
    clients: Vec<Client>,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    stream: UnixStream,
    incoming: Vec<u8>,
    outgoing: Vec<u8>,
    /// The term it orders in; none before its hello.
    pub(crate) epoch: Option<u64>,
    gone: bool,
}

impl Clients {
    /// Listens in the instance's folder, for its own user alone.
    pub(crate) fn listen(folder: &InstanceFolder) -> io::Result<Clients> {
        let (_open, path) = folder.socket_path()?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        // The mode is set by the mask at the bind, so there is no moment in which others could connect.
        let mask = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let listener = UnixListener::bind(&path);
        rustix::process::umask(mask);
        let listener = listener?;
        listener.set_nonblocking(true)?;
        Ok(Clients { listener, clients: Vec::new() })
    }

    /// What to wait for: the listener first, then each client.
    pub(crate) fn interests(&self) -> impl Iterator<Item = (BorrowedFd<'_>, PollFlags)> {
        let clients = self.clients.iter().map(|client| {
            let write = if client.outgoing.is_empty() { PollFlags::empty() } else { PollFlags::OUT };
            (client.stream.as_fd(), PollFlags::IN | write)
        });
        std::iter::once((self.listener.as_fd(), PollFlags::IN)).chain(clients)
    }

    /// How many are connected.
    pub(crate) fn count(&self) -> usize {
        self.clients.len()
    }

    /// Takes new connections.
    pub(crate) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.clients.len() < CLIENTS_MAX && is_ours(&stream) && stream.set_nonblocking(true).is_ok() {
                let (incoming, outgoing) = (Vec::new(), Vec::new());
                self.clients.push(Client { stream, incoming, outgoing, epoch: None, gone: false });
            }
        }
    }

    /// Everyone connected.
    pub(crate) fn each(&mut self) -> impl Iterator<Item = &mut Client> {
        self.clients.iter_mut()
    }

    /// Tells everyone who has said hello.
    pub(crate) fn tell_all(&mut self, reply: &Reply) {
        for client in self.clients.iter_mut().filter(|client| client.epoch.is_some()) {
            client.tell(&Answer { id: 0, reply: reply.clone() });
        }
    }

    /// Lets go of those that have ended.
    pub(crate) fn sweep(&mut self) {
        self.clients.retain(|client| !client.gone);
    }
}

impl Client {
    /// Reads what has come; the requests that are whole.
    pub(crate) fn receive(&mut self) -> Vec<Ask> {
        let mut buffer = [0; 4096];
        // Bounded, so that one client cannot keep the keeper to itself.
        while self.incoming.len() <= FRAME_BYTES_MAX {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.gone = true;
                    break;
                }
                Ok(length) => self.incoming.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        let mut asks = Vec::new();
        loop {
            match take_frame(&mut self.incoming) {
                Ok(Some(body)) => match serde_json::from_slice(&body) {
                    Ok(ask) => asks.push(ask),
                    Err(error) => {
                        self.tell(&Answer { id: id(&body), reply: Reply::Refused { reason: error.to_string() } })
                    }
                },
                Ok(None) => return asks,
                Err(_) => {
                    self.gone = true;
                    return asks;
                }
            }
        }
    }

    /// Sends, or keeps for later what cannot be sent now.
    pub(crate) fn tell(&mut self, answer: &Answer) {
        self.outgoing.extend(frame(answer));
        self.send();
    }

    /// Sends what was kept.
    pub(crate) fn send(&mut self) {
        while !self.outgoing.is_empty() {
            match self.stream.write(&self.outgoing) {
                Ok(length) => drop(self.outgoing.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => {
                    self.gone = true;
                    break;
                }
            }
        }
        self.gone |= self.outgoing.len() > UNREAD_BYTES_MAX;
    }
}

/// The number of a request that is otherwise not understood.
fn id(body: &[u8]) -> u64 {
    #[derive(serde::Deserialize)]
    struct Number {
        id: u64,
    }
    serde_json::from_slice::<Number>(body).map_or(0, |number| number.id)
}

/// Whether the other side is of our own user, or root: the mode of the socket says so already, the kernel's word is added.
fn is_ours(stream: &UnixStream) -> bool {
    let own = rustix::process::geteuid();
    rustix::net::sockopt::socket_peercred(stream).is_ok_and(|peer| peer.uid == own || peer.uid.is_root())
}
