//! The listening sockets of one thread.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use super::poller::{Poller, Token};
use super::socket;

/// A listening socket.
#[derive(Debug, Default)]
struct Listener {
    socket: Option<OwnedFd>,
    /// Taken out of the event queue because no connection can be accepted now.
    paused: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Listeners {
    poller: Poller,
    listeners: Vec<Listener>,
}

impl Listeners {
    /// None.
    pub(crate) fn new(poller: Poller) -> Self {
        Self { poller, listeners: Vec::new() }
    }

    /// Accepts from this socket too.
    pub(crate) fn add(&mut self, socket: OwnedFd) {
        if let Err(error) = socket::prepare_listener(&socket) {
            tracing::error!(%error, "listening socket cannot be prepared");
            return;
        }
        let free = self.listeners.iter().position(|listener| listener.socket.is_none());
        let index = free.unwrap_or_else(|| {
            self.listeners.push(Listener::default());
            self.listeners.len() - 1
        });
        // Level-triggered: what is not accepted now is told again.
        if let Err(error) = self.poller.watch_readable(&socket, Token::Listener(index)) {
            tracing::error!(%error, "listening socket cannot be watched");
        }
        self.listeners[index] = Listener { socket: Some(socket), paused: false };
    }

    /// Closes all of them. Connections that were accepted go on.
    pub(crate) fn close(&mut self) {
        for listener in &mut self.listeners {
            // Another process may hold the same socket, so closing it here does not take it out of the queue.
            if let Some(socket) = listener.socket.take()
                && !listener.paused
            {
                let _ = self.poller.forget(&socket);
            }
            listener.paused = false;
        }
    }

    /// The next connection that waits at a socket. One that cannot be accepted has the socket paused.
    pub(crate) fn accept(&mut self, index: usize) -> Option<(OwnedFd, SocketAddr)> {
        match socket::accept(self.listeners.get(index)?.socket.as_ref()?) {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                self.pause(index);
                None
            }
        }
    }

    /// Stops looking at a socket until [`Listeners::resume`]: it would be told of without end.
    pub(crate) fn pause(&mut self, index: usize) {
        let Some(listener) = self.listeners.get_mut(index) else { return };
        if let Some(socket) = &listener.socket
            && self.poller.forget(socket).is_ok()
        {
            listener.paused = true;
        }
    }

    /// Looks at paused sockets again.
    pub(crate) fn resume(&mut self) {
        for (index, listener) in self.listeners.iter_mut().enumerate().filter(|(_, listener)| listener.paused) {
            let watch = |socket| self.poller.watch_readable(socket, Token::Listener(index)).is_ok();
            listener.paused = !listener.socket.as_ref().is_none_or(watch);
        }
    }

    /// Whether any is paused.
    pub(crate) fn are_paused(&self) -> bool {
        self.listeners.iter().any(|listener| listener.paused)
    }
}
