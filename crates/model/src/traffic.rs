//! What a release asks of the proxy: routes, balancing, retries, holds and time limits.

use crate::hash_key::HashKey;
use std::fmt;
use std::sync::Arc;

use crate::Millis;

/// A host pattern: an exact host name, `*.example.com` (one or more labels in front), or `*` for any. Lower case, without port.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Host(Arc<str>);

/// The text is not a host pattern.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is not a host name, `*.domain` or `*`")]
pub struct HostInvalid {
    text: String,
}

impl Host {
    /// Checks and takes a pattern; letters are lowered.
    ///
    /// # Errors
    /// [`HostInvalid`] when it is none.
    pub fn new(text: &str) -> Result<Host, HostInvalid> {
        let lowered = text.to_ascii_lowercase();
        let name = lowered.strip_prefix("*.").unwrap_or(&lowered);
        let label = |part: &str| {
            !part.is_empty()
                && part.len() <= 63
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
        };
        let bracketed = name.starts_with('[')
            && name
                .strip_prefix('[')
                .and_then(|n| n.strip_suffix(']'))
                .is_some_and(|n| n.parse::<core::net::Ipv6Addr>().is_ok());
        if lowered == "*" || bracketed || (name.len() <= 253 && name.split('.').all(label)) {
            Ok(Host(lowered.into()))
        } else {
            Err(HostInvalid { text: text.chars().take(100).collect() })
        }
    }

    /// Any host.
    #[must_use]
    pub fn any() -> Host {
        Host("*".into())
    }

    /// The pattern as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A path prefix, beginning with `/`; matches whole segments: `/api` holds `/api` and `/api/x`, not `/apiary`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PathPrefix(Arc<str>);

/// The text is not a path prefix.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{text:?} is not a path that begins with `/`, without spaces, `?`, `#` or control characters")]
pub struct PathPrefixInvalid {
    text: String,
}

impl PathPrefix {
    /// Checks and takes a prefix; a slash at its end is dropped (but for `/` itself).
    ///
    /// # Errors
    /// [`PathPrefixInvalid`] when it is none.
    pub fn new(text: &str) -> Result<PathPrefix, PathPrefixInvalid> {
        let fine = text.starts_with('/')
            && text.len() <= 1_024
            && text.bytes().all(|b| b.is_ascii_graphic() && b != b'?' && b != b'#');
        if !fine {
            return Err(PathPrefixInvalid { text: text.chars().take(100).collect() });
        }
        let trimmed = text.trim_end_matches('/');
        Ok(PathPrefix(if trimmed.is_empty() { "/".into() } else { trimmed.into() }))
    }

    /// The prefix as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PathPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What of the traffic goes to a service. The most exact host wins, then the longest path.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Route {
    /// The hosts.
    pub host: Host,
    /// The paths.
    pub path: PathPrefix,
}

/// How an instance of a pool is chosen.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Balance {
    /// Two at random, the one with the lower expected latency × requests in flight (peak EWMA).
    PeakEwma,
    /// One after the other.
    RoundRobin,
    /// The one with the fewest requests in flight.
    LeastRequests,
    /// By the hash of this, so that the same goes to the same instance while there is the same set of instances.
    ConsistentHash(HashKey),
}

/// The bounds of a hold: how many requests may wait, and how long.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct HoldLimits {
    /// Requests that may wait at one proxy; the next is answered 503.
    pub requests_max: u32,
    /// How long one may wait; then it is answered 503.
    pub wait_max: Millis,
}

impl HoldLimits {
    /// Nobody may wait.
    pub const NONE: HoldLimits = HoldLimits { requests_max: 0, wait_max: Millis::ZERO };
}

/// What a release asks of the proxy for its requests.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct TrafficPolicy {
    /// How an instance is chosen.
    pub balance: Balance,
    /// How long a connection to an instance may take to open.
    pub connect_timeout: Millis,
    /// How long an instance may take from the end of the request to the begin of its answer.
    pub response_timeout: Millis,
    /// How long either side may move no byte in the middle of a message.
    pub idle_timeout: Millis,
    /// Bytes per second with which the body of a request must come while nothing but the client is waited for; zero for no bound.
    pub body_rate_min: u32,
    /// How often a request may be tried again at most.
    pub retries_max: u8,
    /// Whether requests with an `Idempotency-Key` may be replayed whatever their method.
    pub replay_with_idempotency_key: bool,
    /// How many bytes of a request's body are kept for a replay.
    pub replay_bytes_max: u32,
    /// The bounds of a hold.
    pub hold: HoldLimits,
    /// How long requests in flight may run on when their instance drains.
    pub drain_timeout: Millis,
    /// How long tunnels (WebSocket and other upgrades) may run on when their instance drains.
    pub tunnel_drain_timeout: Millis,
    /// Slow start: how long a new instance's share of traffic grows from little to full; zero for none.
    pub slow_start: Millis,
    /// Passive health: so many failures in a row take an instance out for a while; zero for never.
    pub eject_after_failures: u16,
    /// Passive health: an instance whose share of failures is at least so many percentage points above that of its peers is taken out for a
    /// while; zero for never.
    pub eject_above_peers: u8,
}

#[cfg(test)]
mod tests {
    use super::{Host, PathPrefix};

    #[test]
    fn a_host_is_a_name_a_suffix_or_any() {
        for good in ["*", "shop.example.com", "*.example.com", "LOCALHOST", "127.0.0.1", "[::1]"] {
            assert!(Host::new(good).is_ok(), "{good}");
        }
        for wrong in ["", "*.", "a..b", "a b", "a:80", "*.*.x", "x/y"] {
            assert!(Host::new(wrong).is_err(), "{wrong}");
        }
        assert_eq!(Host::new("Shop.Example.COM").unwrap().as_str(), "shop.example.com");
    }

    #[test]
    fn a_path_prefix_is_stored_without_its_last_slash() {
        assert_eq!(PathPrefix::new("/api/").unwrap().as_str(), "/api");
        assert_eq!(PathPrefix::new("/").unwrap().as_str(), "/");
        for wrong in ["", "api", "/a b", "/a?x", "/a#x", "/ä"] {
            assert!(PathPrefix::new(wrong).is_err(), "{wrong}");
        }
    }
}
