//! What a rollout cost its clients, counted: sums over the proxies' ledgers from its begin to its end.

use std::collections::BTreeMap;

use gapless_model::ServiceName;
use serde::{Deserialize, Serialize};

use super::RolloutSummary;

/// The receipt of a rollout. Every request that was accepted meanwhile is in exactly one of `releases[].answered`, `answered_by_us`,
/// `client_left` and `cut`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// The service.
    pub service: String,
    /// The rollout and how it ended.
    pub rollout: RolloutSummary,
    /// Requests that ended while it ran.
    pub requests: u64,
    /// Those that a release answered, the newest release first.
    pub releases: Vec<ReleaseCounts>,
    /// Those that Gapless answered itself: malformed, without a route, held too long, no instance.
    pub answered_by_us: u64,
    /// Those whose client left before the end of the answer.
    pub client_left: u64,
    /// Those whose answer had begun and did not reach its end.
    pub cut: u64,
    /// Attempts made again because the one before was never sent.
    pub retried: u64,
    /// Attempts made again although the one before was sent: the method allowed it.
    pub replayed: u64,
    /// Requests that waited while no instance might serve them.
    pub held: u64,
    /// The longest such wait, in milliseconds.
    pub longest_wait_ms: u64,
    /// Failures that an instance explains: it refused, closed, stalled or spoke no HTTP. (Its own 5xx are in `server_errors`.)
    pub failed_by_service: u64,
    /// Answers of 5xx that the service gave itself, over all releases.
    #[serde(default)]
    pub server_errors: u64,
    /// Failures that neither an instance nor the client explains: lost. Should be 0.
    pub failed_by_us: u64,
    /// Tunnels (WebSockets and other upgrades) to instances out of load that were still open when it ended. How they end is on no receipt.
    #[serde(default)]
    pub tunnels_draining: u64,
    /// How often each way to end without an answer of a release happened, by the ledger's names.
    #[serde(default)]
    pub reasons: BTreeMap<String, u64>,
    /// Whether the ledger was whole: `false` when a proxy died meanwhile and its last counts are not known.
    #[serde(default = "yes")]
    pub complete: bool,
    /// Proxies that did not answer at the end, with what they had in flight: how those requests ended is in no count. One sentence each.
    #[serde(default)]
    pub unknown: Vec<String>,
    /// The last lines of the instance that turned the rollout back, where one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_words: Option<LastWords>,
    /// Why requests that ended shortly before the rollout are counted too, a sentence each; none where every proxy told its counts of that moment.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub counted_before: Vec<String>,
}

impl Receipt {
    /// Of an order that never ran: no request belongs to it.
    #[must_use]
    pub fn of_nothing(rollout: RolloutSummary, service: &ServiceName) -> Receipt {
        let rollout = RolloutSummary { failed_by_us: Some(0), ..rollout };
        Receipt {
            service: service.to_string(),
            rollout,
            requests: 0,
            releases: Vec::new(),
            answered_by_us: 0,
            client_left: 0,
            cut: 0,
            retried: 0,
            replayed: 0,
            held: 0,
            longest_wait_ms: 0,
            failed_by_service: 0,
            server_errors: 0,
            failed_by_us: 0,
            tunnels_draining: 0,
            reasons: BTreeMap::new(),
            complete: true,
            unknown: Vec::new(),
            last_words: None,
            counted_before: Vec::new(),
        }
    }
}

/// The last lines that an instance wrote.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LastWords {
    /// Which instance.
    pub instance: String,
    /// The label of its release.
    #[serde(default)]
    pub release: String,
    /// Its lines, the oldest first; without control characters, and none too long.
    #[serde(default)]
    pub lines: Vec<String>,
}

/// The requests that one release answered.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseCounts {
    /// Its label.
    pub label: String,
    /// All of them.
    pub answered: u64,
    /// By class of status: `1xx` (101), `2xx`, `3xx`, `4xx`, `5xx`.
    #[serde(default)]
    pub by_class: BTreeMap<String, u64>,
    /// Requests that it failed: answered 5xx, or not to the end.
    #[serde(default)]
    pub failed: u64,
    /// The time to the end of the answer that half of them stayed below, in microseconds.
    #[serde(default)]
    pub p50_us: Option<u64>,
    /// The time that 99 of 100 stayed below, in microseconds.
    #[serde(default)]
    pub p99_us: Option<u64>,
}

fn yes() -> bool {
    true
}
