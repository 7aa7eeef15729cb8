//! The data plane: accept, HTTP/1.1, upstream connections, replay, hold, drain, control socket.
//!
//! Two halves that meet in one place: [`seam`] is what both know, `data` are the worker threads that serve requests, and
//! the control side talks to the controller.

pub mod data;
pub mod seam;
