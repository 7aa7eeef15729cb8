//! What no safe interface offers: how much of what was written the peer's system has acknowledged, and giving memory back.

use std::ffi::c_int;
use std::os::fd::AsFd;

use rustix::ioctl::{self, Getter, Opcode};

/// `SIOCOUTQ` of tcp(7), which is `TIOCOUTQ`: bytes that were written and not acknowledged.
const SIOCOUTQ: Opcode = 0x5411;

/// Bytes that were written to a TCP socket and that the peer's system has not acknowledged.
#[expect(unsafe_code, reason = "an ioctl has no safe interface for this request")]
pub(crate) fn unacknowledged(socket: impl AsFd) -> Option<u64> {
    // SAFETY: tcp(7) documents that SIOCOUTQ stores one `int` at the address given and does nothing else; `Getter` with
    // `c_int` passes the address of exactly that and reads it only when the call succeeded.
    let bytes = unsafe { ioctl::ioctl(socket, Getter::<SIOCOUTQ, c_int>::new()) };
    bytes.ok().and_then(|bytes| u64::try_from(bytes).ok())
}

/// Gives the system back the memory that was freed. The allocator keeps what lies between things in use, for as long as the process lives.
#[cfg(target_env = "gnu")]
#[expect(unsafe_code, reason = "the allocator has no safe interface for this")]
pub(crate) fn release_memory() {
    // SAFETY: malloc_trim(3) takes a number, may be called at any time from any thread, and changes nothing that is allocated.
    unsafe { libc::malloc_trim(0) };
}

/// Other allocators give memory back by themselves, or not at all.
#[cfg(not(target_env = "gnu"))]
pub(crate) fn release_memory() {}
