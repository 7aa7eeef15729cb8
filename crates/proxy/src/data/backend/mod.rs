//! Connections to instances, and what one thread knows of those.

pub(crate) mod connections;
pub(crate) mod idle;
pub(crate) mod instances;
pub(crate) mod upstream;
