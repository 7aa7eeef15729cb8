//! Byte buffers that are lent to connections while these have something to keep, and come back when they are empty. An
//! idle connection holds none.

/// What a recycled buffer may hold on to. A larger one is given back to the system.
const CAPACITY_KEPT_MAX: usize = 64 * 1024;

/// How many spare buffers a thread keeps: as many as a thousand connections lend and give back within one batch of events. New ones are 2 KiB.
const SPARE_MAX: usize = 1_024;

/// Bytes of all spare buffers of a thread. Buffers grow while heads and bodies wait in them; a burst of such must not keep its memory.
const SPARE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The capacity of a new buffer: heads with the lines we add nearly always fit.
const CAPACITY_NEW: usize = 2 * 1024;

/// The spare buffers of one thread.
#[derive(Debug, Default)]
pub(crate) struct Buffers {
    spare: Vec<Vec<u8>>,
    spare_bytes: usize,
}

impl Buffers {
    /// An empty buffer.
    #[inline]
    pub(crate) fn lend(&mut self) -> Vec<u8> {
        match self.spare.pop() {
            Some(buffer) => {
                self.spare_bytes -= buffer.capacity();
                buffer
            }
            None => Vec::with_capacity(CAPACITY_NEW),
        }
    }

    /// Takes a buffer back.
    #[inline]
    pub(crate) fn take_back(&mut self, mut buffer: Vec<u8>) {
        let capacity = buffer.capacity();
        if capacity > 0
            && capacity <= CAPACITY_KEPT_MAX
            && self.spare.len() < SPARE_MAX
            && self.spare_bytes + capacity <= SPARE_BYTES_MAX
        {
            self.spare_bytes += capacity;
            buffer.clear();
            self.spare.push(buffer);
        }
    }

    /// Gives every spare buffer back to the system.
    pub(crate) fn release_spare(&mut self) {
        *self = Self::default();
    }

    /// Appends to a buffer that may not have been lent yet.
    pub(crate) fn append(&mut self, buffer: &mut Vec<u8>, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        if buffer.capacity() == 0 {
            *buffer = self.lend();
        }
        buffer.extend_from_slice(bytes);
    }
}

/// Bytes read at once, and so the most that one connection moves before others have their turn.
const READ_BYTES: usize = 64 * 1024;

/// Room that every connection uses while it is served, and none keeps.
#[derive(Debug)]
pub(crate) struct Scratch {
    pub(crate) read: Box<[u8]>,
    pub(crate) out: Vec<u8>,
}

impl Scratch {
    /// All of a thread's.
    pub(crate) fn new() -> Self {
        Self { read: vec![0; READ_BYTES].into_boxed_slice(), out: Vec::with_capacity(2 * READ_BYTES) }
    }
}
