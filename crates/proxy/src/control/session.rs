//! One connection of one controller: a task that reads and a task that writes.

use std::os::fd::{AsFd, OwnedFd};

use gapless_drivers::proxylink::{FrameReader, FrameWriter};
use gapless_wire::control::frame::{FDS_MAX, encode};
use gapless_wire::control::{FromProxy, ToProxy};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// Frames that may wait to be sent. A controller that lets so many wait is stuck, and may come back.
const FRAMES_MAX: usize = 256;

/// While more than this many frames wait, reports are left out: the next one says all of it.
const FRAMES_BUSY: usize = 4;

/// What comes from a session.
#[derive(Debug)]
pub(super) enum Heard {
    /// A message with its descriptors.
    Message(ToProxy, Vec<OwnedFd>),
    /// It ended.
    Gone,
}

/// The sending end of a session, and the tasks to end with it.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) number: u64,
    frames: mpsc::Sender<(Vec<u8>, Vec<OwnedFd>)>,
    reading: AbortHandle,
}

/// The session is of no further use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lost;

impl Session {
    /// Begins to read and write. What is heard carries the session's number.
    pub(super) fn begin(
        number: u64,
        reader: FrameReader,
        writer: FrameWriter,
        heard: mpsc::Sender<(u64, Heard)>,
    ) -> Session {
        let (frames, waiting) = mpsc::channel(FRAMES_MAX);
        tokio::spawn(write(writer, waiting));
        let reading = tokio::spawn(read(number, reader, heard)).abort_handle();
        Session { number, frames, reading }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// [`Lost`] when too many wait already.
    pub(super) fn send(&self, message: &FromProxy) -> Result<(), Lost> {
        self.send_with(message, Vec::new())
    }

    /// Sends a message with descriptors.
    ///
    /// # Errors
    /// [`Lost`] when too many wait already.
    pub(super) fn send_with(&self, message: &FromProxy, descriptors: Vec<OwnedFd>) -> Result<(), Lost> {
        let frame = encode(message).map_err(|error| {
            tracing::error!(%error, "message to the controller cannot be written");
            Lost
        })?;
        self.frames.try_send((frame, descriptors)).map_err(|_| Lost)
    }

    /// Sends listening sockets in as many parts as it takes.
    ///
    /// # Errors
    /// [`Lost`].
    pub(super) fn send_listeners(&self, listeners: Vec<(String, OwnedFd)>) -> Result<(), Lost> {
        let parts = listeners.len().div_ceil(FDS_MAX).max(1);
        let mut listeners = listeners.into_iter();
        for part in 1..=parts {
            let (addresses, descriptors) = listeners.by_ref().take(FDS_MAX).unzip();
            let parts_left = u32::try_from(parts - part).unwrap_or(u32::MAX);
            self.send_with(&FromProxy::Listeners { addresses, parts_left }, descriptors)?;
        }
        Ok(())
    }

    /// Whether a report would only wait behind others.
    pub(super) fn is_busy(&self) -> bool {
        FRAMES_MAX - self.frames.capacity() > FRAMES_BUSY
    }

    /// Waits until all that was sent is written, or the other end is gone.
    pub(super) async fn finish(self) {
        self.reading.abort();
        let frames = self.frames.clone();
        drop(self);
        while frames.capacity() < FRAMES_MAX && !frames.is_closed() {
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

async fn write(mut writer: FrameWriter, mut waiting: mpsc::Receiver<(Vec<u8>, Vec<OwnedFd>)>) {
    while let Some((frame, descriptors)) = waiting.recv().await {
        let descriptors: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
        if writer.send_encoded(&frame, &descriptors).await.is_err() {
            return; // the reading task sees the same end
        }
    }
}

async fn read(number: u64, mut reader: FrameReader, heard: mpsc::Sender<(u64, Heard)>) {
    loop {
        let news = match reader.message::<ToProxy>().await {
            Ok(Some(message)) => {
                let named = match &message {
                    ToProxy::Listeners { addresses } => addresses.len(),
                    _ => 0,
                };
                match reader.descriptors(named) {
                    Ok(descriptors) => Heard::Message(message, descriptors),
                    Err(error) => {
                        tracing::warn!(%error, "the controller names sockets that it did not send");
                        Heard::Gone
                    }
                }
            }
            Ok(None) => Heard::Gone,
            Err(error) => {
                tracing::warn!(%error, "the connection to the controller broke");
                Heard::Gone
            }
        };
        let last = matches!(news, Heard::Gone);
        if heard.send((number, news)).await.is_err() || last {
            return;
        }
    }
}
