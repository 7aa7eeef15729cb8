//! Files that are there whole or not at all, whatever happens while they are written.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Writes a file whole and durably: beside (`.new`), synced, renamed, the folder synced. Mode 0600. What was there before stays where anything fails.
///
/// # Errors
/// Of the file system.
pub fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let beside = path.with_extension("new");
    // A file of our own making: neither a link that somebody put there, nor one that somebody who was frozen in the middle still writes to.
    let _leftover = fs::remove_file(&beside);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&beside, path));
    if let Err(error) = written {
        let _leftover = fs::remove_file(&beside);
        return Err(error);
    }
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_file_is_replaced_whole_and_a_link_in_its_way_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (path, outside) = (folder.path().join("spec.json"), folder.path().join("outside"));
        fs::write(&outside, "precious").unwrap();
        symlink(&outside, folder.path().join("spec.new")).unwrap();
        write(&path, b"one").unwrap();
        write(&path, b"two").unwrap();
        assert_eq!((fs::read(&path).unwrap(), fs::read(&outside).unwrap()), (b"two".to_vec(), b"precious".to_vec()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!folder.path().join("spec.new").exists());
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there_and_nothing_beside() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("manifest.json");
        fs::create_dir(&path).unwrap();
        assert!(write(&path, b"text").is_err(), "a file does not take the place of a folder");
        assert!(path.is_dir() && !folder.path().join("manifest.new").exists());
    }
}
