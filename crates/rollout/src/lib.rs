//! The pure service machine: [`step`] decides what happens next to a service.
//!
//! Owns: when instances are started, put in load, taken out of it and stopped; rollouts, rollbacks and self-healing; the
//! explanation of each decision. Refuses to know: clocks, sockets, processes, files, chance. Time and ids are arguments,
//! inputs are past facts, effects are orders that somebody else makes durable and performs.

mod effect;
mod input;
mod phase_name;
mod plan;
mod refused;
mod report;
mod service;
mod step;
mod timeline;

pub use effect::{Admission, Cause, Effect, Intent, Member, NoticeLevel, Outcome, Pool, PoolKind, ServiceRoutes};
pub use input::{DeployOrder, Input, Origin, RollbackOrder};
pub use phase_name::PhaseName;
pub use plan::{Plan, PlannedPhase, plan};
pub use refused::{Refusal, Refused};
pub use report::{
    Awaited, BatchReport, InstanceReport, InstanceState, LoadState, NextDeadline, ReleaseReport, Report, Role,
    RolloutReport, SituationReport, Then, TimeToRollBack, Wait,
};
pub use service::Service;
pub use step::{Change, Step, step};
pub use timeline::{Action, Entry, LiveShare};
