//! The process driver behind the trait of all drivers.

use std::net::SocketAddr;

use gapless_model::{InstanceId, Millis};
use tokio::task::spawn_blocking;

use super::ProcessDriver;
use crate::driver::{
    Addresses, Adopted, Answer, Capabilities, Driver, DriverError, ExecDone, ExecOrder, Exit, Listener, Resources,
    StartError, StartOrder, Started, Support,
};
use crate::logs::{LogError, LogLine, LogSelector};

impl Driver for ProcessDriver {
    fn capabilities(&self) -> Capabilities {
        Capabilities {
            kind: "process",
            addresses: Addresses::Ordered,
            exec: Support::Yes,
            resources: Support::Yes,
            listener: Support::Yes,
        }
    }

    fn observe(&self) -> Answer<'_, Result<Vec<Adopted>, DriverError>> {
        Box::pin(self.adopt())
    }

    fn start(&self, order: StartOrder) -> Answer<'_, Result<Started, StartError>> {
        Box::pin(self.start(order))
    }

    fn stop<'a>(&'a self, instance: &'a InstanceId, grace: Millis) -> Answer<'a, Result<Exit, DriverError>> {
        Box::pin(self.stop(instance, grace))
    }

    fn kill<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<Exit, DriverError>> {
        Box::pin(self.kill(instance))
    }

    fn forget<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<(), DriverError>> {
        Box::pin(self.forget(instance))
    }

    fn resources<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Result<Resources, DriverError>> {
        Box::pin(self.resources(instance))
    }

    fn listening<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Option<Vec<SocketAddr>>> {
        Box::pin(self.listening(instance))
    }

    fn listener<'a>(&'a self, instance: &'a InstanceId) -> Answer<'a, Listener> {
        Box::pin(self.listener(instance))
    }

    fn exec<'a>(&'a self, instance: &'a InstanceId, order: ExecOrder) -> Answer<'a, Result<ExecDone, DriverError>> {
        Box::pin(self.exec(instance, order))
    }

    fn logs(&self, selector: LogSelector) -> Answer<'_, Result<Vec<LogLine>, LogError>> {
        let logs = self.logs();
        Box::pin(async move {
            match spawn_blocking(move || logs.read(&selector)).await {
                Ok(read) => read,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is being shut down: nobody reads what this would answer.
                    Err(_) => Ok(Vec::new()),
                },
            }
        })
    }
}
