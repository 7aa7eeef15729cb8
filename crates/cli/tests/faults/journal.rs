//! The journal's files under the knife, while no controller runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use crate::step::Surgery;

/// Everything that belongs to the journal begins with this.
const PREFIX: &str = "journal.";

/// Does it; `aside` is the folder of the good copy.
pub fn operate(surgery: Surgery, state: &Path, aside: &Path) {
    let database = state.join("journal.db");
    match surgery {
        Surgery::Copy => copy(state, aside),
        Surgery::PutBack => {
            remove(state);
            copy(aside, state);
        }
        Surgery::Cut => cut(&largest(&database)),
        Surgery::Flip => flip(&largest(&database)),
        Surgery::EmptyFile => {
            remove(state);
            File::create(&database).expect("an empty database");
        }
        Surgery::Remove => remove(state),
        Surgery::RemoveLog => {
            for name in ["journal.db-wal", "journal.db-shm"] {
                let _never_written = fs::remove_file(state.join(name));
            }
        }
        Surgery::CutLog => cut(&largest(&state.join("journal.db-wal"))),
        Surgery::RemoveWitness => fs::remove_file(state.join("journal.witness")).expect("the witness goes"),
        Surgery::DamageWitness => fs::write(state.join("journal.witness"), "not a witness").expect("another witness"),
    }
}

/// The file itself, or the write-ahead log where most of the journal is in that.
fn largest(path: &Path) -> PathBuf {
    let log = path.with_file_name("journal.db-wal");
    let size = |path: &Path| fs::metadata(path).map_or(0, |data| data.len());
    let chosen = if size(&log) > size(path) { log } else { path.to_path_buf() };
    assert!(size(&chosen) > 0, "there is nothing in {}", chosen.display());
    chosen
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").flatten().map(|entry| entry.path());
    entries.filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))).collect()
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for path in files(from) {
        // The lock is no content.
        if path.extension().is_some_and(|extension| extension != "lock") {
            fs::copy(&path, to.join(path.file_name().expect("a name"))).expect("a copy");
        }
    }
}

fn remove(state: &Path) {
    files(state).into_iter().filter(|path| !path.ends_with("journal.lock")).for_each(|path| {
        fs::remove_file(path).expect("a file of the journal goes");
    });
}

/// A third of the file is gone, as after a copy that was cut short.
fn cut(path: &Path) {
    let file = File::options().write(true).open(path).expect("a file of the journal");
    let length = file.metadata().expect("its length").len();
    file.set_len(length * 2 / 3).expect("a shorter file");
}

/// What every record of a service holds.
const WORD: &[u8] = b"shop";

/// One bit in each place that holds [`WORD`].
fn flip(path: &Path) {
    let mut bytes = fs::read(path).expect("a file of the journal");
    let places: Vec<usize> =
        bytes.windows(WORD.len()).enumerate().filter(|(_, at)| *at == WORD).map(|(at, _)| at).collect();
    assert!(!places.is_empty(), "no record in {}", path.display());
    places.into_iter().for_each(|at| bytes[at] ^= 0x10);
    fs::write(path, bytes).expect("a file of the journal");
}
