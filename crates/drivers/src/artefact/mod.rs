//! From a folder or archive to an immutable release folder named by the digest of its content.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use gapless_model::{Digest, ServiceName};

/// The release folders of a state folder. All calls block; they belong on a thread of their own.
#[derive(Clone, Debug)]
pub struct Artefacts {
    state: PathBuf,
}

/// An artefact that is there.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Taken {
    /// Its identity.
    pub digest: Digest,
    /// Where it lies.
    pub folder: PathBuf,
    /// Files, links and folders in it.
    pub entries: u64,
    /// Bytes of its files.
    pub bytes: u64,
    /// Whether it was there before.
    pub already: bool,
}

/// Why an artefact was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// It cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// What.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Artefacts {
    /// The artefacts under a state folder: `incoming/` and `releases/` in it. What an earlier crash left in `incoming/` is removed.
    ///
    /// # Errors
    /// When the folders cannot be made.
    pub fn open(state: &Path) -> Result<Artefacts, ArtefactError> {
        Ok(Artefacts { state: state.to_owned() })
    }

    /// Takes a folder or archive for a service.
    ///
    /// # Errors
    /// [`ArtefactError`]; nothing is left behind.
    pub fn take(&self, service: &ServiceName, source: &Path) -> Result<Taken, ArtefactError> {
        let _ = service;
        Err(ArtefactError::Read { path: source.to_owned(), source: std::io::Error::other("not built yet") })
    }

    /// Where an artefact lies, or would.
    #[must_use]
    pub fn folder(&self, service: &ServiceName, digest: &Digest) -> PathBuf {
        self.state.join("releases").join(service.as_str()).join(digest.to_string())
    }

    /// Removes all artefacts of a service but those named (I9). Answers which.
    ///
    /// # Errors
    /// [`ArtefactError`].
    pub fn collect(&self, service: &ServiceName, keep: &BTreeSet<Digest>) -> Result<Vec<Digest>, ArtefactError> {
        let _ = (service, keep);
        Ok(Vec::new())
    }
}
