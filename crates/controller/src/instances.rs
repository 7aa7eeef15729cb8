//! The instances that run on this machine, as the controller knows them from moment to moment. Nothing here is durable.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use gapless_drivers::driver::Resources;
use gapless_drivers::process::{NoPortFree, PortAllocator};
use gapless_model::{InstanceId, ReleaseId, ServiceName};
use gapless_wire::config::ServerConfig;
use tokio::task::AbortHandle;

/// The instances that run or are being started.
#[derive(Debug)]
pub struct Instances {
    ports: PortAllocator,
    members: BTreeMap<InstanceId, Running>,
    /// Why the last instance of a release was not started, until one is: one entry per release that has instances to start.
    not_started: BTreeMap<(ServiceName, ReleaseId), String>,
}

/// One of them.
#[derive(Debug, Default)]
pub struct Running {
    /// Its port; given before it starts.
    pub port: u16,
    /// Where it listens, once it was started.
    pub address: Option<SocketAddr>,
    /// Its main process.
    pub pid: Option<u32>,
    /// What it used when it was last asked, and how much of a core since the time before, in thousandths.
    pub resources: Option<(Resources, u32)>,
    prober: Option<AbortHandle>,
}

impl Instances {
    /// Nobody yet.
    #[must_use]
    pub fn new(config: &ServerConfig) -> Instances {
        let ports = config.instance_ports;
        Instances {
            ports: PortAllocator::new(ports.first..=ports.last, None),
            members: BTreeMap::new(),
            not_started: BTreeMap::new(),
        }
    }

    /// The port of an instance: the one it has, or a free one.
    ///
    /// # Errors
    /// [`NoPortFree`].
    pub fn port(&mut self, instance: &InstanceId) -> Result<u16, NoPortFree> {
        if let Some(running) = self.members.get(instance) {
            return Ok(running.port);
        }
        let in_use: BTreeSet<u16> = self.members.values().map(|running| running.port).collect();
        let port = self.ports.allocate(&in_use)?;
        self.members.insert(instance.clone(), Running { port, ..Running::default() });
        Ok(port)
    }

    /// An instance was started, or found again.
    pub fn started(&mut self, instance: &InstanceId, address: SocketAddr, pid: Option<u32>) {
        let running = self.members.entry(instance.clone()).or_default();
        running.port = address.port();
        running.address = Some(address);
        running.pid = pid;
        self.not_started.remove(&(instance.service.clone(), instance.release));
    }

    /// An instance could not be started.
    pub fn not_started(&mut self, instance: &InstanceId, reason: String) {
        self.gone(instance);
        // Older releases are not started again: what was wrong with them is in their rollouts' history.
        self.not_started.retain(|(service, _), _| *service != instance.service);
        self.not_started.insert((instance.service.clone(), instance.release), reason);
    }

    /// Why the last instance of a release was not started, where none has been since.
    #[must_use]
    pub fn why_not_started(&self, service: &ServiceName, release: ReleaseId) -> Option<&str> {
        self.not_started.get(&(service.clone(), release)).map(String::as_str)
    }

    /// Somebody asks for its health from now on; who did so before, no more.
    pub fn probed(&mut self, instance: &InstanceId, prober: AbortHandle) {
        match self.members.get_mut(instance) {
            Some(running) => {
                if let Some(before) = running.prober.replace(prober) {
                    before.abort();
                }
            }
            None => prober.abort(),
        }
    }

    /// Nobody asks for its health any more: it is meant to end.
    pub fn unprobed(&mut self, instance: &InstanceId) {
        if let Some(prober) = self.members.get_mut(instance).and_then(|running| running.prober.take()) {
            prober.abort();
        }
    }

    /// An instance is gone.
    pub fn gone(&mut self, instance: &InstanceId) {
        self.unprobed(instance);
        self.members.remove(instance);
    }

    /// One of them.
    #[must_use]
    pub fn get(&self, instance: &InstanceId) -> Option<&Running> {
        self.members.get(instance)
    }

    /// What an instance uses.
    pub fn used(&mut self, instance: &InstanceId, resources: Resources, since: std::time::Duration) {
        if let Some(running) = self.members.get_mut(instance) {
            let before = running.resources.map_or(resources.cpu_us, |(before, _)| before.cpu_us);
            let elapsed_us = u64::try_from(since.as_micros()).unwrap_or(u64::MAX).max(1);
            let milli = resources.cpu_us.saturating_sub(before).saturating_mul(1_000) / elapsed_us;
            running.resources = Some((resources, u32::try_from(milli).unwrap_or(u32::MAX)));
        }
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (&InstanceId, &Running)> {
        self.members.iter()
    }
}
