//! What a worker thread tells the control side, and counts.

use std::sync::mpsc::SyncSender;

use crate::seam::{Event, WorkerCounts, WorkerHandle};

/// The way to the control side. Copies are of the same way.
#[derive(Debug, Clone)]
pub(crate) struct Reporter {
    events: SyncSender<Event>,
    counts: WorkerHandle,
}

impl Reporter {
    /// Of the thread whose counts these are.
    pub(crate) fn new(events: SyncSender<Event>, counts: WorkerHandle) -> Self {
        Self { events, counts }
    }

    /// What the thread counts.
    #[inline]
    pub(crate) fn counts(&self) -> &WorkerCounts {
        self.counts.counts()
    }

    /// Tells the control side. What does not fit is dropped: the counts tell the same, later.
    pub(crate) fn tell(&self, event: Event) {
        if self.events.try_send(event).is_err() {
            self.counts().dropped.add(1);
        }
    }
}
