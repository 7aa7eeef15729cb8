//! The pure service machine: [`step()`] decides what happens next to a service.
//!
//! Owns: when instances are started, put in load, taken out of it and stopped; rollouts, rollbacks and self-healing; the
//! explanation of each decision. Refuses to know: clocks, sockets, processes, files, chance. Time and ids are arguments,
//! inputs are past facts, effects are orders that somebody else makes durable and performs.
//!
//! How a step works: the input is taken as a fact or an order; the rollout moves to its next phase as often as its gates allow;
//! then the fleet is reconciled: the desired state is compared with what is there, and the difference is ordered. Phases
//! only say what they want. Starts, tables and stops are ordered in one place, under the permits of the floor and the drain.
//!
//! The invariants (numbers of the design), and where they are held and tested. Tests in crate `sim` check each after every event.
//!
//! **I1, I2**: an instance leaves load only as far as the floor allows (`table::listed`), and is stopped only when every proxy uses a table
//! without it and its requests have ended or had their time (`Instance::stop_permit`, `sim/tests/planted.rs`).
//! **I4**: one rollout at most, by the type of the situation; an order that comes meanwhile waits, is refused or supersedes.
//! Every order that is taken gets a number or a rollout it is about ([`Step::placed`]), and exactly one end
//! (`Transition::end`, `tests/properties.rs`).
//! **I6**: effects are numbered; those without an outcome are repeated under their numbers when a controller takes over
//! (`Transition::repeat_orders`, `sim/tests/crash.rs`).
//! What another edition of the machine decided is replayed as it was recorded ([`follow`], `controller/tests/editions.rs`).
//! **I8**: a pool becomes empty only when every instance is known to have ended; then requests are held.
//! **I9**: what is kept is said completely each time (`Service::needed_releases`).
//! **I10**: what was observed before a controller took over is observed again (`Transition::prove_again`, `Transition::watch_again`).
//! **I11**: the candidate leaves load on the way back only with a proof that the release before is ready in full
//! (`Service::way_back_proven`); there is no automatic way out of a way back.
//! **L2**: each phase and each stage of the way back has a deadline and a default action (`rollout::compiled::Late`).
//!
//! What a candidate may do: exit or fail to start before it is ready, fewer than [`START_FAILURES_MAX`] times per batch. An exit or bad
//! health in load or under test turns the rollout back, and so does one that fails far more of its clients than the release before ([`ErrorCounts`]). Instances of the release before are healed throughout and fail nothing.
//! An unhealthy instance leaves load while others are ready, and stays while it is all there is.

mod deadline;
mod desired;
mod effect;
mod errors;
mod explain;
mod facts;
mod healing;
mod input;
mod instance;
mod instances;
mod one_off;
mod orders;
mod phase_name;
mod placed;
mod plan;
mod planted;
mod reconcile;
mod recorded;
mod refused;
mod report;
mod report_text;
mod rest;
mod rollout;
mod service;
mod step;
mod table;
mod timeline;
mod transition;

pub use effect::{Admission, Cause, Effect, Intent, Member, NoticeLevel, Outcome, Pool, PoolKind, ServiceRoutes};
pub use errors::{ErrorCounts, Failing, OVERDUE_AFTER, Reference, Tally};
pub use facts::START_FAILURES_MAX;
pub use healing::CRASH_LOOP_FROM;
pub use input::{AdjustOrder, Adjustment, DeployOrder, EndedBy, Input, Origin, RollbackOrder};
pub use instance::{Drain, Instance, Life, Listing};
pub use one_off::{OneOff, OneOffEnd, OneOffKind};
pub use phase_name::PhaseName;
pub use placed::{OwnOrder, Place, Placed};
pub use plan::{Plan, PlannedPhase, plan, plan_adjustment, plan_restart};
pub use planted::PlantedBug;
pub use recorded::{EDITION, Recorded, RecordedEnd, RecordedIntent, follow};
pub use refused::{Refusal, Refused};
pub use report::{
    Awaited, BatchReport, InstanceReport, InstanceState, LoadState, NextDeadline, ReleaseReport, Report, Role,
    RolloutReport, SituationReport, Then, TimeToRollBack, Wait,
};
pub use rest::{AtRest, RestInvalid, RestingBackoff};
pub use rollout::advance::{APPLY_TIMEOUT, STOP_SLACK};
pub use service::{Exposure, Service};
pub use step::{Change, Step, step};
pub use timeline::{Action, Entry, LiveShare};
