//! Between documents and the values they mean.

use gapless_model::{
    Epoch, Generation, Host, InstanceId, PathPrefix, ReleaseId, ReleaseLabel, Route, ServiceName, TableVersion, Weight,
};
use gapless_routing::{
    Fallback, InstanceSpec, Intake, Keyring, PinScope, PinSpec, PoolSpec, PreviewToken, ServiceSpec, TableSpec,
};

use super::policy::ProbeDoc;
use super::table::{
    FallbackDoc, InstanceDoc, IntakeDoc, PinScopeDoc, PinsDoc, PoolDoc, RouteDoc, ServiceDoc, TableDoc, VersionDoc,
};

/// A document holds a value that cannot be.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DocInvalid {
    /// No service can have that name.
    #[error("service name {0:?} is not valid")]
    ServiceName(String),
    /// No release can have that label.
    #[error("release label {0:?} is not valid")]
    Label(String),
    /// No host pattern.
    #[error("host {0:?} is not valid")]
    Host(String),
    /// No path prefix.
    #[error("path {0:?} is not valid")]
    Path(String),
    /// No weight.
    #[error("weight {0} is not valid")]
    Weight(u32),
    /// No instance id.
    #[error("instance {0:?} is not valid")]
    Instance(String),
    /// No socket address.
    #[error("address {0:?} is not valid")]
    Address(String),
    /// A probe outside its bounds.
    #[error("a probe is not valid")]
    Probe,
    /// The cookie of pins is no token, or a key has not 32 bytes.
    #[error("pins of service {0:?} are not valid")]
    Pins(String),
    /// No preview token. It is not shown.
    #[error("the preview token of service {0:?} is not valid")]
    PreviewToken(String),
}

impl From<TableVersion> for VersionDoc {
    fn from(version: TableVersion) -> Self {
        VersionDoc { epoch: version.epoch.0, generation: version.generation.0 }
    }
}

impl From<VersionDoc> for TableVersion {
    fn from(doc: VersionDoc) -> Self {
        TableVersion { epoch: Epoch(doc.epoch), generation: Generation(doc.generation) }
    }
}

impl From<&TableSpec> for TableDoc {
    fn from(spec: &TableSpec) -> Self {
        TableDoc { version: spec.version.into(), services: spec.services.iter().map(ServiceDoc::from).collect() }
    }
}

impl TryFrom<&TableDoc> for TableSpec {
    type Error = DocInvalid;

    fn try_from(doc: &TableDoc) -> Result<Self, DocInvalid> {
        let services = doc.services.iter().map(ServiceSpec::try_from).collect::<Result<_, _>>()?;
        Ok(TableSpec { version: doc.version.into(), services })
    }
}

impl From<&ServiceSpec> for ServiceDoc {
    fn from(spec: &ServiceSpec) -> Self {
        ServiceDoc {
            name: spec.name.to_string(),
            routes: spec.routes.iter().map(RouteDoc::from).collect(),
            pools: spec.pools.iter().map(PoolDoc::from).collect(),
            intake: match spec.intake {
                Intake::Serve => IntakeDoc::Serve,
                Intake::Hold => IntakeDoc::Hold,
            },
            hold: spec.hold.into(),
            health_path: spec.health_path.clone(),
            fallback: spec.fallback.as_ref().map(|fallback| FallbackDoc {
                status: fallback.status,
                content_type: fallback.content_type.clone(),
                body: fallback.body.to_string(),
                retry_after_s: fallback.retry_after_s,
            }),
            pins: spec.pins.as_ref().map(PinsDoc::from),
            preview_token: spec.preview_token.as_ref().map(|token| token.as_str().to_owned()),
        }
    }
}

impl TryFrom<&ServiceDoc> for ServiceSpec {
    type Error = DocInvalid;

    fn try_from(doc: &ServiceDoc) -> Result<Self, DocInvalid> {
        let name = ServiceName::new(&doc.name).map_err(|_| DocInvalid::ServiceName(doc.name.clone()))?;
        Ok(ServiceSpec {
            routes: doc.routes.iter().map(Route::try_from).collect::<Result<_, _>>()?,
            pools: doc.pools.iter().map(PoolSpec::try_from).collect::<Result<_, _>>()?,
            intake: match doc.intake {
                IntakeDoc::Serve => Intake::Serve,
                IntakeDoc::Hold => Intake::Hold,
            },
            hold: doc.hold.into(),
            health_path: doc.health_path.clone(),
            fallback: doc.fallback.as_ref().map(|fallback| Fallback {
                status: fallback.status,
                content_type: fallback.content_type.clone(),
                body: fallback.body.as_str().into(),
                retry_after_s: fallback.retry_after_s,
            }),
            pins: doc.pins.as_ref().map(|pins| pins_spec(&doc.name, pins)).transpose()?,
            preview_token: match &doc.preview_token {
                Some(text) => Some(PreviewToken::new(text).map_err(|_| DocInvalid::PreviewToken(doc.name.clone()))?),
                None => None,
            },
            name,
        })
    }
}

impl From<&Route> for RouteDoc {
    fn from(route: &Route) -> Self {
        RouteDoc { host: route.host.to_string(), path: route.path.to_string() }
    }
}

impl TryFrom<&RouteDoc> for Route {
    type Error = DocInvalid;

    fn try_from(doc: &RouteDoc) -> Result<Self, DocInvalid> {
        Ok(Route {
            host: host(&doc.host)?,
            path: PathPrefix::new(&doc.path).map_err(|_| DocInvalid::Path(doc.path.clone()))?,
        })
    }
}

fn host(text: &str) -> Result<Host, DocInvalid> {
    Host::new(text).map_err(|_| DocInvalid::Host(text.into()))
}

impl From<&PoolSpec> for PoolDoc {
    fn from(spec: &PoolSpec) -> Self {
        let instance = |instance: &InstanceSpec| InstanceDoc {
            id: instance.id.to_string(),
            address: instance.address.to_string(),
        };
        PoolDoc {
            release: spec.release.0,
            label: spec.label.to_string(),
            weight_bp: spec.weight.bp().into(),
            policy: (&spec.policy).into(),
            probe: spec.probe.as_ref().and_then(ProbeDoc::of),
            preview_hosts: spec.preview_hosts.iter().map(Host::to_string).collect(),
            instances: spec.instances.iter().map(instance).collect(),
        }
    }
}

impl TryFrom<&PoolDoc> for PoolSpec {
    type Error = DocInvalid;

    fn try_from(doc: &PoolDoc) -> Result<Self, DocInvalid> {
        Ok(PoolSpec {
            release: ReleaseId(doc.release),
            label: ReleaseLabel::new(&doc.label).map_err(|_| DocInvalid::Label(doc.label.clone()))?,
            weight: Weight::from_bp(doc.weight_bp).map_err(|_| DocInvalid::Weight(doc.weight_bp))?,
            policy: (&doc.policy).into(),
            probe: doc.probe.as_ref().map(ProbeDoc::probe).transpose()?,
            preview_hosts: doc.preview_hosts.iter().map(|text| host(text)).collect::<Result<_, _>>()?,
            instances: doc.instances.iter().map(InstanceSpec::try_from).collect::<Result<_, _>>()?,
        })
    }
}

impl TryFrom<&InstanceDoc> for InstanceSpec {
    type Error = DocInvalid;

    fn try_from(doc: &InstanceDoc) -> Result<Self, DocInvalid> {
        let id: InstanceId = doc.id.parse().map_err(|_| DocInvalid::Instance(doc.id.clone()))?;
        let address = doc.address.parse().map_err(|_| DocInvalid::Address(doc.address.clone()))?;
        Ok(InstanceSpec { id, address })
    }
}

impl From<&PinSpec> for PinsDoc {
    fn from(spec: &PinSpec) -> Self {
        let hex = |key: &[u8; 32]| key.iter().map(|byte| format!("{byte:02x}")).collect();
        PinsDoc {
            cookie: spec.cookie.clone(),
            scope: match spec.scope {
                PinScope::Release => PinScopeDoc::Release,
                PinScope::Instance => PinScopeDoc::Instance,
            },
            keys: spec.keys.0.iter().map(hex).collect(),
            revoked: spec.revoked.iter().map(|release| release.0).collect(),
            max_age_s: spec.max_age_s,
        }
    }
}

fn pins_spec(service: &str, doc: &PinsDoc) -> Result<PinSpec, DocInvalid> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if doc.cookie.is_empty() || !doc.cookie.bytes().all(token) {
        return Err(DocInvalid::Pins(service.into()));
    }
    let key = |hex: &String| -> Option<[u8; 32]> { Some(hex.parse::<gapless_model::Digest>().ok()?.0) };
    let keys = doc.keys.iter().map(key).collect::<Option<Vec<_>>>().ok_or_else(|| DocInvalid::Pins(service.into()))?;
    Ok(PinSpec {
        cookie: doc.cookie.clone(),
        scope: match doc.scope {
            PinScopeDoc::Release => PinScope::Release,
            PinScopeDoc::Instance => PinScope::Instance,
        },
        keys: Keyring(keys),
        revoked: doc.revoked.iter().map(|release| ReleaseId(*release)).collect(),
        max_age_s: doc.max_age_s,
    })
}

#[cfg(test)]
#[path = "convert_tests.rs"]
mod tests;
