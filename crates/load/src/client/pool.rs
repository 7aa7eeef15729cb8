//! Kept connections, taken in turn.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;

use tokio::net::TcpStream;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::schedule::Context;
use crate::http::Peer;
use crate::ledger::Fate;
use crate::plan::Connections;

/// The connections of one stream.
pub(super) struct Pool {
    context: Rc<Context>,
    kept: usize,
    /// One permit for each connection that may be in use; plenty where each request brings its own.
    permits: Semaphore,
    idle: RefCell<VecDeque<Peer>>,
}

/// A connection for one request.
pub(super) struct Lent<'pool> {
    pub peer: Peer,
    /// Whether it had served a request before.
    pub served_before: bool,
    pool: &'pool Pool,
    _permit: SemaphorePermit<'pool>,
}

impl Pool {
    pub fn new(context: Rc<Context>, connections: Connections) -> Self {
        let (kept, permits) = match connections {
            Connections::New => (0, Semaphore::MAX_PERMITS),
            Connections::Kept(count) => (count, count),
        };
        Self { context, kept, permits: Semaphore::new(permits), idle: RefCell::default() }
    }

    /// A kept connection if all that may be kept are open, else a new one, so that a plan for 50 connections uses 50.
    pub async fn lend(&self) -> Result<Lent<'_>, Fate> {
        let permit = self.permits.acquire().await.map_err(|_| Fate::NotSent)?;
        let in_use = self.kept.saturating_sub(self.permits.available_permits() + 1);
        while in_use + self.idle.borrow().len() >= self.kept {
            let Some(mut peer) = self.idle.borrow_mut().pop_front() else { break };
            if peer.is_idle_and_open() {
                return Ok(Lent { peer, served_before: true, pool: self, _permit: permit });
            }
            self.context.shared.with(|ledger| ledger.sums_mut().found_closed += 1);
        }
        let peer = connect(&self.context).await?;
        Ok(Lent { peer, served_before: false, pool: self, _permit: permit })
    }

    /// Whether connections outlive their request.
    pub fn keeps(&self) -> bool {
        self.kept > 0
    }
}

impl Lent<'_> {
    /// Gives the connection back for the next request.
    pub fn keep(self) {
        if self.pool.keeps() {
            self.pool.idle.borrow_mut().push_back(self.peer);
        }
    }
}

/// A new connection to the target.
pub(super) async fn connect(context: &Context) -> Result<Peer, Fate> {
    match TcpStream::connect(context.plan.target).await {
        Ok(socket) => {
            // A failure to set it costs time, nothing else.
            let _ = socket.set_nodelay(true);
            context.shared.with(|ledger| ledger.sums_mut().connected += 1);
            Ok(Peer::new(socket))
        }
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Err(Fate::Refused),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(Fate::Reset),
        Err(error) => Err(Fate::Wrong { why: format!("cannot connect: {error}") }),
    }
}
