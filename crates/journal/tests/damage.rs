//! A damaged journal is an error or harmless, never silently another one.

use std::fs;
use std::path::Path;

use gapless_journal::{Batch, Record, Sequence, SqliteStore, Store, StoreError};
use tempfile::TempDir;

/// All that can be read of a journal.
type Content = (Vec<(String, Vec<Record>)>, Vec<(String, Vec<u8>)>);

fn content(store: &mut SqliteStore) -> Content {
    let streams = store.streams().unwrap();
    let read = |stream: String| {
        let records = store.read(&stream, Sequence::START).unwrap();
        (stream, records)
    };
    let streams = streams.into_iter().map(read).collect();
    (streams, store.facts("f").unwrap())
}

/// A journal with several streams, a snapshot, facts that were replaced and removed, and values over several pages.
fn write(folder: &Path) -> SqliteStore {
    let mut store = SqliteStore::open(folder).unwrap();
    store.begin_term().unwrap();
    for number in 0..30_u64 {
        let mut batch = Batch::new();
        batch.append("shop", "step", format!("record {number}").repeat(20));
        batch.append("pay", "step", vec![number as u8; if number == 7 { 9_000 } else { 40 }]);
        batch.put("f", format!("key {}", number % 9), format!("value {number}"));
        if number % 4 == 3 {
            batch.delete("f", format!("key {}", number % 5));
        }
        if number == 20 {
            batch.snapshot("shop", "snapshot", "all until 15", Sequence(15));
        }
        store.commit(&batch).unwrap();
    }
    store
}

/// Copies the files of a journal as they are at this moment, as a crash leaves them.
fn copy(from: &Path) -> TempDir {
    let to = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), to.path().join(entry.file_name())).unwrap();
    }
    to
}

/// Opens what was damaged: refused, or exactly as it was.
fn refused_or_the_same(folder: &Path, expected: &Content, what: &str) -> bool {
    match SqliteStore::open(folder) {
        Err(
            StoreError::Damaged { .. }
            | StoreError::WitnessDamaged { .. }
            | StoreError::Newer { .. }
            | StoreError::Io { .. },
        ) => true,
        Err(other) => panic!("{what}: {other}"),
        Ok(mut store) => {
            assert_eq!(&content(&mut store), expected, "{what}: silently another journal");
            false
        }
    }
}

/// Flips one bit at many positions of a file; how many were refused.
fn flip_all_over(folder: &Path, file: &str, positions: usize, expected: &Content) -> (usize, usize) {
    let bytes = fs::read(folder.join(file)).unwrap();
    let step = (bytes.len() / positions).max(1);
    let (mut refused, mut tried) = (0, 0);
    // An odd step and a turning bit reach every field of a page sooner or later.
    for (turn, at) in (0..bytes.len()).step_by(step | 1).enumerate() {
        let damaged = copy(folder);
        let mut flipped = bytes.clone();
        flipped[at] ^= 1 << (turn % 8);
        fs::write(damaged.path().join(file), flipped).unwrap();
        refused += usize::from(refused_or_the_same(damaged.path(), expected, &format!("{file} at {at}")));
        tried += 1;
    }
    (refused, tried)
}

#[test]
fn a_flipped_bit_in_the_database_is_found_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = write(folder.path());
    let expected = content(&mut store);
    drop(store);
    let (refused, tried) = flip_all_over(folder.path(), "journal.db", 300, &expected);
    assert!(refused * 3 > tried, "of {tried} flips only {refused} were found");
}

#[test]
fn a_flipped_bit_in_the_write_ahead_log_is_found_or_harmless() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = write(folder.path());
    let expected = content(&mut store);
    let crashed = copy(folder.path());
    assert!(fs::metadata(crashed.path().join("journal.db-wal")).unwrap().len() > 100_000);
    let (refused, tried) = flip_all_over(crashed.path(), "journal.db-wal", 200, &expected);
    assert!(refused * 3 > tried, "of {tried} flips only {refused} were found");
}

#[test]
fn a_flipped_bit_in_the_witness_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = write(folder.path());
    let expected = content(&mut store);
    drop(store);
    assert_eq!(flip_all_over(folder.path(), "journal.witness", 48, &expected), (48, 48));
}

#[test]
fn a_file_that_was_cut_short_is_found_wherever_it_was_cut() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = write(folder.path());
    let expected = content(&mut store);
    let crashed = copy(folder.path());
    drop(store);
    for (folder, file) in [(&folder, "journal.db"), (&crashed, "journal.db-wal"), (&folder, "journal.witness")] {
        let bytes = fs::read(folder.path().join(file)).unwrap();
        let cuts = [
            0,
            1,
            32,
            100,
            4_096,
            bytes.len() / 3,
            bytes.len() / 2,
            bytes.len().saturating_sub(4_000),
            bytes.len() - 1,
        ];
        for cut in cuts.into_iter().filter(|cut| *cut < bytes.len()) {
            let damaged = copy(folder.path());
            fs::write(damaged.path().join(file), &bytes[..cut]).unwrap();
            assert!(
                refused_or_the_same(damaged.path(), &expected, &format!("{file} cut at {cut}")),
                "{file} cut at {cut}"
            );
        }
    }
}

#[test]
fn a_journal_that_is_gone_is_not_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    drop(write(folder.path()));
    fs::remove_file(folder.path().join("journal.db")).unwrap();
    assert!(matches!(SqliteStore::open(folder.path()), Err(StoreError::Damaged { .. })));
    fs::write(folder.path().join("journal.db"), "SQLite format 3, or so").unwrap();
    assert!(matches!(SqliteStore::open(folder.path()), Err(StoreError::Damaged { .. })));
}

#[test]
fn a_copy_of_the_database_alone_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = write(folder.path());
    let expected = content(&mut store);
    drop(store);
    let restored = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join("journal.db"), restored.path().join("journal.db")).unwrap();
    assert_eq!(content(&mut SqliteStore::open(restored.path()).unwrap()), expected);
}

#[test]
fn a_change_that_sqlite_finds_nothing_wrong_with_breaks_the_chain() {
    let changes = [
        ("a record's content", "UPDATE records SET bytes = 'other' WHERE stream = 'pay' AND sequence = 5"),
        ("a record's kind", "UPDATE records SET kind = 'other' WHERE stream = 'pay' AND sequence = 5"),
        ("a record less in the middle", "DELETE FROM records WHERE stream = 'pay' AND sequence = 5"),
        ("a record less at the end", "DELETE FROM records WHERE stream = 'pay' AND sequence = 30"),
        ("the snapshot gone", "DELETE FROM records WHERE stream = 'shop' AND snapshot = 1"),
        ("the snapshot's content", "UPDATE records SET bytes = 'other' WHERE stream = 'shop' AND snapshot = 1"),
        ("a stream less", "DELETE FROM heads WHERE stream = 'pay'"),
        ("a whole stream less", "DELETE FROM heads WHERE stream = 'pay'; DELETE FROM records WHERE stream = 'pay'"),
        ("a record of another stream", "UPDATE records SET stream = 'new' WHERE stream = 'pay' AND sequence = 30"),
        ("a fact's value", "UPDATE facts SET value = 'other' WHERE key = 'key 6'"),
        ("a fact less", "DELETE FROM facts WHERE key = 'key 6'"),
        ("the term", "UPDATE state SET epoch = 0"),
        ("no state", "DELETE FROM state"),
    ];
    let folder = tempfile::tempdir().unwrap();
    drop(write(folder.path()));
    for (what, sql) in changes {
        let damaged = copy(folder.path());
        let connection = rusqlite::Connection::open(damaged.path().join("journal.db")).unwrap();
        connection.execute_batch(sql).unwrap();
        assert!(connection.changes() > 0, "{what}");
        drop(connection);
        let opened = SqliteStore::open(damaged.path());
        assert!(matches!(opened, Err(StoreError::Damaged { .. })), "{what}");
    }
}

#[test]
fn a_journal_of_a_later_format_is_refused_as_such() {
    let folder = tempfile::tempdir().unwrap();
    drop(write(folder.path()));
    let connection = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
    connection.execute_batch("PRAGMA user_version = 2").unwrap();
    drop(connection);
    let opened = SqliteStore::open(folder.path());
    assert!(matches!(opened, Err(StoreError::Newer { found: 2, known: 1, .. })));
}

#[test]
fn a_second_opener_is_refused_and_told_who_has_it() {
    let folder = tempfile::tempdir().unwrap();
    let first = write(folder.path());
    match SqliteStore::open(folder.path()) {
        Err(StoreError::InUse { pid, .. }) => assert_eq!(pid, Some(std::process::id())),
        other => panic!("{:?}", other.map(|_| ())),
    }
    drop(first);
    SqliteStore::open(folder.path()).unwrap();
}

#[test]
fn a_journal_stays_small_when_its_past_is_summed_up() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = SqliteStore::open(folder.path()).unwrap();
    store.begin_term().unwrap();
    for number in 1..=2_000_u64 {
        let mut batch = Batch::new();
        batch.append("shop", "step", vec![number as u8; 1_000]);
        if number % 100 == 0 {
            batch.snapshot("shop", "snapshot", vec![0; 5_000], Sequence(number));
        }
        store.commit(&batch).unwrap();
    }
    drop(store);
    let size = fs::metadata(folder.path().join("journal.db")).unwrap().len();
    assert!(size < 1 << 20, "{size} bytes for the last hundred records");
}
