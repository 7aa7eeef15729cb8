//! The control plane: collect inputs, step, journal, perform; the API.
//!
//! Owns: the loop around the pure fleet, and everything it takes to be found again after a crash. Refuses to know: what follows from what
//! (`fleet`), how a rollout is decided (`rollout`), how a request is routed (`routing`, `proxy`), how a process is run (`drivers`), how bytes are written (`wire`).
//!
//! - `performer`, `prober`, `proxies`: effects made real; each outcome comes back as a fact.
//! - `api`: what people and programs ask and order.
//! - [`repair`]: what is done to a journal while no controller runs: a copy restored, a journal rebuilt from what runs.
//! - `standstill`: what goes on when the journal has failed, without deciding anything.
//! - `take_up`: what has to be known before a term begins.
//! - [`start`](mod@start): from nothing, or from what an earlier controller left running, to all of this.

mod adjust;
mod api;
mod clock;
mod crash_point;
mod deploy;
mod down;
mod happened;
mod identity;
mod instances;
pub mod leftovers;
mod logs;
mod manifest;
mod membership;
mod notices;
mod one_off;
mod performer;
mod preview_key;
mod prober;
mod proxies;
mod rebuild;
pub mod repair;
mod shared;
mod standstill;
pub mod start;
mod start_order;
mod survey;
mod take_up;
mod wall;

pub use api::SOCKET as API_SOCKET;
pub use crash_point::CRASH_AT_ENV;
pub use shared::End;
pub use start::{Options, StartFailed, run};
