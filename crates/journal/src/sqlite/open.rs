//! Opening a journal: the lock, the format, the first creation.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::FlockOperation;

use super::{SqliteStore, State, failed, verify, write};
use crate::StoreError;
use crate::chain::ORIGIN;
use crate::reserve::{Need, Reserve};
use crate::witness::{Said, Witness};

/// The format written here; kept in SQLite's `user_version`.
const FORMAT: i64 = 1;
/// Says in SQLite's header that the file is a journal of Gapless (`gpls`).
const APPLICATION: i64 = 0x6770_6c73;
/// Pages that SQLite keeps in memory, in KiB: a journal is written at its end and read once.
const CACHE_KIB: i64 = 1_024;
/// The write-ahead log is cut back to this size after it was larger for once.
const WAL_BYTES_KEPT: u64 = 16 << 20;

const SCHEMA: &str = "
    CREATE TABLE state (id INTEGER PRIMARY KEY CHECK (id = 0), commits INTEGER NOT NULL, epoch INTEGER NOT NULL,
                        sum BLOB NOT NULL, hash BLOB NOT NULL);
    CREATE TABLE heads (stream TEXT PRIMARY KEY, last INTEGER NOT NULL, link BLOB NOT NULL, base INTEGER NOT NULL,
                        base_hash BLOB NOT NULL) WITHOUT ROWID;
    CREATE TABLE records (stream TEXT NOT NULL, sequence INTEGER NOT NULL, snapshot INTEGER NOT NULL, kind TEXT NOT NULL,
                          bytes BLOB NOT NULL, previous BLOB NOT NULL, hash BLOB NOT NULL,
                          PRIMARY KEY (stream, sequence)) WITHOUT ROWID;
    CREATE TABLE facts (tab TEXT NOT NULL, key TEXT NOT NULL, value BLOB NOT NULL, hash BLOB NOT NULL,
                        PRIMARY KEY (tab, key)) WITHOUT ROWID;
";

/// How long the lock of a folder is waited for. A controller that was killed while it started a process leaves a copy of its descriptors in that
/// process until it calls exec: whoever follows at once would find the journal in use by nobody.
const LOCK_PATIENCE: Duration = Duration::from_secs(2);
/// The pause between two looks at the lock.
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// The journal in a folder. Where a full disk leaves no room for what opening writes, the room that is kept is given up for it.
pub(super) fn open(folder: &Path) -> Result<SqliteStore, StoreError> {
    let reserve = Reserve::of(folder);
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match open_once(folder) {
            Err(StoreError::InUse { .. }) if Instant::now() < deadline => std::thread::sleep(LOCK_PAUSE),
            Err(StoreError::Full) if reserve.give_up(Need::Start) => {}
            Ok(store) => {
                let _kept_later = reserve.keep();
                return Ok(store);
            }
            failed => return failed,
        }
    }
}

fn open_once(folder: &Path) -> Result<SqliteStore, StoreError> {
    let path = folder.join("journal.db");
    let lock = lock(folder)?;
    let witness_path = folder.join("journal.witness");
    let witnessed = Witness::read(&witness_path)?;
    let has_log = fs::symlink_metadata(folder.join("journal.db-wal")).is_ok();
    match fs::metadata(&path) {
        // SQLite would take an empty file for a new database.
        Ok(meta) if meta.len() == 0 => return Err(StoreError::damaged(format!("{} is empty", path.display()))),
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && witnessed.is_none() && !has_log => {
            create(folder, &path)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::damaged(format!("{} is gone", path.display())));
        }
        Err(error) => return Err(StoreError::io("open", error)),
    }
    let connection = connect(&path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    // Until all is verified nothing is written: what there is must stay as it is for whoever mends it.
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)
        .map_err(|error| failed("open", error))?;
    let busy = |error| {
        if is_busy(&error) { StoreError::InUse { path: path.clone(), pid: None } } else { failed("open", error) }
    };
    check_format(&connection, &path, busy)?;
    configure(&connection, busy)?;
    let state = verify::everything(&connection)?;
    match witnessed {
        Some(Said::Damaged) => return Err(StoreError::WitnessDamaged { path: witness_path, commits: state.commits }),
        Some(Said::Commits(witnessed)) if witnessed > state.commits => {
            let alone = if has_log { "" } else { ", and so is its write-ahead log journal.db-wal" };
            let lost = witnessed - state.commits;
            return Err(StoreError::damaged(format!("its last {lost} commits are missing{alone}")));
        }
        Some(Said::Commits(_)) | None => {}
    }
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)
        .map_err(|error| failed("open", error))?;
    let witness = Witness::open(&witness_path, state.commits).map_err(|error| full_or("open", error))?;
    sync_folder(folder)?;
    let reserve = Reserve::of(folder);
    // What an earlier life left in the log is moved with the first checkpoint of this one.
    let since_checkpoint = 1;
    Ok(SqliteStore {
        connection,
        path,
        state,
        witness,
        reserve,
        since_checkpoint,
        term: None,
        poisoned: None,
        _lock: lock,
    })
}

/// The lock of the folder, held by this process until the file is closed, by the kernel's word even after `kill -9`.
pub(super) fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join("journal.db");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(folder.join("journal.lock"))
        .map_err(|error| full_or("open", error))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            let mut text = String::new();
            let _unknown = file.take(32).read_to_string(&mut text);
            return Err(StoreError::InUse { path, pid: text.trim().parse().ok() });
        }
        Err(error) => return Err(StoreError::io("open", io::Error::from(error))),
    }
    // The number is for people; on a full disk the lock holds without it.
    let note = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        writeln!(file, "{}", std::process::id())
    };
    let _unnoted = note(&mut file);
    Ok(file)
}

/// Makes a new journal beside and renames it, so that a crash leaves none rather than half of one.
fn create(folder: &Path, path: &Path) -> Result<(), StoreError> {
    let beside = folder.join("journal.db.new");
    for leftover in [beside.clone(), folder.join("journal.db.new-journal")] {
        match fs::remove_file(&leftover) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StoreError::io("open", error)),
            _ => {}
        }
    }
    let connection = connect(&beside, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE)?;
    let make = || {
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.execute_batch(&format!(
            "BEGIN; {SCHEMA} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {FORMAT};"
        ))
    };
    make().map_err(|error| failed("open", error))?;
    let state =
        State { commits: 0, epoch: gapless_model::Epoch(0), sum: ORIGIN, heads: std::collections::BTreeMap::new() };
    write::state(&connection, &state)?;
    connection.execute_batch("COMMIT").map_err(|error| failed("open", error))?;
    drop(connection);
    rustix::fs::chmod(&beside, rustix::fs::Mode::from_raw_mode(0o600))
        .map_err(|error| StoreError::io("open", io::Error::from(error)))?;
    File::open(&beside).and_then(|file| file.sync_all()).map_err(|error| full_or("open", error))?;
    fs::rename(&beside, path).map_err(|error| full_or("open", error))?;
    sync_folder(folder)
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, StoreError> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(|error| failed("open", error))?;
    // Before the first access, so that there is no shared memory beside it (for which a full disk would have no room), and no
    // other process in it whatever becomes of our own lock file.
    connection.pragma_update(None, "locking_mode", "EXCLUSIVE").map_err(|error| failed("open", error))?;
    Ok(connection)
}

pub(super) fn check_format(
    connection: &Connection,
    path: &Path,
    failed: impl Fn(rusqlite::Error) -> StoreError,
) -> Result<(), StoreError> {
    let number = |pragma: &str| {
        connection.query_row(&format!("PRAGMA {pragma}"), [], |row| row.get::<_, i64>(0)).map_err(&failed)
    };
    if number("application_id")? != APPLICATION {
        return Err(StoreError::damaged(format!("{} is not a journal", path.display())));
    }
    match number("user_version")? {
        FORMAT => Ok(()),
        found if found > FORMAT => Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT }),
        found => Err(StoreError::damaged(format!("its format {found} was never written"))),
    }
}

fn configure(connection: &Connection, failed: impl Fn(rusqlite::Error) -> StoreError) -> Result<(), StoreError> {
    let set = || {
        connection.busy_timeout(std::time::Duration::ZERO)?;
        let mode: String = connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get(0))?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        // Checkpoints are made where their failure is heard ([`SqliteStore::checkpoint`]).
        connection.query_row("PRAGMA wal_autocheckpoint = 0", [], |_| Ok(()))?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        connection.pragma_update(None, "trusted_schema", false)?;
        connection.pragma_update(None, "cell_size_check", true)?;
        connection.query_row(&format!("PRAGMA journal_size_limit = {WAL_BYTES_KEPT}"), [], |_| Ok(()))?;
        Ok(mode)
    };
    match set().map_err(failed)? {
        mode if mode == "wal" => Ok(()),
        mode => Err(StoreError::io("open", format!("the file system allows no write-ahead log, only {mode}"))),
    }
}

fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

pub(super) fn sync_folder(folder: &Path) -> Result<(), StoreError> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| StoreError::io("open", error))
}

pub(super) fn full_or(act: &'static str, error: io::Error) -> StoreError {
    if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
        StoreError::Full
    } else {
        StoreError::io(act, error)
    }
}
