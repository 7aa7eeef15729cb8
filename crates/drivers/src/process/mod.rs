//! The controller's side of running processes: start, adopt, stop, watch.

mod access;
mod driver;
mod environment;
mod exit;
#[cfg(test)]
mod fixture;
mod launch;
mod link;
mod listener;
mod order;
mod ports;
mod remains;
mod sockets;

pub use driver::ProcessDriver;
pub(crate) use environment::of_machine;
pub use exit::{Exit, ExitCause};
pub use listener::Listener;
pub use order::{
    Adopted, AdoptedState, DriverError, Fence, InstanceEvent, NotEnforced, Resources, StartError, StartOrder, Started,
    instance_address,
};
pub use ports::{NoPortFree, PortAllocator};
pub use remains::{Remains, RemainsLife, remains};
