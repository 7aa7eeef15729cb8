//! Copies: of the main file alone, made while the journal is in use, put in its place; and the room kept for a full disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use gapless_journal::{
    BackUp, Batch, Existing, RESERVE_BYTES, Sequence, SqliteStore, Store, StoreError, inspect, restore, set_aside,
};
use gapless_model::Epoch;

fn append(store: &mut SqliteStore, number: u64) {
    let mut batch = Batch::new();
    batch.append("shop", "step", number.to_string().repeat(40)).put("fact", "last", number.to_string());
    store.commit(&batch).unwrap();
}

fn written(folder: &Path, records: u64) -> SqliteStore {
    let mut store = SqliteStore::open(folder).unwrap();
    store.begin_term().unwrap();
    (1..=records).for_each(|number| append(&mut store, number));
    store
}

fn last(folder: &Path) -> Result<u64, StoreError> {
    SqliteStore::open(folder).and_then(|store| store.last("shop")).map(|last| last.0)
}

#[test]
fn a_copy_of_the_main_file_alone_is_recent_while_the_journal_is_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = written(folder.path(), 200);
    let copied = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join("journal.db"), copied.path().join("journal.db")).unwrap();
    let found = last(copied.path()).unwrap();
    assert!(found >= 200 - 64, "the copy knows {found} of 200 records");
    store.checkpoint().unwrap();
    let copied = tempfile::tempdir().unwrap();
    fs::copy(folder.path().join("journal.db"), copied.path().join("journal.db")).unwrap();
    assert_eq!(last(copied.path()).unwrap(), 200, "at quiet all of them");
    append(&mut store, 201);
}

#[test]
fn a_main_file_without_its_log_is_found_out_and_the_log_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = written(folder.path(), 10);
    store.checkpoint().unwrap();
    append(&mut store, 11);
    let crashed = tempfile::tempdir().unwrap();
    for name in ["journal.db", "journal.witness"] {
        fs::copy(folder.path().join(name), crashed.path().join(name)).unwrap();
    }
    let error = last(crashed.path()).unwrap_err().to_string();
    assert_eq!(
        error,
        "journal is damaged: its last 1 commits are missing, and so is its write-ahead log journal.db-wal"
    );
}

#[test]
fn a_damaged_witness_is_named_and_the_journal_is_whole_without_it() {
    let folder = tempfile::tempdir().unwrap();
    drop(written(folder.path(), 10));
    let witness = folder.path().join("journal.witness");
    fs::write(&witness, "x").unwrap();
    match SqliteStore::open(folder.path()).map(|_| ()) {
        Err(StoreError::WitnessDamaged { path, commits }) => assert_eq!((path, commits), (witness.clone(), 11)),
        other => panic!("{other:?}"),
    }
    fs::remove_file(&witness).unwrap();
    assert_eq!(last(folder.path()).unwrap(), 10);
}

#[test]
fn a_backup_is_made_while_the_journal_is_in_use_and_can_be_restored() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = written(folder.path(), 70);
    let file = folder.path().join("copy of ?the# 100% journal");
    let made = store.back_up(&file, Existing::Keep).unwrap();
    assert_eq!(made.position, store.position());
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(inspect(&file).unwrap(), made);
    append(&mut store, 71);
    assert!(matches!(store.back_up(&file, Existing::Keep), Err(StoreError::Invalid(_))), "it is there already");
    assert!(matches!(restore(folder.path(), &file, Existing::Keep), Err(StoreError::InUse { .. })));
    drop(store);

    let refused = restore(folder.path(), &file, Existing::Keep);
    assert!(matches!(refused, Err(StoreError::NewerThanCopy { .. })), "{refused:?}");
    assert_eq!(last(folder.path()).unwrap(), 71, "nothing was changed");
    let aside = restore(folder.path(), &file, Existing::Replace).unwrap().expect("what was there is kept");
    assert_eq!(last(folder.path()).unwrap(), 70);
    assert_eq!(last(&aside).unwrap(), 71);

    let empty = tempfile::tempdir().unwrap();
    assert_eq!(restore(empty.path(), &file, Existing::Keep).unwrap(), None);
    assert_eq!(last(empty.path()).unwrap(), 70);
}

#[test]
fn a_damaged_journal_makes_way_for_a_copy_and_a_damaged_copy_for_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut store = written(folder.path(), 30);
    let file = folder.path().join("copy");
    store.back_up(&file, Existing::Keep).unwrap();
    drop(store);
    fs::write(folder.path().join("journal.db"), "not a journal").unwrap();
    let whole = fs::read(&file).unwrap();
    let bad = folder.path().join("bad");
    for at in (0..whole.len()).step_by(whole.len() / 40) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        fs::write(&bad, flipped).unwrap();
        // What is no part of the content (free bytes of a page) may pass; then the content is what was written.
        if inspect(&bad).is_ok() {
            continue;
        }
        assert!(restore(folder.path(), &bad, Existing::Keep).is_err());
        assert_eq!(fs::read(folder.path().join("journal.db")).unwrap(), b"not a journal", "flipped at {at}");
    }
    for cut in [0, 1, 100, whole.len() / 2, whole.len() - 1] {
        fs::write(&bad, &whole[..cut]).unwrap();
        assert!(inspect(&bad).is_err(), "cut at {cut}");
    }
    restore(folder.path(), &file, Existing::Keep).unwrap();
    assert_eq!(last(folder.path()).unwrap(), 30);
}

#[test]
fn a_journal_that_is_set_aside_leaves_room_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    drop(written(folder.path(), 5));
    let aside = set_aside(folder.path()).unwrap().unwrap();
    assert!(!SqliteStore::is_there(folder.path()));
    assert_eq!(last(&aside).unwrap(), 5);
    let mut store = SqliteStore::open(folder.path()).unwrap();
    assert_eq!(store.begin_term_above(Epoch(41)).unwrap(), Epoch(42), "above what others have seen");
    assert_eq!(store.begin_term_above(Epoch(7)).unwrap(), Epoch(43));
    assert_eq!(store.last("shop").unwrap(), Sequence::START);
}

/// A disk of its own, where this user may mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount(bytes: u64) -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(folder.path());
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(SmallDisk(folder))
    }

    fn fill(&self) {
        let mut file = fs::File::create(self.0.path().join("filler")).unwrap();
        let block = [1; 4096];
        while std::io::Write::write_all(&mut file, &block).is_ok() {}
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _unmounted = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn on_a_full_disk_the_reserve_lets_a_journal_open_and_be_written() {
    let Some(disk) = SmallDisk::mount(6 * RESERVE_BYTES) else {
        return eprintln!("skipped: this user cannot mount a small disk");
    };
    let folder = disk.0.path();
    let mut store = written(folder, 3);
    assert!(store.has_reserve());
    drop(store);
    disk.fill();
    let mut store = SqliteStore::open(folder).expect("it opens on the reserve");
    let mut batch = Batch::new();
    batch.append("shop", "step", vec![7; 20_000]);
    while matches!(store.begin_term(), Err(StoreError::Full)) {
        assert!(store.give_up_reserve());
    }
    for _ in 0..40 {
        while matches!(store.commit(&batch), Err(StoreError::Full)) {
            assert!(store.give_up_reserve(), "twenty kilobytes forty times fit into what facts may have");
        }
    }
    assert!(folder.join("journal.reserve-1").exists(), "the last piece is for a start");
    drop(store);
    std::io::copy(&mut std::io::repeat(1), &mut fs::File::create(folder.join("another")).unwrap()).unwrap_err();
    let mut store = SqliteStore::open(folder).expect("whoever took what was given up, it opens again");
    assert!(!store.has_reserve(), "it is not made of the last room");
    fs::remove_file(folder.join("filler")).unwrap();
    assert!(store.has_reserve(), "it is made again");
    let pieces = (1..=4).map(|piece| fs::metadata(folder.join(format!("journal.reserve-{piece}"))).unwrap().len());
    assert_eq!(pieces.sum::<u64>(), RESERVE_BYTES);
}
