//! Every serialised type: configuration files, API, proxy control protocol, journal records.

pub mod api;
pub mod config;
pub mod control;
pub mod record;
