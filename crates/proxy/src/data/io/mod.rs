//! Between the system and everything else: the event queue, listening and connected sockets, time, buffers, and numbers for what there are many of.

pub(crate) mod buffers;
pub(crate) mod clock;
pub(crate) mod descriptors;
pub(crate) mod kernel;
pub(crate) mod listeners;
pub(crate) mod output;
pub(crate) mod poller;
pub(crate) mod progress;
pub(crate) mod slab;
pub(crate) mod socket;
pub(crate) mod stream;
