//! What every store promises.

use std::fmt;

use gapless_model::Epoch;

use crate::{Batch, StoreError};

/// The number of a record within its stream: 1, 2, 3 … without a gap.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Before the first record; reading from here reads everything.
    pub const START: Sequence = Sequence(0);
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a row of a stream is.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordKind {
    /// One appended record.
    Appended,
    /// The state after all records up to and with its sequence; it took their place.
    Snapshot,
}

/// One record as it is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Record {
    /// Its number; of a snapshot, the number of the last record it stands for.
    pub sequence: Sequence,
    /// Whether it was appended or stands for all before it.
    pub record: RecordKind,
    /// The user's own name for what the bytes are, such as `step/1`.
    pub kind: String,
    /// The content, opaque to the store.
    pub bytes: Vec<u8>,
}

/// How far a journal has come. Of two states of one journal the later one is greater: terms rise with every start, commits with
/// every change.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct Position {
    /// The last term that began.
    pub epoch: Epoch,
    /// The commits since the journal was made.
    pub commits: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "commit {} of term {}", self.commits, self.epoch)
    }
}

/// A durable log with small tables beside it. All calls block; each returns when its effect is durable.
pub trait Store: Send {
    /// Begins a term: a number above every term before it and above `known`, the highest that others are known to have seen; durable
    /// when it is returned. Must come before the first [`Store::commit`]; from then on older terms are refused.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin_term_above(&mut self, known: Epoch) -> Result<Epoch, StoreError>;

    /// As [`Store::begin_term_above`], where nobody else has seen a term.
    ///
    /// # Errors
    /// [`StoreError`].
    fn begin_term(&mut self) -> Result<Epoch, StoreError> {
        self.begin_term_above(Epoch(0))
    }

    /// How far it has come.
    fn position(&self) -> Position;

    /// Moves what was committed to where a copy of the main file finds it. Worth doing when nothing else is to be done.
    ///
    /// # Errors
    /// [`StoreError`]; want of room is none: it is done another time.
    fn checkpoint(&mut self) -> Result<(), StoreError> {
        Ok(())
    }

    /// Gives up some of the room that is kept for when there is none; whether there was any. What is refused with [`StoreError::Full`] may
    /// be tried again then, and so on until there is none left. The last of it is kept for a start: before a term begins.
    fn give_up_reserve(&mut self) -> bool {
        false
    }

    /// Whether room is kept for when there is none, made anew where there is enough again. A store that keeps none always
    /// says yes.
    fn has_reserve(&mut self) -> bool {
        true
    }

    /// Makes the whole batch durable in one transaction, or nothing of it. Answers the sequence of each append, in order.
    ///
    /// # Errors
    /// [`StoreError::NoTerm`] before [`Store::begin_term`], [`StoreError::Superseded`] when a later term has begun, [`StoreError::Invalid`] and [`StoreError::TooLarge`]
    /// for a batch that no store would take, [`StoreError::Full`] when there is no room (nothing was changed, the store goes on), others as [`StoreError`] says.
    fn commit(&mut self, batch: &Batch) -> Result<Vec<Sequence>, StoreError>;

    /// The records of a stream from a sequence on, in order. A snapshot that stands for `from` comes first. A stream that was
    /// never written is empty.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the chain of hashes does not hold; never a shorter list.
    fn read(&mut self, stream: &str, from: Sequence) -> Result<Vec<Record>, StoreError>;

    /// The sequence of the stream's last record; [`Sequence::START`] when there is none.
    fn last(&self, stream: &str) -> Result<Sequence, StoreError>;

    /// All streams that have a record, sorted.
    ///
    /// # Errors
    /// [`StoreError`].
    fn streams(&mut self) -> Result<Vec<String>, StoreError>;

    /// The fact under a key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn fact(&mut self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError>;

    /// All facts of a table, sorted by key.
    ///
    /// # Errors
    /// [`StoreError`].
    fn facts(&mut self, table: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError>;

    /// The keys of a table from `from` on and below `below`, sorted. Their facts are neither read nor verified.
    ///
    /// # Errors
    /// [`StoreError`].
    fn fact_keys(&mut self, table: &str, from: &str, below: &str) -> Result<Vec<String>, StoreError>;
}
