//! Clients that have said that nothing more comes from them.

/// A client that has ended its side before its answer began: it may still read, or be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum HalfClosed {
    /// Its end was noticed then.
    Noticed {
        /// On the caller's clock.
        at_ms: u64,
    },
    /// It was last asked then whether it still reads.
    Asked {
        /// On the caller's clock.
        at_ms: u64,
    },
}
