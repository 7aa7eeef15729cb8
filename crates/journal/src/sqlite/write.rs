//! One change, written inside a transaction.

use rusqlite::{Connection, OptionalExtension, params};

use super::{State, failed};
use crate::chain::{self, Hash, Head, Row};
use crate::{Operation, Sequence, StoreError};

/// Applies one operation to the database and to the state that becomes true with the commit.
pub(super) fn operation(
    connection: &Connection,
    state: &mut State,
    operation: &Operation,
) -> Result<Option<Sequence>, StoreError> {
    match operation {
        Operation::Append { stream, kind, bytes } => append(connection, state, stream, kind, bytes).map(Some),
        Operation::Snapshot { stream, kind, bytes, upto } => {
            snapshot(connection, state, *upto, Content { stream, kind, bytes }).map(|()| None)
        }
        Operation::Put { table, key, bytes } => {
            remove_fact(connection, state, table, key)?;
            let hash = chain::fact(table, key, bytes);
            execute(
                connection,
                "INSERT INTO facts (tab, key, value, hash) VALUES (?1, ?2, ?3, ?4)",
                params![table, key, bytes, hash],
            )?;
            chain::toggle(&mut state.sum, &hash);
            Ok(None)
        }
        Operation::Delete { table, key } => remove_fact(connection, state, table, key).map(|()| None),
    }
}

/// Writes the state row.
pub(super) fn state(connection: &Connection, state: &State) -> Result<(), StoreError> {
    let check = chain::state(state.commits, state.epoch.0, &state.sum);
    execute(
        connection,
        "REPLACE INTO state (id, commits, epoch, sum, hash) VALUES (0, ?1, ?2, ?3, ?4)",
        params![signed(state.commits)?, signed(state.epoch.0)?, state.sum, check],
    )
}

struct Content<'a> {
    stream: &'a str,
    kind: &'a str,
    bytes: &'a [u8],
}

fn append(
    connection: &Connection,
    state: &mut State,
    stream: &str,
    kind: &str,
    bytes: &[u8],
) -> Result<Sequence, StoreError> {
    let head = state.heads.get(stream).cloned().unwrap_or(Head::EMPTY);
    let sequence = head.last + 1;
    let row = Row { stream, sequence, snapshot: false, kind, bytes, previous: &head.link };
    let link = row.hash();
    insert(connection, &row, &link)?;
    set_head(connection, state, stream, Head { last: sequence, link, ..head })?;
    Ok(Sequence(sequence))
}

fn snapshot(
    connection: &Connection,
    state: &mut State,
    upto: Sequence,
    content: Content<'_>,
) -> Result<(), StoreError> {
    let stream = content.stream;
    let found = connection
        .prepare_cached("SELECT snapshot, previous, hash FROM records WHERE stream = ?1 AND sequence = ?2")
        .and_then(|mut query| {
            query
                .query_row(params![stream, signed_or_zero(upto.0)], |row| {
                    Ok((row.get::<_, bool>(0)?, row.get::<_, Hash>(1)?, row.get::<_, Hash>(2)?))
                })
                .optional()
        })
        .map_err(|error| failed("write", error))?;
    let (Some((was_snapshot, previous, hash)), Some(head)) = (found, state.heads.get(stream).cloned()) else {
        return Err(StoreError::Invalid(format!("a snapshot of {stream:?} at {upto}")));
    };
    let link = if was_snapshot { previous } else { hash };
    execute(connection, "DELETE FROM records WHERE stream = ?1 AND sequence <= ?2", params![stream, signed(upto.0)?])?;
    let row =
        Row { stream, sequence: upto.0, snapshot: true, kind: content.kind, bytes: content.bytes, previous: &link };
    let base_hash = row.hash();
    insert(connection, &row, &base_hash)?;
    set_head(connection, state, stream, Head { base: upto.0, base_hash, ..head })
}

fn insert(connection: &Connection, row: &Row<'_>, hash: &Hash) -> Result<(), StoreError> {
    execute(
        connection,
        "INSERT INTO records (stream, sequence, snapshot, kind, bytes, previous, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![row.stream, signed(row.sequence)?, row.snapshot, row.kind, row.bytes, row.previous, hash],
    )
}

fn set_head(connection: &Connection, state: &mut State, stream: &str, head: Head) -> Result<(), StoreError> {
    execute(
        connection,
        "REPLACE INTO heads (stream, last, link, base, base_hash) VALUES (?1, ?2, ?3, ?4, ?5)",
        params![stream, signed(head.last)?, head.link, signed(head.base)?, head.base_hash],
    )?;
    chain::toggle(&mut state.sum, &head.hash(stream));
    if let Some(before) = state.heads.insert(stream.to_owned(), head) {
        chain::toggle(&mut state.sum, &before.hash(stream));
    }
    Ok(())
}

fn remove_fact(connection: &Connection, state: &mut State, table: &str, key: &str) -> Result<(), StoreError> {
    let removed = connection
        .prepare_cached("DELETE FROM facts WHERE tab = ?1 AND key = ?2 RETURNING hash")
        .and_then(|mut query| query.query_row(params![table, key], |row| row.get::<_, Hash>(0)).optional())
        .map_err(|error| failed("write", error))?;
    if let Some(hash) = removed {
        chain::toggle(&mut state.sum, &hash);
    }
    Ok(())
}

fn execute(connection: &Connection, sql: &str, values: impl rusqlite::Params) -> Result<(), StoreError> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute(values))
        .map(|_| ())
        .map_err(|error| failed("write", error))
}

/// SQLite's integers are signed; a journal of 2⁶³ records is not reached.
fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Invalid(format!("the number {number}")))
}

fn signed_or_zero(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(0)
}
