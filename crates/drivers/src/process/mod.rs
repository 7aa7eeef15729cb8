//! The controller's side of running processes: start, adopt, stop, watch.

mod driver;
mod exit;
mod order;
mod ports;

pub use driver::ProcessDriver;
pub use exit::{Exit, ExitCause};
pub use order::{Adopted, AdoptedState, DriverError, Fence, InstanceEvent, Resources, StartError, StartOrder, Started};
pub use ports::{NoPortFree, PortAllocator};
