//! The state of the control side, and what each order does to it. Knows the worker threads and the disk, not the controller.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use gapless_drivers::proxylink::Listening;
use gapless_model::{Health, InstanceId, TableVersion, Term};
use gapless_routing::{Registry, Slot, Table, TableInvalid, TableSpec};
use gapless_wire::control::{ReportDoc, SealBroken, SealedTable, SettingsDoc};

use super::access_log::AccessLog;
use super::fence::{Admission, Fence, Stale};
use super::keeping::{Keeping, Kept};
use super::report::{Books, Seen};
use super::store::Found;
use crate::data::{DataPlane, Settings};
use crate::seam::{Command, Event};

/// Listening sockets of one proxy: far more than addresses times threads.
const LISTENERS_MAX: usize = 1_024;

/// What the control side knows.
#[derive(Debug)]
pub(super) struct Station {
    pub(super) plane: DataPlane,
    pub(super) registry: Registry,
    pub(super) started: Instant,
    pub(super) books: Books,
    /// The health of instances by the probes, and on how many threads they are ejected.
    pub(super) health: BTreeMap<InstanceId, (Health, u32)>,
    pub(super) listeners: Vec<Listening>,
    table: Option<Arc<Table>>,
    fence: Fence,
    /// None for a proxy that keeps nothing: one without a controller, and one that leaves, whose files are another's now.
    keeping: Option<Keeping>,
    settings: Settings,
    access_log: Option<AccessLog>,
    /// What could not be done before the start.
    troubles: Vec<String>,
    /// The newest version that every thread was seen to use.
    acknowledged: Option<TableVersion>,
}

/// Why a table was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refused {
    #[error(transparent)]
    Stale(#[from] Stale),
    #[error(transparent)]
    Seal(#[from] SealBroken),
    #[error(transparent)]
    Invalid(#[from] TableInvalid),
}

/// Why a listening socket was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum ListenerRefused {
    #[error("{0:?} is no address")]
    Address(String),
    #[error("the socket named {named} listens at {found}")]
    Elsewhere { named: String, found: String },
    #[error("more than {LISTENERS_MAX} listening sockets")]
    TooMany,
    #[error("the listening socket cannot be used: {0}")]
    Io(#[from] io::Error),
}

/// What a station begins with beside its threads.
#[derive(Debug)]
pub(super) struct Equipment {
    pub(super) keeping: Option<Keeping>,
    pub(super) settings: Settings,
    pub(super) access_log: Option<AccessLog>,
    pub(super) troubles: Vec<String>,
}

impl Station {
    pub(super) fn new(plane: DataPlane, equipment: Equipment) -> Station {
        let Equipment { keeping, settings, access_log, troubles } = equipment;
        Station {
            plane,
            registry: Registry::new(),
            started: Instant::now(),
            books: Books::default(),
            health: BTreeMap::new(),
            listeners: Vec::new(),
            table: None,
            fence: Fence::default(),
            keeping,
            settings,
            access_log,
            troubles,
            acknowledged: None,
        }
    }

    /// The table that was handed to the threads last.
    pub(super) fn table(&self) -> Option<&Arc<Table>> {
        self.table.as_ref()
    }

    /// A controller introduces itself.
    ///
    /// # Errors
    /// The term that is obeyed, when it is an older one or another controller's.
    pub(super) fn admit(&mut self, term: Term) -> Result<(), Term> {
        self.fence.controller(term)
    }

    /// Begins with the table that was kept, if there is one. What was damaged is returned for an operator to hear.
    pub(super) fn restore(&mut self, found: Found) -> Vec<String> {
        let mut damage = found.damage;
        if let Some(kept) = found.table {
            match self.build(&kept.spec) {
                Ok(table) => {
                    self.fence = Fence::after(kept.spec.version, kept.controller);
                    self.install(table);
                }
                Err(error) => damage.push(format!("the kept table cannot be used: {error}")),
            }
        }
        damage
    }

    /// Begins with a table that nobody versions or keeps.
    ///
    /// # Errors
    /// [`TableInvalid`].
    pub(super) fn begin(&mut self, spec: &TableSpec) -> Result<(), TableInvalid> {
        let table = self.build(spec)?;
        self.install(table);
        Ok(())
    }

    /// Takes a table of the controller: checks it, has it kept, hands it to every thread. A table that cannot be kept on disk is used all
    /// the same: serving the newest matters more than finding it again.
    ///
    /// # Errors
    /// [`Refused`]; the table before stays.
    pub(super) fn take(&mut self, sealed: &SealedTable) -> Result<Admission, Refused> {
        let spec = sealed.open()?;
        let admission = self.fence.table(spec.version)?;
        if admission == Admission::Again {
            return Ok(admission);
        }
        let table = self.build(&spec)?;
        if let Some(keeping) = &mut self.keeping {
            keeping.keep(spec.version, sealed);
        }
        self.fence.taken(spec.version);
        self.install(table);
        Ok(admission)
    }

    /// News of what became of a table on the disk. Answers what an operator should hear.
    pub(super) fn kept(&mut self, kept: Kept) -> Option<String> {
        self.keeping.as_mut().and_then(|keeping| keeping.heard(kept))
    }

    /// Keeps no table any more: the files are another proxy's from now on.
    pub(super) fn keep_nothing(&mut self) {
        self.keeping = None;
    }

    /// Has every thread go by these settings. Answers what an operator should hear.
    pub(super) fn set(&mut self, doc: &SettingsDoc) -> Option<String> {
        self.settings = self.settings.with(doc);
        let mut trouble = None;
        if let Some(path) = &doc.access_log {
            let wanted = Some(Path::new(path)).filter(|path| !path.as_os_str().is_empty());
            if self.access_log.as_ref().map(|log| log.path.as_path()) != wanted {
                match wanted.map(AccessLog::start).transpose() {
                    Ok(log) => self.access_log = log,
                    Err(error) => trouble = Some(format!("the access log stays as it was: {error}")),
                }
            }
        }
        self.plane.set(self.settings.clone(), self.access_log.as_ref().map(|log| &log.records));
        trouble
    }

    /// A report of now, with what changed since the last one on this connection.
    pub(super) fn report(&mut self) -> ReportDoc {
        let (applied, troubles, uptime) = (self.acknowledgeable(), self.troubles(), self.started.elapsed());
        let Self { registry, plane, health, .. } = self;
        self.books.report(Seen { applied, registry, plane, health, uptime, troubles })
    }

    /// What is not as it should be though the proxy serves.
    pub(super) fn troubles(&self) -> Vec<String> {
        let kept = self.keeping.as_ref().and_then(Keeping::trouble);
        let logged = self.access_log.as_ref().and_then(AccessLog::trouble);
        let dropped = gapless_drivers::talk::dropped();
        let said = (dropped > 0).then(|| format!("{dropped} lines of its log could not be written"));
        self.troubles.iter().cloned().chain(kept).chain(logged).chain(said).collect()
    }

    /// Builds a table; where counts ran out of room, those of releases that are gone make way.
    fn build(&mut self, spec: &TableSpec) -> Result<Table, TableInvalid> {
        let now = self.plane.now();
        match Table::build(spec, &mut self.registry, now) {
            Err(TableInvalid::TooManySeries { .. }) => {
                self.retire_series();
                Table::build(spec, &mut self.registry, now)
            }
            built => built,
        }
    }

    fn install(&mut self, table: Table) {
        let table = Arc::new(table);
        self.plane.install(&table);
        let first = self.table.replace(table).is_none();
        if first {
            self.listen_again(); // until now connections waited in the sockets' queues
        }
    }

    /// The version that every thread uses, when that is news.
    pub(super) fn newly_acknowledged(&mut self) -> Option<TableVersion> {
        let applied = self.acknowledgeable()?;
        (self.acknowledged.replace(applied) != Some(applied)).then_some(applied)
    }

    /// The version that may be told as applied: every thread uses it, and the disk has it or has had its time.
    pub(super) fn acknowledgeable(&self) -> Option<TableVersion> {
        let applied = self.plane.applied()?;
        let lets = self.keeping.as_ref().is_none_or(|keeping| keeping.lets_acknowledge(applied));
        if lets { Some(applied) } else { self.acknowledged }
    }

    /// The newest version that every thread was seen to use.
    pub(super) fn acknowledged(&self) -> Option<TableVersion> {
        self.acknowledged
    }

    /// Whether something is due soon: a table that not every thread uses, an instance that drains.
    pub(super) fn expects_news(&self) -> bool {
        let handed = self.table.as_ref().map(|table| table.version());
        handed != self.acknowledged || self.leaving().next().is_some()
    }

    /// The instances that are in no table any more and still have their slots.
    fn leaving(&self) -> impl Iterator<Item = (Slot, &InstanceId)> {
        let present: BTreeSet<Slot> =
            self.table.iter().flat_map(|table| table.instances()).map(|instance| instance.slot).collect();
        self.registry
            .instances()
            .filter(move |(slot, _, _)| !present.contains(slot))
            .map(|(slot, instance, _)| (slot, instance))
    }

    /// Gives back the slots of the instances that have drained, and returns them. Only what every thread routes without counts, and it
    /// counts for good: no thread sends anything there again.
    pub(super) fn take_drained(&mut self) -> Vec<InstanceId> {
        let handed = self.table.as_ref().map(|table| table.version());
        if handed.is_none() || self.plane.applied() != handed {
            return Vec::new();
        }
        let mut slots: BTreeMap<InstanceId, u64> = BTreeMap::new();
        for (slot, instance) in self.leaving() {
            *slots.entry(instance.clone()).or_default() += self.plane.in_flight_on(slot.index());
        }
        let returned = |instance: &InstanceId| {
            self.table.iter().flat_map(|table| table.instances()).any(|present| present.id == *instance)
        };
        let drained: Vec<InstanceId> =
            slots.into_iter().filter(|(id, count)| *count == 0 && !returned(id)).map(|(id, _)| id).collect();
        for instance in &drained {
            self.registry.retire_instance(instance);
            self.health.remove(instance);
        }
        drained
    }

    /// Gives back the series of releases that are in no table and have no instance left.
    fn retire_series(&mut self) {
        let alive: BTreeSet<_> = self
            .registry
            .instances()
            .map(|(_, instance, _)| (instance.service.clone(), Some(instance.release)))
            .chain(self.table.iter().flat_map(|table| table.services()).flat_map(|service| {
                let releases = service.pools().iter().map(|pool| Some(pool.release()));
                releases.chain([None]).map(|release| (service.name().clone(), release))
            }))
            .collect();
        let gone: Vec<_> = self
            .registry
            .series()
            .filter(|(_, key)| !alive.contains(&(key.service.clone(), key.release)))
            .map(|(_, key)| key.clone())
            .collect();
        for key in gone {
            if let Some(series) = self.registry.retire_series(&key) {
                self.books.close(series, &key, &self.plane);
            }
        }
    }

    /// Takes a listening socket by its name. One that is held already (lent twice) is dropped.
    ///
    /// # Errors
    /// [`ListenerRefused`].
    pub(super) fn lend(&mut self, named: &str, descriptor: OwnedFd) -> Result<(), ListenerRefused> {
        let address = named.parse().map_err(|_| ListenerRefused::Address(named.into()))?;
        let socket = TcpListener::from(descriptor);
        let found = socket.local_addr()?;
        if found != address {
            return Err(ListenerRefused::Elsewhere { named: named.into(), found: found.to_string() });
        }
        if self.listeners.len() >= LISTENERS_MAX {
            return Err(ListenerRefused::TooMany);
        }
        let cookie = |socket: &TcpListener| rustix::net::sockopt::socket_cookie(socket).map_err(io::Error::from);
        let ours = cookie(&socket)?;
        for held in &self.listeners {
            if cookie(&held.socket)? == ours {
                return Ok(());
            }
        }
        let earlier = self.listeners.iter().filter(|held| held.address == address).count();
        if self.table.is_some() {
            self.plane.listen(earlier, socket.try_clone()?);
        }
        self.listeners.push(Listening { address, socket });
        Ok(())
    }

    /// Closes the listening sockets of these addresses.
    pub(super) fn close_listeners(&mut self, addresses: &[String]) {
        self.listeners.retain(|held| !addresses.contains(&held.address.to_string()));
        self.plane.post_all(|| Command::StopListening);
        if self.table.is_some() {
            self.listen_again();
        }
    }

    /// Has the threads accept from every socket: the sockets of one address in turn over the threads.
    fn listen_again(&self) {
        for (index, held) in self.listeners.iter().enumerate() {
            let earlier = self.listeners[..index].iter().filter(|other| other.address == held.address).count();
            match held.socket.try_clone() {
                Ok(socket) => self.plane.listen(earlier, socket),
                Err(error) => tracing::error!(%error, address = %held.address, "listening socket cannot be copied"),
            }
        }
    }

    /// News of an instance's health, from a probe or the controller.
    pub(super) fn set_health(&mut self, instance: InstanceId, health: Health) {
        self.plane.post_all(|| Command::SetHealth { instance: instance.clone(), health });
        if let Some(entry) = self.health_of(&instance) {
            entry.0 = health;
        }
    }

    /// What is known of an instance's health; none for an instance that has no slot, so that late news keep nothing.
    fn health_of(&mut self, instance: &InstanceId) -> Option<&mut (Health, u32)> {
        let known = self.health.contains_key(instance) || self.registry.instances().any(|(_, id, _)| id == instance);
        known.then(|| self.health.entry(instance.clone()).or_default())
    }

    /// News from a worker thread; some are for an operator to hear.
    pub(super) fn hear(&mut self, event: &Event) -> Option<String> {
        match event {
            Event::Ejected { instance, number } => {
                let threads = u32::try_from(self.plane.workers().len()).unwrap_or(u32::MAX);
                if let Some(entry) = self.health_of(instance) {
                    entry.1 = (entry.1 + 1).min(threads);
                }
                Some(format!("{instance} is left out for a while: requests fail there (ejection {number})"))
            }
            Event::Readmitted { instance } => {
                if let Some(entry) = self.health.get_mut(instance) {
                    entry.1 = entry.1.saturating_sub(1);
                }
                None
            }
            Event::OutOfStep { instance } => {
                let InstanceId { service, release, .. } = instance;
                self.plane.post_all(|| Command::DistrustFraming { service: service.clone(), release: *release });
                Some(format!(
                    "{instance} sends bytes behind its answers: its release is asked one request per connection"
                ))
            }
            Event::Panicked { service } => {
                Some(format!("every instance of {service} is bad: requests go to all of them"))
            }
            Event::Applied(_) | Event::Drained => None,
        }
    }
}
