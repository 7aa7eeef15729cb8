//! The store of one machine: SQLite, one connection, write-ahead log, every commit synced.
//!
//! Chosen over a log of our own because its recovery has been tested for twenty years; what it does not promise is added here: a chain of
//! hashes and a [witness](crate::witness) against damage that it would take for an older state.

mod copy;
mod open;
mod verify;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use gapless_model::Epoch;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::chain::{Hash, Head};
use crate::reserve::{Need, Reserve};
use crate::witness::Witness;
use crate::{Batch, Position, Record, Sequence, Store, StoreError};

pub use copy::{BackUp, Existing, Standing, inspect, refuse_in_use, restore, set_aside};

/// Commits after which they are moved to the main file: a copy of it lacks at most so many, and the write-ahead log stays below some
/// hundred kilobytes.
const CHECKPOINT_COMMITS: u64 = 64;

/// A journal in a folder: `journal.db` with SQLite's own files, `journal.witness` and `journal.lock`.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    state: State,
    witness: Witness,
    reserve: Reserve,
    /// Commits that are in the write-ahead log alone.
    since_checkpoint: u64,
    term: Option<Epoch>,
    poisoned: Option<String>,
    /// Held for as long as the store is open; its lock keeps a second opener out.
    _lock: File,
}

/// What is known of the whole journal without reading it; changed only after the commit that changes it.
#[derive(Clone, Debug)]
struct State {
    commits: u64,
    epoch: Epoch,
    sum: Hash,
    heads: BTreeMap<String, Head>,
}

impl SqliteStore {
    /// Opens the journal in a folder, and makes a new one where there is no trace of any. The whole journal is verified.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another process has it, [`StoreError::Newer`] for a format from the future, [`StoreError::Damaged`] when it is not
    /// what was written, [`StoreError::Full`] and [`StoreError::Io`].
    pub fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
        open::open(folder)
    }

    /// Whether there is a journal in a folder, or a trace of one.
    #[must_use]
    pub fn is_there(folder: &Path) -> bool {
        ["journal.db", "journal.witness"].iter().any(|name| std::fs::symlink_metadata(folder.join(name)).is_ok())
    }

    /// The database file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Runs a write; an error that leaves the disk in doubt closes the store to writing (J4).
    fn guarded<T>(&mut self, write: impl FnOnce(&mut Self) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if let Some(first) = &self.poisoned {
            return Err(StoreError::Poisoned { first: first.clone() });
        }
        let result = write(self);
        if let Err(error) = &result
            && error.is_fatal()
        {
            self.poison(error);
        }
        // A rollback that did not work leaves the transaction open: nothing may be added to it.
        if !self.connection.is_autocommit() {
            self.poisoned.get_or_insert_with(|| "a transaction could not be rolled back".to_owned());
        }
        result
    }

    fn poison(&mut self, error: &StoreError) {
        tracing::error!(journal = %self.path.display(), error = error as &dyn std::error::Error, "journal closed to writing");
        self.poisoned.get_or_insert_with(|| error.to_string());
    }

    fn begin(&mut self, known: Epoch) -> Result<Epoch, StoreError> {
        let next =
            State { epoch: self.state.epoch.max(known).next(), commits: self.state.commits + 1, ..self.state.clone() };
        let transaction = self.connection.transaction().map_err(|error| failed("write", error))?;
        write::state(&transaction, &next)?;
        transaction.commit().map_err(|error| failed("write", error))?;
        self.committed(next)?;
        self.term = Some(self.state.epoch);
        Ok(self.state.epoch)
    }

    fn write(&mut self, batch: &Batch) -> Result<Vec<Sequence>, StoreError> {
        let ours = self.term.ok_or(StoreError::NoTerm)?;
        if ours != self.state.epoch {
            return Err(StoreError::Superseded { ours, newest: self.state.epoch });
        }
        if self.since_checkpoint >= CHECKPOINT_COMMITS {
            self.move_to_main_file()?;
        }
        let mut next = self.state.clone();
        next.commits += 1;
        let transaction = self.connection.transaction().map_err(|error| failed("write", error))?;
        let mut sequences = Vec::new();
        for operation in batch.operations() {
            sequences.extend(write::operation(&transaction, &mut next, operation)?);
        }
        write::state(&transaction, &next)?;
        transaction.commit().map_err(|error| failed("write", error))?;
        self.committed(next)?;
        Ok(sequences)
    }

    /// Moves the write-ahead log into the database and empties it. For want of room it stays as it is.
    fn move_to_main_file(&mut self) -> Result<(), StoreError> {
        match self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
            .map_err(|e| failed("write", e))
        {
            Ok(()) => self.since_checkpoint = 0,
            Err(StoreError::Full) => self.since_checkpoint = 1,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn committed(&mut self, next: State) -> Result<(), StoreError> {
        self.state = next;
        self.since_checkpoint += 1;
        // The commit is durable already. A witness that cannot be written lags behind, which is allowed.
        if let Err(error) = self.witness.note(self.state.commits) {
            tracing::warn!(%error, "journal witness not written");
        }
        Ok(())
    }
}

impl Store for SqliteStore {
    fn begin_term_above(&mut self, known: Epoch) -> Result<Epoch, StoreError> {
        self.guarded(|store| store.begin(known))
    }

    fn position(&self) -> Position {
        Position { epoch: self.state.epoch, commits: self.state.commits }
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        if self.since_checkpoint == 0 {
            return Ok(());
        }
        self.guarded(Self::move_to_main_file)
    }

    fn give_up_reserve(&mut self) -> bool {
        let need = if self.term.is_none() { Need::Start } else { Need::Fact };
        self.reserve.give_up(need)
    }

    fn has_reserve(&mut self) -> bool {
        self.reserve.keep()
    }

    fn commit(&mut self, batch: &Batch) -> Result<Vec<Sequence>, StoreError> {
        batch.check()?;
        self.guarded(|store| store.write(batch))
    }

    fn read(&mut self, stream: &str, from: Sequence) -> Result<Vec<Record>, StoreError> {
        let head = self.state.heads.get(stream).cloned().unwrap_or(Head::EMPTY);
        verify::stream(&self.connection, stream, &head, from)
    }

    fn last(&self, stream: &str) -> Result<Sequence, StoreError> {
        Ok(self.state.heads.get(stream).map_or(Sequence::START, |head| Sequence(head.last)))
    }

    fn streams(&mut self) -> Result<Vec<String>, StoreError> {
        Ok(self.state.heads.keys().cloned().collect())
    }

    fn fact(&mut self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let row = self
            .connection
            .prepare_cached("SELECT value, hash FROM facts WHERE tab = ?1 AND key = ?2")
            .and_then(|mut query| {
                query
                    .query_row(params![table, key], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Hash>(1)?)))
                    .optional()
            })
            .map_err(|error| failed("read", error))?;
        row.map(|(value, hash)| verify::fact(table, key, value, &hash)).transpose()
    }

    fn facts(&mut self, table: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        let mut query = self
            .connection
            .prepare_cached("SELECT key, value, hash FROM facts WHERE tab = ?1 ORDER BY key")
            .map_err(|error| failed("read", error))?;
        let mut rows = query.query(params![table]).map_err(|error| failed("read", error))?;
        let mut facts = Vec::new();
        while let Some(row) = rows.next().map_err(|error| failed("read", error))? {
            let (key, value, hash): (String, Vec<u8>, Hash) = row.try_into().map_err(|error| failed("read", error))?;
            let value = verify::fact(table, &key, value, &hash)?;
            facts.push((key, value));
        }
        Ok(facts)
    }

    fn fact_keys(&mut self, table: &str, from: &str, below: &str) -> Result<Vec<String>, StoreError> {
        self.connection
            .prepare_cached("SELECT key FROM facts WHERE tab = ?1 AND key >= ?2 AND key < ?3 ORDER BY key")
            .and_then(|mut query| query.query_map(params![table, from, below], |row| row.get(0))?.collect())
            .map_err(|error| failed("read", error))
    }
}

/// What an error of SQLite means here.
fn failed(act: &'static str, error: rusqlite::Error) -> StoreError {
    match &error {
        rusqlite::Error::SqliteFailure(code, _) => match code.code {
            ErrorCode::DiskFull => StoreError::Full,
            ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => StoreError::damaged(error.to_string()),
            _ => StoreError::io(act, error),
        },
        // A column with a value that is never written there.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::Utf8Error(..) => StoreError::damaged(error.to_string()),
        _ => StoreError::io(act, error),
    }
}
