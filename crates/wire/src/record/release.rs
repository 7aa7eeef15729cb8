//! What the journal keeps of a release.

use gapless_model::{Release, ReleaseId, ReleaseLabel};
use serde::{Deserialize, Serialize};

use super::RecordError;
use crate::config::{ConfigErrors, recorded_service_config};

/// A release, as it is kept: its artefact by digest, its configuration as the text that was written.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseRecord {
    /// Its number within the service.
    pub id: u64,
    /// Its label.
    pub label: String,
    /// The SHA-256 digest of its artefact, in hexadecimal digits.
    pub digest: String,
    /// The text of its `gapless.toml`.
    pub config: String,
    /// When it was registered, in milliseconds since 1970, for people.
    #[serde(default)]
    pub registered_wall_ms: u64,
    /// Bytes of its files, unpacked; not known of releases registered before this was written down.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// Why a release that is kept cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseUnreadable {
    /// A name or number in it is none.
    #[error("release {id} is kept with damaged names")]
    Names {
        /// Which.
        id: u64,
        /// What is wrong.
        source: RecordError,
    },
    /// Its configuration cannot be read any more.
    #[error("the configuration that release {id} is kept with cannot be read")]
    Config {
        /// Which.
        id: u64,
        /// What is wrong.
        source: ConfigErrors,
    },
}

impl ReleaseRecord {
    /// The release that is kept here.
    ///
    /// # Errors
    /// [`ReleaseUnreadable`].
    pub fn to_release(&self) -> Result<Release, ReleaseUnreadable> {
        let impossible = |what, value: &str| ReleaseUnreadable::Names {
            id: self.id,
            source: RecordError::Impossible { what, value: value.chars().take(100).collect() },
        };
        Ok(Release {
            id: ReleaseId(self.id),
            label: ReleaseLabel::new(&self.label).map_err(|_| impossible("release label", &self.label))?,
            digest: self.digest.parse().map_err(|_| impossible("digest", &self.digest))?,
            spec: recorded_service_config(&self.config, "gapless.toml")
                .map_err(|source| ReleaseUnreadable::Config { id: self.id, source })?,
        })
    }
}
