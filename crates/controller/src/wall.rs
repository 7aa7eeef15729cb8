//! The wall clock, for people only: nothing is decided by it (I13).

use jiff::Timestamp;

/// Milliseconds since 1970 now; 0 where the clock stands before that.
#[must_use]
pub fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}
