//! What can go wrong with a store, sorted by who must act.

use std::path::PathBuf;

use gapless_model::Epoch;

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process has it open. The operator: stop the other one, or name another state folder.
    #[error("journal {} is in use by {}", path.display(), pid.map_or("another process".to_owned(), |pid| format!("process {pid}")))]
    InUse {
        /// The journal.
        path: PathBuf,
        /// Who has it, when known.
        pid: Option<u32>,
    },
    /// It was written by a newer Gapless than this one.
    #[error("journal {} has format {found}, this program knows up to {known}", path.display())]
    Newer {
        /// The journal.
        path: PathBuf,
        /// Its format.
        found: i64,
        /// The newest format known here.
        known: i64,
    },
    /// What is there is not what was written. Nothing may be decided from it: hold, and restore a copy.
    #[error("journal is damaged: {at}")]
    Damaged {
        /// What and where.
        at: String,
    },
    /// The journal itself is whole, but the file that says how far it had come is not.
    #[error("the witness {} is damaged; the journal itself is whole up to commit {commits}", path.display())]
    WitnessDamaged {
        /// The witness.
        path: PathBuf,
        /// The commits that the journal has.
        commits: u64,
    },
    /// A journal is there already, and newer than what was to take its place. Nothing was changed.
    #[error("the journal in {} is newer ({newer}) than the copy ({copy})", folder.display())]
    NewerThanCopy {
        /// Where.
        folder: PathBuf,
        /// How far the journal has come.
        newer: crate::Position,
        /// How far the copy had.
        copy: crate::Position,
    },
    /// There is no room. Nothing was changed; the store goes on when there is room again.
    #[error("no room is left for the journal")]
    Full,
    /// The disk or file system failed; this store refuses all further writes (J4).
    #[error("cannot {act} the journal")]
    Io {
        /// What was being done: `open`, `write`, `read`.
        act: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// An earlier I/O error or damage has closed this store to writing (J4).
    #[error("journal refuses to write after an earlier failure: {first}")]
    Poisoned {
        /// The first failure.
        first: String,
    },
    /// A later term has begun: someone else is the controller now (I5).
    #[error("term {ours} of this journal has ended, term {newest} has begun")]
    Superseded {
        /// The term of this store.
        ours: Epoch,
        /// The newest term.
        newest: Epoch,
    },
    /// `commit` before `begin_term`.
    #[error("no term has begun on this journal")]
    NoTerm,
    /// A batch that no store would take; a bug of the caller.
    #[error("refused a batch with {0}")]
    Invalid(String),
    /// A record or fact above [`crate::VALUE_BYTES_MAX`].
    #[error("a value of {bytes} bytes is above the {} bytes that a journal takes", crate::VALUE_BYTES_MAX)]
    TooLarge {
        /// Its size.
        bytes: usize,
    },
    /// A simulated crash ([`crate::MemoryStore`]): the caller is dead from here on.
    #[error("the controller was made to crash here")]
    Crashed,
}

impl StoreError {
    /// A failed file operation.
    pub(crate) fn io(act: &'static str, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> StoreError {
        StoreError::Io { act, source: source.into() }
    }

    /// Damage found somewhere.
    pub(crate) fn damaged(at: impl Into<String>) -> StoreError {
        StoreError::Damaged { at: at.into() }
    }

    /// Whether the store must not be written any more.
    #[must_use]
    pub fn is_fatal(&self) -> bool {
        match self {
            StoreError::Damaged { .. }
            | StoreError::WitnessDamaged { .. }
            | StoreError::Io { .. }
            | StoreError::Poisoned { .. }
            | StoreError::Superseded { .. }
            | StoreError::Newer { .. }
            | StoreError::Crashed => true,
            StoreError::InUse { .. }
            | StoreError::NewerThanCopy { .. }
            | StoreError::Full
            | StoreError::NoTerm
            | StoreError::Invalid(_)
            | StoreError::TooLarge { .. } => false,
        }
    }
}
