//! Plain values of Gapless, valid by construction.
//!
//! Owns: ids, releases and their whole configuration, instances, weights, health, durations with a meaning.
//! Refuses to know: how any of them is written in a file or on a socket (`wire` converts), and every other crate.
//!
//! **Invariant M1**: a value that exists is valid; the only ways to make one check it (tests beside each type).
//! **Invariant M2**: no clock, no chance, no I/O; [`Tick`] is an argument wherever time matters.

mod amount;
mod hash_key;
mod hook;
mod id;
mod name;
mod probe;
mod release;
mod sources;
mod strategy;
mod template;
mod time;
mod traffic;

pub use amount::{Amount, Weight, WeightOutOfRange};
pub use hash_key::{FieldName, HashKey, HashKeyInvalid};
pub use hook::{Hook, HookPoint, HookPointInvalid};
pub use id::{
    ControllerId, ControllerIdInvalid, Digest, DigestInvalid, EffectNumber, Epoch, Generation, InstanceId,
    InstanceIdInvalid, ReleaseId, RolloutId, TableVersion, Term,
};
pub use name::{NameInvalid, ReleaseLabel, ServiceName};
pub use probe::{Health, Probe, ProbeKind, StatusRange};
pub use release::{Limits, LogLimits, Release, ReleaseSpec, Restart, RunSpec};
pub use sources::{EnvironmentFile, Presence, SecretSource, Sources};
pub use strategy::{Check, CheckKind, Order, SecondOrder, Strategy};
pub use template::{TemplateInvalid, expand, is_own_variable, is_variable};
pub use time::{Millis, Tick};
pub use traffic::{Balance, HoldLimits, Host, HostInvalid, PathPrefix, PathPrefixInvalid, Route, TrafficPolicy};
