//! The store of one machine: SQLite, one connection, write-ahead log, every commit synced.
//!
//! Chosen over a log of our own because its recovery has been tested for twenty years; what it does not promise is added here: a chain of
//! hashes and a [witness](crate::witness) against damage that it would take for an older state.

mod open;
mod verify;
mod write;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use gapless_model::Epoch;
use rusqlite::{Connection, ErrorCode, OptionalExtension, params};

use crate::chain::{Hash, Head};
use crate::witness::Witness;
use crate::{Batch, Record, Sequence, Store, StoreError};

/// A journal in a folder: `journal.db` with SQLite's own files, `journal.witness` and `journal.lock`.
pub struct SqliteStore {
    connection: Connection,
    path: PathBuf,
    state: State,
    witness: Witness,
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

    fn begin(&mut self) -> Result<Epoch, StoreError> {
        let next = State { epoch: self.state.epoch.next(), commits: self.state.commits + 1, ..self.state.clone() };
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

    fn committed(&mut self, next: State) -> Result<(), StoreError> {
        self.state = next;
        // The commit is durable already. A witness that cannot be written lags behind, which is allowed.
        if let Err(error) = self.witness.note(self.state.commits) {
            tracing::warn!(%error, "journal witness not written");
        }
        Ok(())
    }
}

impl Store for SqliteStore {
    fn begin_term(&mut self) -> Result<Epoch, StoreError> {
        self.guarded(Self::begin)
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
