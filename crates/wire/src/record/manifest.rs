//! What is kept of a service beside the journal, so that the journal can be rebuilt, and an older one known as such.
//!
//! A manifest is no second source of truth: nothing is decided from it while there is a journal. It holds what neither the folders of the
//! releases nor the running processes tell: labels, configurations, which release is current and which were before, the numbers given
//! out, and how far the journal had come.

use std::fmt::Write as _;

use gapless_model::{ReleaseId, ServiceName};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{ReleaseRecord, ScaledRecord};

/// The newest form known here.
const FORMAT: u32 = 1;

/// What is kept of one service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ManifestRecord {
    /// The form of this record.
    pub format: u32,
    /// The identity of the journal.
    pub journal: String,
    /// The term in which it was written.
    pub epoch: u64,
    /// The commits that the journal had.
    pub commits: u64,
    /// The service.
    pub service: String,
    /// The release that serves; of a running rollout the one it came from.
    #[serde(default)]
    pub current: Option<u64>,
    /// Releases that were current before, the newest last.
    #[serde(default)]
    pub history: Vec<u64>,
    /// Whether an operator stopped it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stopped: bool,
    /// How many instances an operator wants of a release instead of those of its configuration.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaled: Vec<ScaledRecord>,
    /// The last effect number given out.
    #[serde(default)]
    pub last_effect: u64,
    /// The last ordinal given to an instance.
    #[serde(default)]
    pub last_ordinal: u64,
    /// The last rollout number given out.
    #[serde(default)]
    pub last_rollout: u64,
    /// The rollout that runs: a journal that is rebuilt does not take it up again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningRecord>,
    /// The releases that are kept.
    #[serde(default)]
    pub releases: Vec<ReleaseRecord>,
}

/// A rollout that runs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RunningRecord {
    /// Its number.
    pub rollout: u64,
    /// The label of its candidate.
    #[serde(default)]
    pub to: String,
}

/// Why a manifest cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestBroken {
    /// It is not what was written.
    #[error("it does not match its checksum")]
    Checksum,
    /// It is not the JSON of a manifest.
    #[error("it is not the JSON of a manifest")]
    Json(#[from] serde_json::Error),
    /// A newer program wrote it.
    #[error("it has format {0}, this program knows up to {FORMAT}")]
    Newer(u32),
    /// It is not of a service.
    #[error("it is of no service that could be")]
    Service,
}

impl ManifestRecord {
    /// A manifest of this form, with nothing in it.
    #[must_use]
    pub fn new(service: &ServiceName) -> ManifestRecord {
        ManifestRecord {
            format: FORMAT,
            journal: String::new(),
            epoch: 0,
            commits: 0,
            service: service.to_string(),
            current: None,
            history: Vec::new(),
            stopped: false,
            scaled: Vec::new(),
            last_effect: 0,
            last_ordinal: 0,
            last_rollout: 0,
            running: None,
            releases: Vec::new(),
        }
    }

    /// The name of the service.
    ///
    /// # Errors
    /// [`ManifestBroken::Service`].
    pub fn name(&self) -> Result<ServiceName, ManifestBroken> {
        ServiceName::new(&self.service).map_err(|_| ManifestBroken::Service)
    }

    /// The releases that were current before, the newest last.
    pub fn history(&self) -> impl DoubleEndedIterator<Item = ReleaseId> {
        self.history.iter().copied().map(ReleaseId)
    }

    /// The bytes of the file: a line with the SHA-256 of what follows, then JSON.
    ///
    /// # Panics
    /// `BUG:` never; a record has string keys and finite numbers only.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let json = serde_json::to_vec_pretty(self).expect("BUG: a record is always JSON");
        let mut bytes = checksum(&json).into_bytes();
        bytes.push(b'\n');
        bytes.extend(json);
        bytes
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// [`ManifestBroken`].
    pub fn from_bytes(bytes: &[u8]) -> Result<ManifestRecord, ManifestBroken> {
        let end = bytes.iter().position(|byte| *byte == b'\n').ok_or(ManifestBroken::Checksum)?;
        let (sum, json) = (&bytes[..end], &bytes[end + 1..]);
        if sum != checksum(json).as_bytes() {
            return Err(ManifestBroken::Checksum);
        }
        let manifest: ManifestRecord = serde_json::from_slice(json)?;
        if manifest.format > FORMAT {
            return Err(ManifestBroken::Newer(manifest.format));
        }
        manifest.name()?;
        Ok(manifest)
    }
}

fn checksum(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        let _ = write!(hex, "{byte:02x}"); // writing to a string cannot fail
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_reads_back_and_any_flipped_bit_is_found() {
        let shop = ServiceName::new("shop").unwrap();
        let manifest = ManifestRecord { current: Some(3), history: vec![1, 2], ..ManifestRecord::new(&shop) };
        let bytes = manifest.to_bytes();
        assert_eq!(ManifestRecord::from_bytes(&bytes).unwrap(), manifest);
        for at in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1;
            assert!(ManifestRecord::from_bytes(&flipped).is_err(), "at {at}");
            assert!(ManifestRecord::from_bytes(&bytes[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn a_manifest_of_a_later_form_is_refused_and_later_fields_are_ignored() {
        let sealed = |json: &str| [checksum(json.as_bytes()).as_bytes(), b"\n", json.as_bytes()].concat();
        let later = sealed(r#"{"format":2,"journal":"j","epoch":1,"commits":2,"service":"shop"}"#);
        assert!(matches!(ManifestRecord::from_bytes(&later), Err(ManifestBroken::Newer(2))));
        let wider = sealed(r#"{"format":1,"journal":"j","epoch":1,"commits":2,"service":"shop","later":{}}"#);
        assert_eq!(ManifestRecord::from_bytes(&wider).unwrap().commits, 2);
        let nobody = sealed(r#"{"format":1,"journal":"j","epoch":1,"commits":2,"service":"../x"}"#);
        assert!(matches!(ManifestRecord::from_bytes(&nobody), Err(ManifestBroken::Service)));
    }
}
