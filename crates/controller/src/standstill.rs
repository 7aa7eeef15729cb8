//! What is left to do when the journal has failed: nothing is decided any more (I12), and whatever needs no disk goes on. The listening sockets
//! stay open, a proxy that dies is replaced, `status` says what happened. Ending at once, as a controller could, would leave nobody to do that.
//!
//! It ends when the next controller has a chance: when the folder of the journal can be written again. A supervisor starts that one; without
//! one the command stands in the error. A journal that is damaged is no matter of waiting: an operator ends this controller to mend it.

use std::fs::{self, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::shared::{End, JournalFailure, Remedy, Shared};

/// From one attempt to write to the next; also what a supervisor waits at the least between two starts.
const LOOK: Duration = Duration::from_secs(1);

/// What is written in an attempt: more than a file system keeps in its inode.
const PROBE: [u8; 8_192] = [0; 8_192];

/// Waits until the journal fails, and then until there is reason to end.
pub async fn outlast(shared: Arc<Shared>) {
    let JournalFailure { reason, remedy } = shared.journal_to_fail().await;
    loop {
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = shared.ended() => return,
        }
        let state = shared.state.clone();
        // In a thread of its own: a disk that fails may also hang.
        let written = tokio::task::spawn_blocking(move || write_beside_journal(&state)).await;
        if remedy == Remedy::Disk && matches!(written, Ok(Ok(()))) {
            return shared.end_with(End::JournalFailed(reason));
        }
    }
}

/// Whether a file beside the journal can be written, and the journal itself read, opened for writing and synced. The journal is not changed:
/// nothing but the next controller's own start tells whether it is whole.
fn write_beside_journal(state: &Path) -> io::Result<()> {
    let path = state.join("journal.probe");
    let mut probe = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path)?;
    let written = probe.write_all(&PROBE).and_then(|()| probe.sync_all());
    let removed = fs::remove_file(&path);
    written.and(removed)?;
    let mut journal = OpenOptions::new().read(true).write(true).open(state.join("journal.db"))?;
    let mut piece = vec![0; 1 << 16];
    while journal.read(&mut piece)? > 0 {}
    journal.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_writable_only_where_a_journal_can_be_read_and_synced_too() {
        let folder = tempfile::tempdir().unwrap();
        write_beside_journal(folder.path()).unwrap_err();
        fs::write(folder.path().join("journal.db"), [7; 100_000]).unwrap();
        write_beside_journal(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing is left");
        assert_eq!(fs::read(folder.path().join("journal.db")).unwrap(), [7; 100_000]);
        write_beside_journal(&folder.path().join("nowhere")).unwrap_err();
    }
}
