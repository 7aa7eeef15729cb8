//! A rolling deploy as a script does it: start one, wait until it is healthy, tell the load balancer, stop one.

use std::net::SocketAddr;
use std::path::Path;

use super::service::{Instance, Service, await_serving};
use super::{Deployer, INSTANCES};
use crate::bench::peers::{Change, Peer, Place};
use crate::bench::process::Group;

pub struct ByScript {
    peer: Box<dyn Peer>,
    place: Place,
    group: Group,
    service: Service,
    instances: Vec<Instance>,
}

impl ByScript {
    /// Starts the first release's instances and the load balancer before them.
    pub fn start(peer: Box<dyn Peer>, program: &Path, folder: &Path, seen: &Path) -> anyhow::Result<Self> {
        let service = Service { program: program.to_owned(), folder: folder.to_owned(), seen: seen.to_owned() };
        let started: anyhow::Result<Vec<Instance>> = (0..INSTANCES).map(|_| service.start("0")).collect();
        let instances = started?;
        instances.iter().try_for_each(Instance::await_healthy)?;
        let place = Place::below(folder, peer.name(), None)?;
        let ports: Vec<u16> = instances.iter().map(|instance| instance.port).collect();
        let group = peer.start(&place, &ports)?;
        await_serving(place.listen, &place.log())?;
        Ok(Self { peer, place, group, service, instances })
    }
}

impl Deployer for ByScript {
    fn name(&self) -> &'static str {
        self.peer.name()
    }

    fn way(&self) -> String {
        self.peer.way().to_owned()
    }

    fn listen(&self) -> SocketAddr {
        self.place.listen
    }

    fn deploy(&mut self, round: u16) -> anyhow::Result<()> {
        for slot in 0..INSTANCES {
            let new = self.service.start(&round.to_string())?;
            new.await_healthy()?;
            let old = std::mem::replace(&mut self.instances[slot], new);
            let ports: Vec<u16> = self.instances.iter().map(|instance| instance.port).collect();
            let change = Change { old: old.port, new: ports[slot], instances: &ports };
            self.peer.replace(&self.place, &self.group, &change)?;
            old.stop()?;
        }
        Ok(())
    }
}
