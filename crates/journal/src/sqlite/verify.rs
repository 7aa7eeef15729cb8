//! Whether what is read is what was written.

use std::collections::BTreeMap;

use gapless_model::Epoch;
use rusqlite::{Connection, params};

use super::{State, failed};
use crate::chain::{self, Hash, Head, ORIGIN, Row};
use crate::{Record, RecordKind, Sequence, StoreError};

/// Reads and verifies everything; the state of the journal.
pub(super) fn everything(connection: &Connection) -> Result<State, StoreError> {
    quick_check(connection)?;
    let mut state = state(connection)?;
    let mut sum = facts_sum(connection)?;
    for (stream, head) in heads(connection)? {
        self::stream(connection, &stream, &head, Sequence::START)?;
        chain::toggle(&mut sum, &head.hash(&stream));
        state.heads.insert(stream, head);
    }
    if sum != state.sum {
        return Err(StoreError::damaged("the sum over streams and facts does not hold"));
    }
    let strangers: i64 = connection
        .query_row("SELECT count(*) FROM records WHERE stream NOT IN (SELECT stream FROM heads)", [], |row| row.get(0))
        .map_err(|error| failed("read", error))?;
    if strangers > 0 {
        return Err(StoreError::damaged("records of a stream that has no head"));
    }
    Ok(state)
}

/// The records of a stream from `from` on, the chain verified from its begin to its head.
pub(super) fn stream(
    connection: &Connection,
    stream: &str,
    head: &Head,
    from: Sequence,
) -> Result<Vec<Record>, StoreError> {
    let mut query = connection
        .prepare_cached(
            "SELECT sequence, snapshot, kind, bytes, previous, hash FROM records WHERE stream = ?1 ORDER BY sequence",
        )
        .map_err(|error| failed("read", error))?;
    let mut rows = query.query(params![stream]).map_err(|error| failed("read", error))?;
    let mut walk = Walk { head, stream, at: None, records: Vec::new() };
    while let Some(row) = rows.next().map_err(|error| failed("read", error))? {
        walk.row(row.try_into().map_err(|error| failed("read", error))?, from)?;
    }
    let (last, link) = walk.at.unwrap_or((0, ORIGIN));
    if (last, link) != (head.last, head.link) {
        return Err(StoreError::damaged(format!("stream {stream:?} ends at {last}, its head is at {}", head.last)));
    }
    Ok(walk.records)
}

/// A fact whose hash holds.
pub(super) fn fact(table: &str, key: &str, value: Vec<u8>, hash: &Hash) -> Result<Vec<u8>, StoreError> {
    if chain::fact(table, key, &value) == *hash {
        Ok(value)
    } else {
        Err(StoreError::damaged(format!("fact {key:?} of {table:?}")))
    }
}

struct Walk<'a> {
    head: &'a Head,
    stream: &'a str,
    /// Sequence and link of the row before.
    at: Option<(u64, Hash)>,
    records: Vec<Record>,
}

impl Walk<'_> {
    fn row(
        &mut self,
        (sequence, snapshot, kind, bytes, previous, hash): (i64, bool, String, Vec<u8>, Hash, Hash),
        from: Sequence,
    ) -> Result<(), StoreError> {
        let stream = self.stream;
        let damaged = |what: &str| StoreError::damaged(format!("record {sequence} of stream {stream:?}: {what}"));
        let sequence = u64::try_from(sequence).map_err(|_| damaged("its number"))?;
        let row = Row { stream, sequence, snapshot, kind: &kind, bytes: &bytes, previous: &previous };
        if row.hash() != hash {
            return Err(damaged("its hash does not hold"));
        }
        let begins = self.at.is_none();
        let based = snapshot && begins && sequence == self.head.base && hash == self.head.base_hash;
        let first = begins && !snapshot && sequence == 1 && previous == ORIGIN && self.head.base == 0;
        let follows = !snapshot && self.at.is_some_and(|(last, link)| sequence == last + 1 && previous == link);
        if !(based || first || follows) {
            return Err(damaged("it does not follow the record before it"));
        }
        self.at = Some((sequence, if snapshot { previous } else { hash }));
        if sequence >= from.0 {
            let record = if snapshot { RecordKind::Snapshot } else { RecordKind::Appended };
            self.records.push(Record { sequence: Sequence(sequence), record, kind, bytes });
        }
        Ok(())
    }
}

fn quick_check(connection: &Connection) -> Result<(), StoreError> {
    let answer: String =
        connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(|error| failed("read", error))?;
    if answer == "ok" { Ok(()) } else { Err(StoreError::damaged(answer)) }
}

fn state(connection: &Connection) -> Result<State, StoreError> {
    let row: (i64, i64, Hash, Hash) = connection
        .query_row("SELECT commits, epoch, sum, hash FROM state WHERE id = 0", [], |row| row.try_into())
        .map_err(|error| match error {
            rusqlite::Error::QueryReturnedNoRows => StoreError::damaged("the state row is missing"),
            error => failed("read", error),
        })?;
    let (commits, epoch, sum, hash) = (row.0.cast_unsigned(), row.1.cast_unsigned(), row.2, row.3);
    if chain::state(commits, epoch, &sum) != hash {
        return Err(StoreError::damaged("the state row's hash does not hold"));
    }
    Ok(State { commits, epoch: Epoch(epoch), sum, heads: BTreeMap::new() })
}

fn heads(connection: &Connection) -> Result<Vec<(String, Head)>, StoreError> {
    let read = || {
        let mut query = connection.prepare("SELECT stream, last, link, base, base_hash FROM heads ORDER BY stream")?;
        let rows = query.query_map([], |row| {
            let (stream, last, link, base, base_hash): (String, i64, Hash, i64, Hash) = row.try_into()?;
            Ok((stream, Head { last: last.cast_unsigned(), link, base: base.cast_unsigned(), base_hash }))
        })?;
        rows.collect::<Result<Vec<_>, _>>()
    };
    read().map_err(|error| failed("read", error))
}

fn facts_sum(connection: &Connection) -> Result<Hash, StoreError> {
    let mut query =
        connection.prepare("SELECT tab, key, value, hash FROM facts").map_err(|error| failed("read", error))?;
    let mut rows = query.query([]).map_err(|error| failed("read", error))?;
    let mut sum = ORIGIN;
    while let Some(row) = rows.next().map_err(|error| failed("read", error))? {
        let (table, key, value, hash): (String, String, Vec<u8>, Hash) =
            row.try_into().map_err(|error| failed("read", error))?;
        fact(&table, &key, value, &hash)?;
        chain::toggle(&mut sum, &hash);
    }
    Ok(sum)
}
