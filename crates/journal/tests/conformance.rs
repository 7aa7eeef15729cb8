//! Every store does what the trait promises.

use gapless_journal::conformance::{Bench, run};
use gapless_journal::{Batch, Fault, MemoryStore, Sequence, SqliteStore, Store, StoreError};
use tempfile::TempDir;

struct Memory;

impl Bench for Memory {
    type Store = MemoryStore;

    fn fresh(&mut self) -> MemoryStore {
        MemoryStore::new()
    }

    fn reopen(&mut self, store: MemoryStore) -> MemoryStore {
        store.reopen()
    }
}

struct Sqlite {
    folder: TempDir,
}

impl Bench for Sqlite {
    type Store = SqliteStore;

    fn fresh(&mut self) -> SqliteStore {
        self.folder = tempfile::tempdir().unwrap();
        SqliteStore::open(self.folder.path()).unwrap()
    }

    fn reopen(&mut self, store: SqliteStore) -> SqliteStore {
        drop(store);
        SqliteStore::open(self.folder.path()).unwrap()
    }
}

#[test]
fn the_store_in_memory_conforms() {
    run(&mut Memory);
}

#[test]
fn the_sqlite_store_conforms() {
    run(&mut Sqlite { folder: tempfile::tempdir().unwrap() });
}

#[test]
fn a_made_crash_loses_the_commit_or_keeps_it_as_asked() {
    for (fault, kept) in [(Fault::CrashBefore, 1), (Fault::CrashAfter, 2)] {
        let mut store = MemoryStore::new();
        store.begin_term().unwrap();
        store.fail_at(2, fault);
        let mut batch = Batch::new();
        batch.append("a", "t", *b"x");
        store.commit(&batch).unwrap();
        assert!(matches!(store.commit(&batch), Err(StoreError::Crashed)));
        assert!(matches!(store.read("a", Sequence::START), Err(StoreError::Crashed)), "the dead read nothing");
        let mut next = store.reopen();
        assert_eq!(next.read("a", Sequence::START).unwrap().len(), kept);
        next.begin_term().unwrap();
        next.commit(&batch).unwrap();
    }
}

#[test]
fn an_older_opener_is_refused_once_a_later_term_has_begun() {
    let mut old = MemoryStore::new();
    old.begin_term().unwrap();
    let mut new = old.reopen();
    new.begin_term().unwrap();
    let mut batch = Batch::new();
    batch.append("a", "t", *b"x");
    assert!(matches!(old.commit(&batch), Err(StoreError::Superseded { .. })));
    new.commit(&batch).unwrap();
}
