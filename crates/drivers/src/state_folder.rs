//! Whether a state folder is its controller's own. What others may write they may replace by a link, and everything here would follow it.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folders that are looked into, and how deep: a release and what is in it was unpacked by us into a folder that was closed.
const FOLDERS: [(&str, u8); 5] = [("releases", 2), ("incoming", 0), ("instances", 1), ("logs", 2), ("manifests", 1)];
/// The files that are looked at, where they are there.
const FILES: [&str; 4] = ["journal.db", "journal.db-wal", "journal.witness", "journal.lock"];

/// Something in a state folder that others could have put there, or could replace.
#[derive(Debug, thiserror::Error)]
pub enum NotOwn {
    /// It belongs to another user.
    #[error("{} belongs to user {owner}, who may change it under the controller's hands", path.display())]
    OfAnother {
        /// What.
        path: PathBuf,
        /// Whose it is.
        owner: u32,
    },
    /// Others may write it.
    #[error("{} may be written by other users (mode {mode:04o})", path.display())]
    Writable {
        /// What.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// It is a link.
    #[error("{} is a symbolic link", path.display())]
    Link {
        /// What.
        path: PathBuf,
    },
    /// It cannot be looked at.
    #[error("cannot look at {}", path.display())]
    Look {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Looks at a state folder before anything in it is believed. The folder itself may be reached by a link: whoever named it chose it.
///
/// # Errors
/// [`NotOwn`] names what is not the controller's own.
pub fn check(state: &Path) -> Result<(), NotOwn> {
    let state = state.canonicalize().map_err(|source| NotOwn::Look { path: state.to_owned(), source })?;
    is_own(&state)?;
    for file in FILES {
        is_own(&state.join(file))?;
    }
    FOLDERS.into_iter().try_for_each(|(folder, depth)| check_folder(&state.join(folder), depth))
}

fn check_folder(folder: &Path, depth: u8) -> Result<(), NotOwn> {
    is_own(folder)?;
    if depth == 0 {
        return Ok(());
    }
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => return Ok(()),
        entries => entries.map_err(|source| NotOwn::Look { path: folder.to_owned(), source })?,
    };
    for entry in entries {
        let entry = entry.map_err(|source| NotOwn::Look { path: folder.to_owned(), source })?;
        check_folder(&entry.path(), depth - 1)?;
    }
    Ok(())
}

/// Of our own user or root's, no link, and not for others to write: a folder by nobody else, a file by none but its group.
fn is_own(path: &Path) -> Result<(), NotOwn> {
    let meta = match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        meta => meta.map_err(|source| NotOwn::Look { path: path.to_owned(), source })?,
    };
    let path = path.to_owned();
    if meta.file_type().is_symlink() {
        return Err(NotOwn::Link { path });
    }
    if meta.uid() != 0 && meta.uid() != rustix::process::geteuid().as_raw() {
        return Err(NotOwn::OfAnother { path, owner: meta.uid() });
    }
    let others = if meta.is_dir() { 0o022 } else { 0o002 };
    if meta.mode() & others != 0 && (meta.is_dir() || meta.is_file()) {
        return Err(NotOwn::Writable { path, mode: meta.mode() & 0o7777 });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn state() -> tempfile::TempDir {
        let state = tempfile::tempdir().unwrap();
        for folder in ["releases/shop", "instances/shop.r1.i1", "logs/shop/shop.r1.i1", "incoming"] {
            fs::create_dir_all(state.path().join(folder)).unwrap();
            let own = fs::Permissions::from_mode(0o700);
            Path::new(folder).ancestors().filter(|part| !part.as_os_str().is_empty()).for_each(|part| {
                fs::set_permissions(state.path().join(part), own.clone()).unwrap();
            });
        }
        state
    }

    #[test]
    fn a_folder_of_ones_own_is_taken_also_by_way_of_a_link() {
        let state = state();
        check(state.path()).unwrap();
        let link = state.path().join("by-link");
        symlink(state.path(), &link).unwrap();
        check(&link).unwrap();
        assert!(matches!(check(&state.path().join("missing")), Err(NotOwn::Look { .. })));
    }

    #[test]
    fn what_others_may_write_and_what_is_a_link_is_refused_by_name() {
        for part in ["", "releases", "releases/shop", "instances/shop.r1.i1", "logs/shop", "logs/shop/shop.r1.i1"] {
            let state = state();
            let path = state.path().join(part);
            fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
            let refused = check(state.path()).unwrap_err().to_string();
            assert!(
                refused.contains(path.canonicalize().unwrap().to_str().unwrap().trim_end_matches('/')),
                "{refused}"
            );
            assert!(refused.contains("mode 0777"), "{refused}");
        }
        for part in ["logs", "journal.db", "instances/shop.r1.i2", "releases/evil"] {
            let state = state();
            let path = state.path().join(part);
            let _there = fs::remove_dir_all(&path);
            symlink("/etc", &path).unwrap();
            assert!(matches!(check(state.path()), Err(NotOwn::Link { path: told }) if told.ends_with(part)), "{part}");
        }
    }

    #[test]
    fn what_belongs_to_another_user_is_refused_by_name() {
        if !rustix::process::geteuid().is_root() {
            return eprintln!("skipped: only root can give something to another user");
        }
        let state = state();
        std::os::unix::fs::chown(state.path().join("releases/shop"), Some(65_534), None).unwrap();
        let refused = check(state.path()).unwrap_err().to_string();
        assert!(refused.contains("releases/shop belongs to user 65534"), "{refused}");
    }
}
