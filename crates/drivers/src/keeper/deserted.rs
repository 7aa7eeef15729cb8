//! Whether a keeper is deserted: its folder is gone from the disk and nobody is connected, so that nobody will ever find it again.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

/// How often it is looked whether the folder is there.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// For how long that has to be so: a folder that is being moved, or put back, is there again by then.
const DESERTED_AFTER: Duration = Duration::from_secs(10);

/// What a keeper remembers of its folder.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deserted {
    /// The lock file in it, by number: another one of the same name is another keeper's.
    lock: u64,
    look_at: Instant,
    since: Option<Instant>,
}

/// Whether the folder is where it was.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Seen {
    There,
    Gone,
}

impl Deserted {
    /// From now on; none where the folder is not to be seen already.
    pub(crate) fn watch(lock: &Path, now: Instant) -> Option<Deserted> {
        let lock = std::fs::symlink_metadata(lock).ok()?.ino();
        Some(Deserted { lock, look_at: now + LOOK_INTERVAL, since: None })
    }

    /// When it is looked next.
    pub(crate) fn look_at(&self) -> Instant {
        self.look_at
    }

    /// Looks where it is time to; says whether the keeper is deserted.
    pub(crate) fn look(&mut self, lock: &Path, clients: usize, now: Instant) -> bool {
        if now < self.look_at {
            return false;
        }
        // What cannot be looked at for another reason is not known to be gone.
        let seen = match std::fs::symlink_metadata(lock) {
            Ok(meta) if meta.ino() == self.lock => Seen::There,
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Seen::There,
            Ok(_) | Err(_) => Seen::Gone,
        };
        self.saw(seen, clients, now)
    }

    fn saw(&mut self, seen: Seen, clients: usize, now: Instant) -> bool {
        self.look_at = now + LOOK_INTERVAL;
        if seen == Seen::There || clients > 0 {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        now.duration_since(since) >= DESERTED_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_keeper_is_deserted_only_when_its_folder_stays_gone_and_nobody_is_connected() {
        let start = Instant::now();
        let mut folder = Deserted { lock: 1, look_at: start, since: None };
        let mut at = |seconds: u64, seen, clients| folder.saw(seen, clients, start + Duration::from_secs(seconds));
        assert!(!at(0, Seen::Gone, 0));
        assert!(!at(8, Seen::Gone, 0));
        assert!(!at(9, Seen::There, 0), "it was put back");
        assert!(!at(20, Seen::Gone, 0));
        assert!(!at(29, Seen::Gone, 1), "a controller is there");
        assert!(!at(40, Seen::Gone, 0));
        assert!(at(50, Seen::Gone, 0));
    }

    #[test]
    fn the_lock_of_another_keeper_in_a_new_folder_of_the_same_name_is_not_ones_own() {
        let place = tempfile::tempdir().unwrap();
        let lock = place.path().join("keeper.lock");
        std::fs::write(&lock, "").unwrap();
        let start = Instant::now();
        let mut folder = Deserted::watch(&lock, start).unwrap();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert!(!folder.look(&lock, 0, after(2)) && !folder.look(&lock, 0, after(20)));
        // Beside the old one, so that it cannot have its number.
        std::fs::write(place.path().join("other"), "").unwrap();
        std::fs::rename(place.path().join("other"), &lock).unwrap();
        assert!(!folder.look(&lock, 0, after(30)));
        assert!(folder.look(&lock, 0, after(41)));
    }
}
