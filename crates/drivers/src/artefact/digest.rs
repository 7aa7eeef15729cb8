//! The identity of an artefact: SHA-256 over its tree, the same for a folder and for any archive of the same files.
//!
//! Hashed is `gapless-tree-1`, then each entry in the order of the bytes of its path (parts separated by `/`):
//!
//! | entry | bytes |
//! |---|---|
//! | file | by its mode `f` (0644), `x` (0755) or `m` with the mode as a big-endian u32; path; SHA-256 of its content |
//! | link | `l`; path; target |
//! | empty folder | `d`; path |
//!
//! where path and target have their length before them as a big-endian u64. Folders with something in them are not hashed: archives may or may not name them.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use gapless_model::Digest;
use sha2::{Digest as _, Sha256};

use super::entry::Node;
use super::{ArtefactError, cannot_read, source};

/// What is hashed of an entry besides its path.
enum Hashed {
    File { mode: u32, content: [u8; 32] },
    Link { target: Vec<u8> },
    Folder,
}

/// The digest of an unpacked artefact.
pub(super) fn of_folder(root: &Path) -> Result<Digest, ArtefactError> {
    let mut entries: BTreeMap<Vec<u8>, Hashed> = BTreeMap::new();
    source::folder(root, None, &mut |path, node| {
        let hashed = match node {
            Node::Folder => Hashed::Folder,
            Node::File { mode, content } => {
                let content = of_content(content).map_err(cannot_read(&root.join(path.as_path())))?;
                Hashed::File { mode: mode.bits(), content }
            }
            Node::Link { target } => Hashed::Link { target: target.as_os_str().as_bytes().to_vec() },
            Node::HardLink { .. } => return Ok(()),
        };
        entries.insert(path.as_bytes().to_vec(), hashed);
        Ok(())
    })?;
    let mut hasher = Sha256::new();
    hasher.update(b"gapless-tree-1");
    for (path, hashed) in &entries {
        match hashed {
            Hashed::File { mode, content } => {
                match mode {
                    0o644 => hasher.update(b"f"),
                    0o755 => hasher.update(b"x"),
                    mode => {
                        hasher.update(b"m");
                        hasher.update(mode.to_be_bytes());
                    }
                }
                update_with_length(&mut hasher, path);
                hasher.update(content);
            }
            Hashed::Link { target } => {
                hasher.update(b"l");
                update_with_length(&mut hasher, path);
                update_with_length(&mut hasher, target);
            }
            Hashed::Folder if is_empty(&entries, path) => {
                hasher.update(b"d");
                update_with_length(&mut hasher, path);
            }
            Hashed::Folder => {}
        }
    }
    Ok(Digest(hasher.finalize().into()))
}

fn is_empty(entries: &BTreeMap<Vec<u8>, Hashed>, folder: &[u8]) -> bool {
    let inside = [folder, b"/"].concat();
    entries.range(inside.clone()..).next().is_none_or(|(path, _)| !path.starts_with(&inside))
}

fn update_with_length(hasher: &mut Sha256, bytes: &[u8]) {
    hasher.update((bytes.len() as u64).to_be_bytes());
    hasher.update(bytes);
}

fn of_content(content: &mut dyn Read) -> io::Result<[u8; 32]> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finalize().into()),
            Ok(length) => hasher.update(&buffer[..length]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
