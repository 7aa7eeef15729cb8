//! What a commit that returned is worth: killed at any instant, and on a disk that is full.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gapless_journal::{Batch, Sequence, SqliteStore, Store, StoreError};

const FOLDER: &str = "GAPLESS_TEST_JOURNAL";

/// Not a test of its own: the process that is killed. It tells each commit after it returned.
#[test]
fn the_writer_that_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let mut store = open_when_free(Path::new(&folder));
    let term = store.begin_term().unwrap();
    println!("\nterm {term}");
    for _ in 0..100_000 {
        let next = store.last("shop").unwrap().0 + 1;
        let mut batch = Batch::new();
        batch.append("shop", "step", next.to_string().repeat(50)).put("f", "last", next.to_string());
        if next.is_multiple_of(10) {
            batch.snapshot("shop", "snapshot", next.to_string(), Sequence(next - 5));
        }
        store.commit(&batch).unwrap();
        println!("done {next}");
    }
}

#[test]
fn what_was_told_to_be_durable_is_there_after_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let (mut terms, mut told) = (Vec::new(), 0);
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_writer_that_is_killed", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let until = told + 1 + round * 7;
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            let line = line.unwrap();
            if let Some(term) = line.strip_prefix("term ") {
                terms.push(term.parse::<u64>().unwrap());
            }
            if let Some(number) = line.strip_prefix("done ") {
                told = number.parse::<u64>().unwrap();
                if told >= until {
                    break;
                }
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        let mut store = open_when_free(folder.path());
        let last = store.last("shop").unwrap().0;
        assert!(last >= told, "{told} was told, {last} is there");
        assert_eq!(store.fact("f", "last").unwrap(), Some(last.to_string().into_bytes()), "a batch is whole");
        let records = store.read("shop", Sequence::START).unwrap();
        assert_eq!(records.last().unwrap().sequence.0, last);
        assert!(records.len() < 30);
        told = last;
    }
    assert_eq!(terms.len(), 12);
    assert!(terms.is_sorted_by(|a, b| a < b), "{terms:?}");
}

/// A file system of 1 MiB; none where this user may not mount one.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    fn mount() -> Option<SmallDisk> {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "gapless-test"]).arg(folder.path()).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(SmallDisk(folder))
    }
}

impl SmallDisk {
    fn ballast(&self) -> PathBuf {
        self.0.path().join("ballast")
    }

    /// The room is there at once: a child that another test is starting may have the ballast open still, and would keep the room of a file whose
    /// name alone is gone.
    fn drop_ballast(&self) {
        std::fs::write(self.ballast(), "").unwrap();
        std::fs::remove_file(self.ballast()).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _left_to_the_machine = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[test]
fn a_full_disk_refuses_the_batch_whole_and_the_store_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount() else {
        eprintln!("skipped: only root may mount a small file system");
        return;
    };
    let folder = disk.0.path().join("state");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(disk.ballast(), vec![1; 200_000]).unwrap();
    let mut store = SqliteStore::open(&folder).unwrap();
    store.begin_term().unwrap();
    let mut taken = 0;
    let commit = |store: &mut SqliteStore, number: u64| {
        let mut batch = Batch::new();
        batch.append("shop", "step", vec![number as u8; 10_000]).put("f", "last", number.to_string());
        store.commit(&batch)
    };
    let error = loop {
        match commit(&mut store, taken + 1) {
            Ok(_) => taken += 1,
            Err(error) => break error,
        }
        assert!(taken < 1_000, "the disk is never full");
    };
    assert!(matches!(error, StoreError::Full), "{error:?}");
    assert!(matches!(commit(&mut store, 0), Err(StoreError::Full)), "and again");
    assert_eq!(store.read("shop", Sequence::START).unwrap().len() as u64, taken);
    assert_eq!(store.fact("f", "last").unwrap(), Some(taken.to_string().into_bytes()));
    disk.drop_ballast();
    commit(&mut store, taken + 1).unwrap();
    drop(store);
    let mut store = open_when_free(&folder);
    assert_eq!(store.read("shop", Sequence::START).unwrap().len() as u64, taken + 1);
}

#[test]
fn a_disk_that_is_full_from_the_start_says_so() {
    let Some(disk) = SmallDisk::mount() else { return };
    let _ = std::fs::write(disk.ballast(), vec![1; 2 << 20]);
    match SqliteStore::open(disk.0.path()) {
        Err(StoreError::Full) => {}
        other => panic!("{:?}", other.map(|_| ())),
    }
    disk.drop_ballast();
    drop(open_when_free(disk.0.path()));
}

#[test]
fn a_journal_that_a_killed_controller_s_child_has_for_a_moment_longer_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    drop(SqliteStore::open(folder.path()).unwrap());
    // As a process has it that the controller was starting when it was killed.
    let left = std::fs::File::open(folder.path().join("journal.lock")).unwrap();
    // It waits: a child that another test is starting may have a copy of ours for a moment.
    rustix::fs::flock(&left, rustix::fs::FlockOperation::LockExclusive).unwrap();
    let exec = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        drop(left);
    });
    SqliteStore::open(folder.path()).unwrap();
    exec.join().unwrap();
}

/// Opens a journal that was just given back in this process. A child that another test is starting has copies of all descriptors between its
/// fork and its exec, the lock's among them, and on a busy machine that moment is long.
fn open_when_free(folder: &Path) -> SqliteStore {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        match SqliteStore::open(folder) {
            Err(StoreError::InUse { .. }) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            opened => return opened.unwrap(),
        }
    }
}
