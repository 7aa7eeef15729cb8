//! The process driver: instances as processes of this machine, each under a keeper; the controller's side of it.

mod access;
mod address;
mod as_driver;
mod driver;
mod environment;
mod exec;
#[cfg(test)]
pub(crate) mod fixture;
mod launch;
mod link;
mod listener;
mod ports;
mod remains;
mod sockets;

pub(crate) use address::instance_address;
pub use driver::ProcessDriver;
pub(crate) use environment::of_machine;
pub use ports::{NoPortFree, PortAllocator};
pub use remains::{Remains, RemainsLife, remains};
