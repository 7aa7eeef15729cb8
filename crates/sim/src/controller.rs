//! A controller: the shipped fleet over a store in memory, with the clock of the agenda, and what the shell around it keeps in mind.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_fleet::ledger::Counted;
use gapless_fleet::publication::News;
use gapless_fleet::recover::{Beginning, Reading, RecoverError, read_with};
use gapless_fleet::{Decided, Fleet, Moment, TakeError, With};
use gapless_journal::{MemoryStore, StoreError};
use gapless_model::{Epoch, InstanceId, Release, ReleaseId, RolloutId, TableVersion, Tick};
use gapless_rollout::{Input, NextDeadline, PlantedBug, Refusal, Service};
use gapless_routing::{ProxyId, TableSpec};
use gapless_wire::record::{ProxyRecord, ReleaseRecord, ReleaseUnreadable};

use crate::releases::service;

#[derive(Debug)]
pub(crate) struct Controller {
    pub fleet: Fleet<MemoryStore>,
    /// Whether it follows an earlier controller that had begun something.
    pub has_past: bool,
    /// The deadline for which a timer is set, and what it is said to do.
    pub timer: Option<NextDeadline>,
    /// The newest table that was sent.
    newest: Option<Arc<TableSpec>>,
}

/// One life of one proxy.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct ProxyLife {
    pub proxy: usize,
    pub life: u32,
}

/// What came of an input.
#[derive(Debug)]
pub(crate) enum Heard {
    /// What is durable is to be performed.
    Acted(Vec<Decided>),
    /// It was refused.
    Refused(Refusal),
    /// The controller died over it.
    Died,
}

/// Why there is no controller.
#[derive(Debug)]
pub(crate) enum NoController {
    /// It died while it took over.
    Died,
    /// The replay does not give what was recorded.
    Differs(String),
}

impl ProxyLife {
    /// Its name.
    pub(crate) fn id(self) -> ProxyId {
        ProxyId(format!("p{}.{}", self.proxy, self.life))
    }

    /// As a name says.
    fn named(name: &str) -> Option<ProxyLife> {
        let (proxy, life) = name.strip_prefix('p')?.split_once('.')?;
        Some(ProxyLife { proxy: proxy.parse().ok()?, life: life.parse().ok()? })
    }
}

impl From<RecoverError> for NoController {
    fn from(error: RecoverError) -> NoController {
        match error {
            RecoverError::Store(StoreError::Crashed) => NoController::Died,
            other => NoController::Differs(other.to_string()),
        }
    }
}

impl Controller {
    /// A controller that takes over: replays the journal and finds out what it gives.
    pub(crate) fn take_over(
        disk: &MemoryStore,
        releases: &BTreeMap<ReleaseId, Arc<Release>>,
        planted: Option<PlantedBug>,
    ) -> Result<Controller, NoController> {
        let fresh = move |name| match planted {
            Some(bug) => Service::new(name).with_planted(bug),
            None => Service::new(name),
        };
        let release = |record: &ReleaseRecord| known(releases, record);
        let recovered = read_with(disk.reopen(), Reading { fresh: Box::new(fresh), release: &release })?;
        if let Some(differs) = recovered.differs().first().filter(|_| planted.is_none()) {
            return Err(NoController::Differs(format!("{differs:?}")));
        }
        let mut fleet = recovered.begin(Beginning {
            known: Epoch(0),
            controller: None,
            journal: "of-a-simulation".to_owned(),
            clock: &mut |_, last| last.0.to_string().into_bytes(),
        })?;
        if planted == Some(PlantedBug::ForgottenProxy) {
            // A planted mistake: only who is heard since counts.
            let members = fleet.proxies();
            members.iter().for_each(|(proxy, _)| drop(fleet.publication.proxy_gone(proxy)));
        }
        let has_past = fleet.service(&service()).is_some();
        let published = fleet.entry(&service()).state.published().is_some();
        let newest = published.then(|| fleet.publication.next_table()).flatten().map(Arc::new);
        Ok(Controller { fleet, has_past, timer: None, newest })
    }

    /// The state of the one service.
    pub(crate) fn service(&self) -> &Service {
        &self.fleet.service(&service()).expect("BUG: the service is there from the begin").state
    }

    pub(crate) fn epoch(&self) -> Epoch {
        self.fleet.epoch()
    }

    /// The proxies on record.
    pub(crate) fn members(&self) -> BTreeSet<ProxyLife> {
        self.fleet.proxies().iter().filter_map(|(proxy, _)| ProxyLife::named(&proxy.0)).collect()
    }

    /// A table to send, where anything changed since the last.
    pub(crate) fn next_table(&mut self) -> Option<Arc<TableSpec>> {
        let table = Arc::new(self.fleet.publication.next_table()?);
        self.newest = Some(Arc::clone(&table));
        Some(table)
    }

    /// The newest table.
    pub(crate) fn newest(&self) -> Option<Arc<TableSpec>> {
        self.newest.clone()
    }

    /// A proxy has connected: it is a member, on record, before it hears anything. Answers whether the controller lives.
    #[must_use]
    pub(crate) fn proxy_connected(&mut self, proxy: ProxyLife) -> bool {
        self.fleet.proxy_joined(&proxy.id(), ProxyRecord::default()).is_ok()
    }

    /// The process of a proxy is known to be gone.
    pub(crate) fn proxy_gone(&mut self, proxy: ProxyLife, now: Tick) -> Heard {
        heard(self.fleet.proxy_gone(&proxy.id(), at(now)))
    }

    /// A proxy said what it uses and what it has in flight. Answers what that means.
    pub(crate) fn reported(
        &mut self,
        proxy: ProxyLife,
        applied: TableVersion,
        in_flight: BTreeMap<InstanceId, u64>,
        lasting: BTreeMap<InstanceId, u64>,
    ) -> Vec<Input> {
        let mut news = self.fleet.publication.reported(&proxy.id(), applied, in_flight);
        news.extend(self.fleet.publication.lasting(&proxy.id(), lasting));
        news.into_iter().map(|News { input, .. }| input).collect()
    }

    /// Takes an input: steps, journals, and says what is to be performed.
    pub(crate) fn hear(&mut self, input: Input, now: Tick) -> Heard {
        let (name, at) = (service(), at(now));
        let told = match input {
            Input::DeployOrdered(order) => {
                let record = record(&order.release);
                let accepted = self.fleet.deploy(order, record, Counted::default(), at);
                self.fleet.entry(&name);
                accepted.map(|accepted| accepted.taken)
            }
            Input::RestartOrdered(order) => {
                let record = record(&order.release);
                self.fleet.restart(order, record, Counted::default(), at).map(|accepted| accepted.taken)
            }
            Input::RollbackOrdered(_) | Input::AbortOrdered(_) | Input::PromoteOrdered(_) | Input::AdjustOrdered(_) => {
                self.fleet.order(&name, input, With::default(), at).map(|accepted| accepted.taken)
            }
            Input::TimerFired => self.fleet.fire_timers(at),
            Input::ReceiptClosed { rollout } => self.close_receipt(rollout, at),
            fact => self.fleet.fact(&name, fact, at),
        };
        heard(told)
    }

    fn close_receipt(&mut self, rollout: RolloutId, at: Moment) -> Result<Vec<Decided>, TakeError> {
        let chronicle = self.fleet.service(&service()).map(|entry| &entry.chronicle);
        let Some(summary) = chronicle.and_then(|chronicle| chronicle.summary(rollout, at.tick)) else {
            return Ok(Vec::new());
        };
        let receipt = self.fleet.ledger.receipt(&service(), summary, |_| None);
        self.fleet.close_receipt(&service(), rollout, &receipt, at)
    }

    /// The instances that it believes to run, of those that do.
    pub(crate) fn alive(&self, present: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
        self.service().instances().map(|instance| &instance.id).filter(|id| present.contains(id)).cloned().collect()
    }
}

fn heard(told: Result<Vec<Decided>, TakeError>) -> Heard {
    match told {
        Ok(decided) => Heard::Acted(decided),
        Err(TakeError::Refused(refusal)) => Heard::Refused(refusal),
        Err(TakeError::Full(_) | TakeError::Journal(_)) => Heard::Died,
    }
}

fn at(tick: Tick) -> Moment {
    Moment { tick, wall_ms: 0 }
}

/// A release on record. What it means stands in the script, not in a configuration.
fn record(release: &Release) -> ReleaseRecord {
    ReleaseRecord {
        id: release.id.0,
        label: release.label.to_string(),
        digest: release.digest.to_string(),
        config: String::new(),
        registered_wall_ms: 0,
        bytes: None,
    }
}

fn known(releases: &BTreeMap<ReleaseId, Arc<Release>>, record: &ReleaseRecord) -> Result<Release, ReleaseUnreadable> {
    // A release that no script has is read as shipped releases are, and refused.
    releases.get(&ReleaseId(record.id)).map_or_else(|| record.to_release(), |release| Ok(Release::clone(release)))
}
