//! The last table on disk, so that a proxy that starts routes at once.
//!
//! Two files: `table.json` and the one before it, `table.json.prev`. A write makes a third, syncs it, renames the first over the
//! second and the third over the first, and syncs the folder; so at every instant one of the two is whole. A file that does not
//! open with its checksum is kept aside as `table.json.damaged` and never takes the place of a good one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gapless_model::{ControllerId, Epoch};
use gapless_routing::TableSpec;
use gapless_wire::control::{SealBroken, SealedTable};

/// The longest table that is read: as long as a frame may be.
const TABLE_BYTES_MAX: u64 = gapless_wire::control::frame::FRAME_BYTES_MAX as u64;

/// The files of the last table.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    current: PathBuf,
    previous: PathBuf,
    next: PathBuf,
    damaged: PathBuf,
    folder: PathBuf,
}

/// What a start finds.
#[derive(Debug)]
pub(crate) struct Found {
    /// The newest whole table, if any was ever kept.
    pub(crate) table: Option<Kept>,
    /// What was wrong with the others, for an operator.
    pub(crate) damage: Vec<String>,
}

/// A table that was kept.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The table.
    pub(crate) spec: TableSpec,
    /// The controller that published it, where it says so.
    pub(crate) controller: Option<ControllerId>,
}

/// Why the last table cannot be used.
#[derive(Debug, thiserror::Error)]
enum Unreadable {
    #[error("cannot be read: {0}")]
    Io(#[from] io::Error),
    #[error("is longer than {TABLE_BYTES_MAX} bytes")]
    TooLong,
    #[error("{0}")]
    Seal(#[from] SealBroken),
    /// A proxy that obeyed it would obey no controller any more.
    #[error("names term {0}, which no controller can have come to")]
    Epoch(Epoch),
}

impl Store {
    /// The files in a folder.
    pub(crate) fn new(folder: &Path) -> Store {
        let file = |name: &str| folder.join(name);
        Store {
            current: file("table.json"),
            previous: file("table.json.prev"),
            next: file("table.json.next"),
            damaged: file("table.json.damaged"),
            folder: folder.to_owned(),
        }
    }

    /// The newest whole table. Damage is told, and put aside where it would be in the way.
    pub(crate) fn load(&self) -> Found {
        let mut damage = Vec::new();
        for path in [&self.current, &self.previous] {
            match read(path) {
                Ok(table) => return Found { table: Some(table), damage },
                Err(Unreadable::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    damage.push(format!("the kept table {} {error}", path.display()));
                    if path == &self.current
                        && let Err(error) = fs::rename(path, &self.damaged)
                    {
                        damage.push(format!("it cannot be put aside: {error}"));
                    }
                }
            }
        }
        Found { table: None, damage }
    }

    /// Keeps a table; when this returns it survives the loss of power.
    ///
    /// # Errors
    /// Of the file system; the table kept before is then still there.
    pub(crate) fn save(&self, table: &SealedTable) -> io::Result<()> {
        // A file of our own making: neither a link that somebody put there, nor one that a proxy which was frozen in the middle still writes to.
        match fs::remove_file(&self.next) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.next)?;
        file.write_all(&table.to_bytes())?;
        file.sync_all()?;
        match fs::rename(&self.current, &self.previous) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        fs::rename(&self.next, &self.current)?;
        File::open(&self.folder)?.sync_all()
    }
}

fn read(path: &Path) -> Result<Kept, Unreadable> {
    if fs::metadata(path)?.len() > TABLE_BYTES_MAX {
        return Err(Unreadable::TooLong);
    }
    let sealed = SealedTable::from_bytes(&fs::read(path)?)?;
    let spec = sealed.open()?;
    if !spec.version.epoch.is_plausible() {
        return Err(Unreadable::Epoch(spec.version.epoch));
    }
    Ok(Kept { spec, controller: sealed.controller() })
}

#[cfg(test)]
mod tests {
    use gapless_model::{Epoch, Generation, TableVersion};

    use super::*;

    fn table(generation: u64) -> SealedTable {
        table_of(Epoch(1), generation)
    }

    fn table_of(epoch: Epoch, generation: u64) -> SealedTable {
        let version = TableVersion { epoch, generation: Generation(generation) };
        SealedTable::seal(&TableSpec { version, services: Vec::new() }).unwrap()
    }

    fn loaded(store: &Store) -> (Option<u64>, usize) {
        let found = store.load();
        (found.table.map(|kept| kept.spec.version.generation.0), found.damage.len())
    }

    #[test]
    fn the_newest_whole_table_is_found_whatever_happened_to_the_files() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        assert_eq!(loaded(&store), (None, 0));
        store.save(&table(1)).unwrap();
        assert_eq!(loaded(&store), (Some(1), 0));
        store.save(&table(2)).unwrap();
        assert_eq!(loaded(&store), (Some(2), 0));

        fs::remove_file(&store.current).unwrap();
        assert_eq!(loaded(&store), (Some(1), 0), "as after a loss of power between the two renames");

        store.save(&table(3)).unwrap();
        let mut bytes = fs::read(&store.current).unwrap();
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        fs::write(&store.current, &bytes).unwrap();
        assert_eq!(loaded(&store), (Some(1), 1));
        assert!(store.damaged.exists());

        store.save(&table(4)).unwrap();
        store.save(&table(5)).unwrap();
        fs::write(&store.current, b"{").unwrap();
        fs::write(&store.previous, b"").unwrap();
        assert_eq!(loaded(&store), (None, 2), "nothing is made up");
    }

    #[test]
    fn a_kept_table_of_a_term_that_none_can_follow_is_put_aside_for_the_one_before_it() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        store.save(&table(1)).unwrap();
        store.save(&table_of(Epoch(u64::MAX), 2)).unwrap();
        let found = store.load();
        assert_eq!(found.table.map(|kept| kept.spec.version.epoch), Some(Epoch(1)));
        assert!(found.damage[0].contains("names term 18446744073709551615"), "{:?}", found.damage);
        assert!(store.damaged.exists());
    }

    #[test]
    fn every_cut_of_the_file_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        store.save(&table(1)).unwrap();
        store.save(&table(2)).unwrap();
        let whole = fs::read(&store.current).unwrap();
        for length in 0..whole.len() - 1 {
            fs::write(&store.current, &whole[..length]).unwrap();
            assert_eq!(loaded(&store), (Some(1), 1), "cut to {length}");
        }
    }

    #[test]
    fn a_folder_that_cannot_be_written_leaves_what_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path());
        store.save(&table(1)).unwrap();
        fs::create_dir(&store.next).unwrap(); // in the way of the next write
        assert!(store.save(&table(2)).is_err());
        assert_eq!(loaded(&store), (Some(1), 0));
    }
}
