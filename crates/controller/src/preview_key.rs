//! The secret that gives the right to previews: made once per state folder, readable for its owner alone.
//!
//! It is no part of the journal, since nothing is decided by it: a new one only makes running rollouts' tokens new.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use gapless_drivers::whole_file;
use gapless_routing::PreviewKey;

/// The file in the state folder.
const FILE: &str = "preview.key";

/// The key of a state folder. A folder that can be neither read nor written costs no more than that tokens change with the controller.
///
/// # Panics
/// When the system gives no random bytes.
#[must_use]
pub fn load(state: &Path) -> PreviewKey {
    let path = state.join(FILE);
    match read(&path) {
        Ok(key) => return key,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "the key of previews cannot be read; a new one is made")
        }
    }
    let key = random().expect("BUG: /dev/urandom gives no bytes");
    if let Err(error) = whole_file::write(&path, &key.0) {
        tracing::warn!(path = %path.display(), %error, "the key of previews cannot be kept; tokens change with the next controller");
    }
    key
}

fn read(path: &Path) -> io::Result<PreviewKey> {
    let mut key = [0; 32];
    OpenOptions::new().read(true).custom_flags(libc::O_NOFOLLOW).open(path)?.read_exact(&mut key)?;
    Ok(PreviewKey(key))
}

fn random() -> io::Result<PreviewKey> {
    let mut key = [0; 32];
    File::open("/dev/urandom")?.read_exact(&mut key)?;
    Ok(PreviewKey(key))
}
