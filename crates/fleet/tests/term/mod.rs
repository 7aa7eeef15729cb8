//! A term as a shell begins it: with a clock of its own, and nobody who remembers another.

use std::sync::OnceLock;
use std::time::Instant;

use gapless_fleet::recover::{self, Beginning, RecoverError};
use gapless_fleet::{Fleet, Moment};
use gapless_journal::Store;
use gapless_model::{Epoch, Tick};

/// The last tick on record where the first journal of this process was read.
const FIRST: u64 = 1_000_000;

/// Now, as time goes in this process.
pub fn now() -> Moment {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    let since = BEGAN.get_or_init(Instant::now).elapsed().as_millis();
    Moment { tick: Tick(FIRST + u64::try_from(since).unwrap_or(u64::MAX)), wall_ms: 0 }
}

/// Takes a journal over, above an epoch that others are known to have seen.
pub fn recover_above<S: Store>(store: S, known: Epoch) -> Result<Fleet<S>, RecoverError> {
    recover::read(store)?.begin(Beginning {
        known,
        controller: None,
        journal: "of-a-test".to_owned(),
        clock: &mut |_, last| last.0.to_string().into_bytes(),
    })
}

/// Takes a journal over that nobody else is known to remember anything of.
pub fn recover<S: Store>(store: S) -> Result<Fleet<S>, RecoverError> {
    recover_above(store, Epoch(0))
}
