//! The protocol between a controller and a proxy, and the routing table as a document.
//!
//! The proxy listens on a Unix socket, the controller connects. Each side sends frames ([`frame`]): a length and a JSON object. The
//! first of each side is its Hello. File descriptors of listening sockets travel beside the frame that names them ([`ancillary`]).
//!
//! **Invariant P1**: a reader ignores keys and messages it does not know, and gives absent keys a meaning, so that neighbours in
//! version understand each other (I17); a Hello with a protocol number further away is refused ([`Hello::speaks`]).
//! **Invariant P2**: counts in reports are cumulative since the proxy began; a lost report loses nothing, and the first report on a
//! connection names every series.
//! **Invariant P3**: a table document is whole or refused: its checksum covers every key, those that this reader does not know
//! included (tests in [`seal`]).
//! **Invariant P4**: everything has a bound: [`frame::FRAME_BYTES_MAX`], [`frame::FDS_MAX`].

pub mod ancillary;
mod convert;
mod eighths;
pub mod frame;
mod message;
mod policy;
mod report;
pub mod seal;
mod settings;
mod table;

pub use convert::DocInvalid;
pub use message::{FromProxy, HealthDoc, Hello, PROTOCOL, ProxyHello, ToProxy, feature};
pub use policy::{BalanceDoc, PolicyDoc, ProbeDoc};
pub use report::{HealthReport, InFlightDoc, ReportDoc, SeriesDoc};
pub use seal::{SealBroken, SealedTable};
pub use settings::SettingsDoc;
pub use table::{
    FallbackDoc, HoldDoc, InstanceDoc, IntakeDoc, PinScopeDoc, PinsDoc, PoolDoc, RouteDoc, ServiceDoc, TableDoc,
    VersionDoc,
};
