//! How far a peer has come with what was written to it, judged by what its system acknowledged.
//!
//! Our own writes say little: the system takes megabytes at once and then nothing until a third of them is gone, which a peer on a
//! slow line takes minutes for, all the while reading steadily.

use super::stream::Stream;

/// Samples per deadline: a peer that takes nothing is known at most so much of the deadline late.
const SAMPLES_PER_DEADLINE: u64 = 16;

/// Bounds of the time between two samples, in milliseconds: each is a call of the system.
const SAMPLE_MS: (u64, u64) = (100, 1_000);

/// When a peer last took some of what was written to it.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    acknowledged: u64,
    since_ms: u64,
    sampled_ms: u64,
}

impl Taken {
    /// For how many milliseconds the peer has taken nothing although something waits for it. `moved_ms` is when bytes last moved as far
    /// as we saw; a sample from before it says nothing. Without knowledge of the peer's system, that alone counts.
    pub(crate) fn still_ms(&mut self, stream: &Stream, moved_ms: u64, now_ms: u64, deadline_ms: u64) -> u64 {
        let every_ms = (deadline_ms / SAMPLES_PER_DEADLINE).clamp(SAMPLE_MS.0, SAMPLE_MS.1);
        if self.sampled_ms <= moved_ms || now_ms.saturating_sub(self.sampled_ms) >= every_ms {
            if let Some(acknowledged) = stream.acknowledged()
                && (self.sampled_ms <= moved_ms || acknowledged != self.acknowledged)
            {
                self.acknowledged = acknowledged;
                self.since_ms = now_ms;
            }
            self.sampled_ms = now_ms;
        }
        now_ms.saturating_sub(self.since_ms.max(moved_ms))
    }
}
