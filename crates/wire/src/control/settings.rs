//! What the machine's configuration says to a proxy, beside its routing table.

use gapless_model::Millis;
use serde::{Deserialize, Serialize};

use crate::config::ServerConfig;

/// The settings of a proxy. All of them hold from the moment they are taken; a key that is absent (an older controller's) leaves the setting as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SettingsDoc {
    /// How long a client may take for the whole head of a request, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head_timeout_ms: Option<u64>,
    /// How long a client's connection may stay idle between requests, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_alive_timeout_ms: Option<u64>,
    /// Networks whose forwarding headers are believed; for connections that are accepted from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trusted_peers: Option<Vec<String>>,
    /// Where each request is written as a line of JSON: absolute, or relative to the proxy's folder; empty for nowhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_log: Option<String>,
}

impl SettingsDoc {
    /// What a machine's configuration says. Every key is written.
    #[must_use]
    pub fn of(config: &ServerConfig) -> SettingsDoc {
        let millis = |Millis(ms): Millis| Some(ms);
        SettingsDoc {
            head_timeout_ms: millis(config.head_timeout),
            keep_alive_timeout_ms: millis(config.keep_alive_timeout),
            trusted_peers: Some(config.trusted_peers.iter().map(ToString::to_string).collect()),
            access_log: Some(config.access_log.as_ref().map(|path| path.display().to_string()).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_an_older_or_newer_neighbour_writes_are_read() {
        let read: SettingsDoc = serde_json::from_str(r#"{"head_timeout_ms":500,"colour":"red"}"#).unwrap();
        assert_eq!(read, SettingsDoc { head_timeout_ms: Some(500), ..SettingsDoc::default() });
        let all = SettingsDoc::of(&ServerConfig::default());
        assert_eq!(all.access_log.as_deref(), Some(""), "no access log is said, not left out");
        assert!(all.trusted_peers.is_some() && all.keep_alive_timeout_ms.is_some());
    }
}
