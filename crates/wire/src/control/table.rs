//! The routing table as a document: what travels to a proxy, what a proxy keeps on disk, what `--table FILE` reads.

use serde::{Deserialize, Serialize};

use super::policy::{PolicyDoc, ProbeDoc};

/// A whole table.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TableDoc {
    /// Its number.
    #[serde(default)]
    pub version: VersionDoc,
    /// Its services.
    pub services: Vec<ServiceDoc>,
}

/// (epoch, generation).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub struct VersionDoc {
    /// The controller's term.
    pub epoch: u64,
    /// The table's number within it.
    pub generation: u64,
}

/// One service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceDoc {
    /// Its name.
    pub name: String,
    /// What of the traffic is its own.
    pub routes: Vec<RouteDoc>,
    /// Its releases.
    #[serde(default)]
    pub pools: Vec<PoolDoc>,
    /// Whether its requests are served or wait.
    #[serde(default)]
    pub intake: IntakeDoc,
    /// The bounds of waiting.
    #[serde(default)]
    pub hold: HoldDoc,
    /// The path that is answered by the proxy itself while requests wait.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health_path: Option<String>,
    /// What is answered when no release has weight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<FallbackDoc>,
    /// Pins of clients to releases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pins: Option<PinsDoc>,
    /// What gives the right to previews: 32 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_token: Option<String>,
}

/// A host pattern and a path prefix.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct RouteDoc {
    /// A host, `*.suffix`, or `*`.
    #[serde(default = "any")]
    pub host: String,
    /// Beginning with `/`.
    #[serde(default = "root")]
    pub path: String,
}

fn any() -> String {
    "*".into()
}

fn root() -> String {
    "/".into()
}

/// Whether requests are served or wait.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntakeDoc {
    /// They are served.
    #[default]
    Serve,
    /// They wait.
    Hold,
}

/// The bounds of waiting.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(default)]
pub struct HoldDoc {
    /// How many requests may wait.
    pub requests_max: u32,
    /// How long one may wait, in milliseconds.
    pub wait_max_ms: u64,
}

impl Default for HoldDoc {
    fn default() -> Self {
        crate::config::traffic_defaults().hold.into()
    }
}

/// A fixed answer.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct FallbackDoc {
    /// 200 to 599.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// Its body.
    pub body: String,
    /// `Retry-After` in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u32>,
}

/// How clients are pinned.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PinsDoc {
    /// The cookie's name.
    pub cookie: String,
    /// What is bound.
    pub scope: PinScopeDoc,
    /// Keys of 32 bytes, in hexadecimal; the first signs.
    pub keys: Vec<String>,
    /// Releases whose pins no longer hold.
    #[serde(default)]
    pub revoked: Vec<u64>,
    /// The cookie's `Max-Age` in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_s: Option<u64>,
}

/// What a pin binds to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PinScopeDoc {
    /// The release.
    Release,
    /// The release and the instance.
    Instance,
}

/// One release of a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PoolDoc {
    /// Its number.
    pub release: u64,
    /// Its label.
    pub label: String,
    /// Its share of the traffic in basis points.
    pub weight_bp: u32,
    /// What it asks of the proxy.
    #[serde(default)]
    pub policy: PolicyDoc,
    /// How its instances' health is asked for by the proxy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeDoc>,
    /// Hosts that reach it whatever its weight.
    #[serde(default)]
    pub preview_hosts: Vec<String>,
    /// Its instances.
    pub instances: Vec<InstanceDoc>,
}

/// One instance.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct InstanceDoc {
    /// As `SERVICE.rN.iN`.
    pub id: String,
    /// As `ADDRESS:PORT`.
    pub address: String,
}
