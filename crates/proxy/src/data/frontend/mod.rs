//! Connections of clients: what they are between requests, after the last one, and where no request is one.

pub(crate) mod answer;
pub(crate) mod client;
pub(crate) mod lingering;
pub(crate) mod refused;
pub(crate) mod waiting;
