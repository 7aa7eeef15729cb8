//! Effects made real: artefacts unpacked, processes run under their keepers, checks done.
//!
//! Owns: what an order means on this machine. Refuses to know: why anything is ordered; every decision is the caller's.
//!
//! - [`artefact`]: a folder or archive becomes an immutable release folder named by the digest of its content.
//! - [`driver`]: what runs instances, as a trait with a conformance suite, and a fake of it.
//! - [`process`]: the driver of processes of this machine, the controller's side.
//! - [`keeper`]: the other side: the small parent process of one instance, which outlives the controller.
//! - [`logs`]: what instances write, kept in bounded files.
//! - [`proxylink`]: the controller's hand on a proxy: its process, its control socket, the listening sockets.
//! - [`sources`]: variables and secrets that are read at each start of an instance.
//! - [`state_folder`]: whether a state folder is the controller's own.
//! - [`whole_file`]: a file written whole and durably, or not at all.
//! - [`talk`]: what a long-running process says, so that saying can fail nothing.
//! - [`groups`]: who is in which group of the system.
//! - [`check`]: asking a candidate how it is.
//!
//! **Invariant D1**: an order performed twice equals the order performed once (`tests/process.rs`).
//! **Invariant D2**: no process is signalled on the word of a number alone: pids are compared with their start time, and signalled
//! through a pidfd (`sys`, `keeper::tree`).
//! **Invariant D3**: what ends is ended whole: the process tree of an instance is empty before its end is reported, or [`process`] was patient
//! for five seconds (`keeper::state`; `tests/faults.rs`).
//! **Invariant D4**: nothing of an artefact is visible under its digest before all of it is durable (`tests/artefact.rs`).
//! **Invariant D5**: an instance is never blocked by its log: not by long lines, not by a full disk
//! (`tests/faults.rs`).

pub mod artefact;
pub mod check;
pub mod driver;
pub mod groups;
pub mod keeper;
pub mod logs;
pub mod process;
pub mod proxylink;
pub mod sources;
pub mod state_folder;
mod sys;
pub mod talk;
pub mod whole_file;
