//! Removing artefacts that nothing refers to any more.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gapless_model::Digest;

use super::{ArtefactError, cannot_read, cannot_write};

/// Removes the artefacts in a folder but those named: renamed away first, so that none is ever there in part. What is not named like
/// a digest is not ours and stays.
pub(super) fn collect(
    of_service: &Path,
    keep: &BTreeSet<Digest>,
    mut beside: impl FnMut() -> PathBuf,
) -> Result<Vec<Digest>, ArtefactError> {
    let entries = match fs::read_dir(of_service) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(cannot_read(of_service))?,
    };
    let mut removed = Vec::new();
    for entry in entries {
        let entry = entry.map_err(cannot_read(of_service))?;
        let digest = entry.file_name().to_str().and_then(|name| name.parse::<Digest>().ok());
        let Some(digest) = digest.filter(|digest| !keep.contains(digest)) else { continue };
        let (path, away) = (entry.path(), beside());
        fs::rename(&path, &away).map_err(cannot_write(&path))?;
        fs::remove_dir_all(&away).map_err(cannot_write(&away))?;
        removed.push(digest);
    }
    removed.sort_unstable();
    Ok(removed)
}
