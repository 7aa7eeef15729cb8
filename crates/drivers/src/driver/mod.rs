//! What runs instances, whatever it runs them as: one trait, one conformance suite.
//!
//! A driver performs orders and tells what happened; it decides nothing. Every order may come again, after a crash of whoever gave it, and equals
//! then the order performed once. The process driver ([`ProcessDriver`](crate::process::ProcessDriver)) is the first, the [fake](FakeMachine) for
//! tests and simulations the second; [`conformance`] is what both of them, and every later one, have to do.
//!
//! **Invariant D6**: an order of an older term than an instance has seen is refused (conformance).
//! **Invariant D7**: the end of an instance is told once: as the answer to the order that ended it, or as an event (conformance).

pub mod conformance;
mod exit;
mod fake;
mod order;

use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;

use gapless_model::{InstanceId, Millis};

use crate::logs::{LogError, LogLine, LogSelector};

pub use exit::{Exit, ExitCause};
pub use fake::{FakeDriver, FakeMachine};
pub use order::{
    Adopted, AdoptedState, DriverError, ExecDone, ExecOrder, Fence, InstanceEvent, Listener, NotEnforced, Resources,
    StartError, StartOrder, Started,
};

/// What an order is answered, when it was performed. Boxed, so that a controller can hold drivers of several kinds.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Whether a driver can do something.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Support {
    /// It can.
    Yes,
    /// It cannot, and says so where it is asked to.
    No,
}

/// Who says where an instance listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Addresses {
    /// The order names a port, which the instance is to listen on.
    Ordered,
    /// The driver: the port of an order says nothing.
    Driver,
}

/// What a driver can do, as data: whoever plans asks this instead of trying.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Capabilities {
    /// Its name, for people: `process`.
    pub kind: &'static str,
    /// Who says where an instance listens. [`Started::address`] and [`Adopted::address`] hold in either case.
    pub addresses: Addresses,
    /// [`Driver::exec`].
    pub exec: Support,
    /// [`Driver::resources`].
    pub resources: Support,
    /// [`Driver::listener`].
    pub listener: Support,
}

/// Runs instances. The channel of [`InstanceEvent`]s belongs to the making of a driver: what happens to an instance unasked, at most one event each.
pub trait Driver: fmt::Debug + Send + Sync {
    /// What it can do.
    fn capabilities(&self) -> Capabilities;

    /// Finds what runs from before. Called once, before any other order; what it answers as ended is no event.
    ///
    /// # Errors
    /// [`DriverError`] when it cannot be told what runs.
    fn observe(&self) -> Answer<'_, Result<Vec<Adopted>, DriverError>>;

    /// Starts an instance, or answers how it was started when it was already (then its end, if it has come, is an event).
    ///
    /// # Errors
    /// [`StartError`]; the same again for the same order.
    fn start(&self, order: StartOrder) -> Answer<'_, Result<Started, StartError>>;

    /// Asks an instance to end, and ends all of it after `grace`. Answers when nothing is left of it; at once when it was so already. Where it
    /// ends by itself at this very moment, the answer and an event may both tell of it.
    ///
    /// # Errors
    /// [`DriverError::Unknown`] when there is no such instance (any more).
    fn stop<'a>(&'a self, instance: &'a InstanceId, grace: Millis) -> Answer<'a, Result<Exit, DriverError>>;

    /// Ends an instance at once.
    ///
    /// # Errors
    /// As [`Driver::stop`].
    fn kill<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<Exit, DriverError>>;

    /// Forgets an instance that has ended; what it wrote stays for a while. Nothing where there is none.
    ///
    /// # Errors
    /// [`DriverError::Running`] when it runs.
    fn forget<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<(), DriverError>>;

    /// What an instance uses now; nothing when it has ended.
    ///
    /// # Errors
    /// [`DriverError::Unknown`], [`DriverError::Unsupported`].
    fn resources<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<Resources, DriverError>>;

    /// Who listens at the address of an instance; [`Listener::Unknown`] where that cannot be told.
    fn listener<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Listener>;

    /// The addresses at which the processes of an instance listen (TCP), wherever they were told to; none where that cannot be told.
    fn listening<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Option<Vec<SocketAddr>>>;

    /// Runs a command beside an instance that runs: in its folder, with its environment, as its user. Not within its limits.
    ///
    /// # Errors
    /// [`DriverError::Unknown`], [`DriverError::NotRunning`], [`DriverError::Unsupported`], and [`DriverError::Exec`] where it could not be run.
    fn exec<'a>(&'a self, instance: &'a InstanceId, order: ExecOrder) -> Answer<'a, Result<ExecDone, DriverError>>;

    /// The last lines that instances wrote, oldest first.
    ///
    /// # Errors
    /// [`LogError`].
    fn logs(&self, selector: LogSelector) -> Answer<'_, Result<Vec<LogLine>, LogError>>;
}
