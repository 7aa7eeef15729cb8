//! The pure service machine: [`step`] decides what happens next to a service.
//!
//! Owns: when instances are started, put in load, taken out of it and stopped; rollouts, rollbacks and self-healing; the
//! explanation of each decision. Refuses to know: clocks, sockets, processes, files, chance. Time and ids are arguments,
//! inputs are past facts, effects are orders that somebody else makes durable and performs.
//!
//! How a step works: the input is taken as a fact or an order; the rollout moves to its next phase as often as its gates allow;
//! then the fleet is settled: what the situation wants is compared with what is there, and the difference is ordered. Phases
//! only say what they want. Starts, tables and stops are ordered in one place, under the permits of the floor and the drain.

mod deadline;
mod effect;
mod explain;
mod facts;
mod healing;
mod input;
mod instance;
mod orders;
mod phase_name;
mod plan;
mod planted;
mod refused;
mod report;
mod report_text;
mod rollout;
mod service;
mod settle;
mod step;
mod table;
mod timeline;
mod turn;
mod want;

pub use effect::{Admission, Cause, Effect, Intent, Member, NoticeLevel, Outcome, Pool, PoolKind, ServiceRoutes};
pub use facts::START_FAILURES_MAX;
pub use input::{DeployOrder, Input, Origin, RollbackOrder};
pub use instance::{Drain, Instance, Life, Listing};
pub use phase_name::PhaseName;
pub use plan::{Plan, PlannedPhase, plan};
pub use planted::PlantedBug;
pub use refused::{Refusal, Refused};
pub use report::{
    Awaited, BatchReport, InstanceReport, InstanceState, LoadState, NextDeadline, ReleaseReport, Report, Role,
    RolloutReport, SituationReport, Then, TimeToRollBack, Wait,
};
pub use rollout::advance::{APPLY_TIMEOUT, STOP_SLACK};
pub use service::Service;
pub use step::{Change, Step, step};
pub use timeline::{Action, Entry, LiveShare};
