//! One worker thread, as the control side sees it.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use gapless_model::TableVersion;
use rustix::event::{EventfdFlags, eventfd};

use super::command::Command;
use super::counts::WorkerCounts;

/// The control side's end: give orders, read counts. Cheap to clone.
#[derive(Debug, Clone)]
pub struct WorkerHandle {
    shared: Arc<Shared>,
}

/// The worker thread's end.
#[derive(Debug)]
pub struct Mailbox {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    commands: Mutex<VecDeque<Command>>,
    /// The version the thread uses. Locked when a table is installed and when a report is made, never by a request.
    applied: Mutex<Option<TableVersion>>,
    wake: OwnedFd,
    counts: WorkerCounts,
}

impl WorkerHandle {
    /// Both ends of a new seam.
    ///
    /// # Errors
    /// When the system has no event descriptor left.
    pub fn new() -> std::io::Result<(Self, Mailbox)> {
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared {
            commands: Mutex::new(VecDeque::new()),
            applied: Mutex::new(None),
            wake,
            counts: WorkerCounts::new(),
        });
        Ok((Self { shared: Arc::clone(&shared) }, Mailbox { shared }))
    }

    /// Gives an order. Orders are carried out in the order they were given.
    pub fn post(&self, command: Command) {
        self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner).push_back(command);
        // Fails only when the counter is full, and then the thread is awake already.
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
    }

    /// The version of the table this thread dispatches by, or none before the first.
    pub fn applied(&self) -> Option<TableVersion> {
        *self.shared.applied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the thread counts.
    pub fn counts(&self) -> &WorkerCounts {
        &self.shared.counts
    }
}

impl Mailbox {
    /// What becomes readable when there are orders.
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        self.shared.wake.as_fd()
    }

    /// Takes all orders.
    pub fn take(&self) -> VecDeque<Command> {
        let mut count = [0; 8];
        // Nothing to read is no error here: the orders are what counts.
        let _ = rustix::io::read(&self.shared.wake, &mut count);
        std::mem::take(&mut *self.shared.commands.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Tells that the thread dispatches by this version from now on.
    pub fn acknowledge(&self, version: TableVersion) {
        *self.shared.applied.lock().unwrap_or_else(PoisonError::into_inner) = Some(version);
    }

    /// The other end, for those parts of the thread that count.
    pub fn handle(&self) -> WorkerHandle {
        WorkerHandle { shared: Arc::clone(&self.shared) }
    }

    /// The thread's own counts.
    #[inline]
    pub fn counts(&self) -> &WorkerCounts {
        &self.shared.counts
    }
}
