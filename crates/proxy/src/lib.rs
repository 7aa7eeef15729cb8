//! The data plane: accept, HTTP/1.1, upstream connections, replay, hold, drain, control socket.
//!
//! Two halves that meet in one place: [`seam`] is what both know, `data` are the worker threads that serve requests, and
//! [`control`] talks to the controller.
//! [`run`] is the whole process.

pub mod control;
pub mod data;
pub mod seam;

pub use control::{Confinement, Mode, Options, RunFailed, confine, run};
