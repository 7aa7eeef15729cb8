//! What a routing table is asked to be: plain parts, not yet checked. `Table::build` checks them.

use core::net::SocketAddr;
use std::sync::Arc;

use gapless_model::{
    HoldLimits, Host, InstanceId, Probe, ReleaseId, ReleaseLabel, Route, ServiceName, TableVersion, TrafficPolicy,
    Weight,
};

use crate::pin::PinSpec;
use crate::preview::PreviewToken;

/// A whole table, not yet checked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableSpec {
    /// Its number (I7).
    pub version: TableVersion,
    /// The services, in any order.
    pub services: Vec<ServiceSpec>,
}

/// One service of a table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ServiceSpec {
    /// Its name; once in a table.
    pub name: ServiceName,
    /// What of the traffic is its own; each route once in a table.
    pub routes: Vec<Route>,
    /// Its releases in load, and those that only a preview reaches (weight zero).
    pub pools: Vec<PoolSpec>,
    /// Whether new requests are served or wait.
    pub intake: Intake,
    /// The bounds of waiting.
    pub hold: HoldLimits,
    /// The path that the proxy answers by itself while the service holds its requests.
    pub health_path: Option<String>,
    /// What is answered when no release has weight and nothing is held.
    pub fallback: Option<Fallback>,
    /// Pins of clients to releases, where the service uses them.
    pub pins: Option<PinSpec>,
    /// What gives the right to previews; without one only trusted peers have it.
    pub preview_token: Option<PreviewToken>,
}

/// Whether new requests of a service are served or wait.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub enum Intake {
    /// They are served.
    #[default]
    Serve,
    /// They wait, within the service's [`HoldLimits`], until a table says otherwise. Requests that name a preview pass.
    Hold,
}

/// A fixed answer of the proxy's own for a service that has no release with weight.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fallback {
    /// 200 to 599.
    pub status: u16,
    /// `Content-Type`.
    pub content_type: String,
    /// At most 64 KiB.
    pub body: Arc<str>,
    /// `Retry-After` in seconds.
    pub retry_after_s: Option<u32>,
}

/// One release of a service.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PoolSpec {
    /// The release; once in a service.
    pub release: ReleaseId,
    /// Its label, which the preview header names; once in a service.
    pub label: ReleaseLabel,
    /// Its share of the service's traffic. The weights of a service add up to all, or are all zero.
    pub weight: Weight,
    /// What the release asks of the proxy.
    pub policy: TrafficPolicy,
    /// How its instances' health is asked for while they are in the table; commands are the controller's affair.
    pub probe: Option<Probe>,
    /// Exact hosts that reach this release whatever its weight.
    pub preview_hosts: Vec<Host>,
    /// Its instances; at least one where it has weight.
    pub instances: Vec<InstanceSpec>,
}

/// One instance of a release.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct InstanceSpec {
    /// Which instance; of the pool's service and release.
    pub id: InstanceId,
    /// Where it listens; each address once in a table.
    pub address: SocketAddr,
}
