//! Every serialised type: configuration files, API, proxy control protocol, journal records.

pub mod config;
