//! What a release asks of the proxy, as a document. Absent keys take the defaults of [`PolicyDoc::default`], so that a table may be
//! written by hand.

use std::sync::LazyLock;

use gapless_model::{Balance, HashKey, HoldLimits, Millis, Probe, ProbeKind, StatusRange, TrafficPolicy};
use serde::{Deserialize, Serialize};

use super::convert::DocInvalid;
use super::table::HoldDoc;
use crate::config::traffic_defaults;

/// [`Balance`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BalanceDoc {
    /// Two at random, the cheaper one.
    #[default]
    PeakEwma,
    /// In turn.
    RoundRobin,
    /// The fewest requests in flight.
    LeastRequests,
    /// By what `hash_key` says.
    ConsistentHash,
}

/// [`TrafficPolicy`]; times in milliseconds.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "each key is the field of TrafficPolicy of the same name")]
pub struct PolicyDoc {
    pub balance: BalanceDoc,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_key: Option<String>,
    pub connect_timeout_ms: u64,
    pub response_timeout_ms: u64,
    pub idle_timeout_ms: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub body_rate_min: u32,
    pub retries_max: u8,
    pub replay_with_idempotency_key: bool,
    pub replay_bytes_max: u32,
    pub hold: HoldDoc,
    pub drain_timeout_ms: u64,
    pub tunnel_drain_timeout_ms: u64,
    pub slow_start_ms: u64,
    pub eject_after_failures: u16,
    pub eject_above_peers: u8,
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// What the keys of `[traffic]` default to: one table of defaults for both forms.
impl Default for PolicyDoc {
    fn default() -> Self {
        static DEFAULTS: LazyLock<PolicyDoc> = LazyLock::new(|| PolicyDoc::from(&traffic_defaults()));
        DEFAULTS.clone()
    }
}

impl From<&TrafficPolicy> for PolicyDoc {
    fn from(policy: &TrafficPolicy) -> Self {
        PolicyDoc {
            balance: match &policy.balance {
                Balance::PeakEwma => BalanceDoc::PeakEwma,
                Balance::RoundRobin => BalanceDoc::RoundRobin,
                Balance::LeastRequests => BalanceDoc::LeastRequests,
                Balance::ConsistentHash(_) => BalanceDoc::ConsistentHash,
            },
            hash_key: match &policy.balance {
                Balance::ConsistentHash(key) if *key != HashKey::Address => Some(key.to_string()),
                _ => None,
            },
            connect_timeout_ms: policy.connect_timeout.0,
            response_timeout_ms: policy.response_timeout.0,
            idle_timeout_ms: policy.idle_timeout.0,
            body_rate_min: policy.body_rate_min,
            retries_max: policy.retries_max,
            replay_with_idempotency_key: policy.replay_with_idempotency_key,
            replay_bytes_max: policy.replay_bytes_max,
            hold: policy.hold.into(),
            drain_timeout_ms: policy.drain_timeout.0,
            tunnel_drain_timeout_ms: policy.tunnel_drain_timeout.0,
            slow_start_ms: policy.slow_start.0,
            eject_after_failures: policy.eject_after_failures,
            eject_above_peers: policy.eject_above_peers,
        }
    }
}

impl From<&PolicyDoc> for TrafficPolicy {
    fn from(doc: &PolicyDoc) -> Self {
        TrafficPolicy {
            balance: match doc.balance {
                BalanceDoc::PeakEwma => Balance::PeakEwma,
                BalanceDoc::RoundRobin => Balance::RoundRobin,
                BalanceDoc::LeastRequests => Balance::LeastRequests,
                // A key that a later release knows and this one does not is none: the address is what every request has.
                BalanceDoc::ConsistentHash => {
                    let key = doc.hash_key.as_deref().and_then(|key| key.parse().ok());
                    Balance::ConsistentHash(key.unwrap_or_default())
                }
            },
            connect_timeout: Millis(doc.connect_timeout_ms),
            response_timeout: Millis(doc.response_timeout_ms),
            idle_timeout: Millis(doc.idle_timeout_ms),
            body_rate_min: doc.body_rate_min,
            retries_max: doc.retries_max,
            replay_with_idempotency_key: doc.replay_with_idempotency_key,
            replay_bytes_max: doc.replay_bytes_max,
            hold: doc.hold.into(),
            drain_timeout: Millis(doc.drain_timeout_ms),
            tunnel_drain_timeout: Millis(doc.tunnel_drain_timeout_ms),
            slow_start: Millis(doc.slow_start_ms),
            eject_after_failures: doc.eject_after_failures,
            eject_above_peers: doc.eject_above_peers,
        }
    }
}

impl From<HoldLimits> for HoldDoc {
    fn from(hold: HoldLimits) -> Self {
        HoldDoc { requests_max: hold.requests_max, wait_max_ms: hold.wait_max.0 }
    }
}

impl From<HoldDoc> for HoldLimits {
    fn from(doc: HoldDoc) -> Self {
        HoldLimits { requests_max: doc.requests_max, wait_max: Millis(doc.wait_max_ms) }
    }
}

/// [`Probe`], as far as a proxy performs it: commands are the controller's affair.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ProbeDoc {
    /// The path of a GET; a connection is enough when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_path: Option<String>,
    /// The `Host` to send.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http_host: Option<String>,
    /// The lowest and the highest status that pass.
    #[serde(default = "success")]
    pub http_expect: (u16, u16),
    /// From the end of one probe to the begin of the next, in milliseconds.
    #[serde(default = "interval")]
    pub interval_ms: u64,
    /// How long one may take, in milliseconds.
    #[serde(default = "interval")]
    pub timeout_ms: u64,
    /// So many passes in a row make it healthy.
    #[serde(default = "rise")]
    pub rise: u16,
    /// So many failures in a row make it unhealthy.
    #[serde(default = "fall")]
    pub fall: u16,
}

fn success() -> (u16, u16) {
    (StatusRange::SUCCESS.first, StatusRange::SUCCESS.last)
}

fn interval() -> u64 {
    1_000
}

fn rise() -> u16 {
    2
}

fn fall() -> u16 {
    3
}

impl ProbeDoc {
    /// The document of a probe; none for a command.
    #[must_use]
    pub fn of(probe: &Probe) -> Option<ProbeDoc> {
        let (http_path, http_host, http_expect) = match &probe.kind {
            ProbeKind::Http { path, host, expect } => (Some(path.clone()), host.clone(), (expect.first, expect.last)),
            ProbeKind::Tcp => (None, None, success()),
            ProbeKind::Process | ProbeKind::Command { .. } => return None,
        };
        Some(ProbeDoc {
            http_path,
            http_host,
            http_expect,
            interval_ms: probe.interval.0,
            timeout_ms: probe.timeout.0,
            rise: probe.rise,
            fall: probe.fall,
        })
    }

    /// The probe that the document means.
    ///
    /// # Errors
    /// [`DocInvalid`] where it lies outside the bounds of [`Probe`].
    pub fn probe(&self) -> Result<Probe, DocInvalid> {
        let (first, last) = self.http_expect;
        let header = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        let path = self.http_path.as_deref().is_none_or(|path| path.starts_with('/') && header(path));
        let host = self.http_host.as_deref().is_none_or(header);
        if !path || !host || !(100..=last).contains(&first) || last > 599 {
            return Err(DocInvalid::Probe);
        }
        if self.interval_ms < 10 || self.timeout_ms < 10 || self.rise == 0 || self.fall == 0 {
            return Err(DocInvalid::Probe);
        }
        let http = |path: &String| ProbeKind::Http {
            path: path.clone(),
            host: self.http_host.clone(),
            expect: StatusRange { first, last },
        };
        Ok(Probe {
            kind: self.http_path.as_ref().map_or(ProbeKind::Tcp, http),
            interval: Millis(self.interval_ms),
            timeout: Millis(self.timeout_ms),
            rise: self.rise,
            fall: self.fall,
            healthy_min: Millis::ZERO,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse_service_config;

    #[test]
    fn a_policy_without_keys_is_the_one_of_a_configuration_without_keys() {
        let spec = parse_service_config("service = \"shop\"\n[run]\ncommand = [\"serve\"]\n", "gapless.toml").unwrap();
        let absent: PolicyDoc = serde_json::from_str("{}").unwrap();
        assert_eq!(TrafficPolicy::from(&absent), spec.traffic);
        assert_eq!(HoldLimits::from(HoldDoc::default()), spec.traffic.hold);
    }
}
