//! The pure verdict: sequential tests, log templates, evidence.

pub mod logs;
