//! The one question that no safe interface answers: how much of what was written has the peer's system acknowledged.

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
