//! One small file of an artefact, read without taking the artefact in.

use std::io::Read as _;
use std::path::Path;

use super::entry::Node;
use super::{ArtefactError, source};

/// The text of the file with this name at the top of an archive or folder; none where it is not there. What is longer than `bytes_max` is cut
/// behind it: whoever reads it finds it too long.
///
/// # Errors
/// [`ArtefactError`]: it cannot be read, or is damaged before the file is found.
pub fn read_text(path: &Path, name: &str, bytes_max: u64) -> Result<Option<String>, ArtefactError> {
    // No state folder is in the way: nothing is written.
    let opened = source::open(path, Path::new(""), u64::MAX)?;
    let mut found = None;
    let visited = opened.visit(&mut |entry, node| {
        let Node::File { content, .. } = node else { return Ok(()) };
        if entry.as_path() != Path::new(name) {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let read = content.take(bytes_max.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| opened.unreadable(entry, error))?;
        found = Some(String::from_utf8_lossy(&bytes).into_owned());
        // The rest of the archive is of no interest: this ends the visit, and is not told.
        Err(ArtefactError::Empty { path: path.to_owned() })
    });
    match (found, visited) {
        (Some(text), _) => Ok(Some(text)),
        (None, visited) => visited.map(|()| None),
    }
}
