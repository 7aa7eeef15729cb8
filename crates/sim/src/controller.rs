//! A controller: the real machine, the real records, a store in memory. It journals, then hands out what is to be performed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use gapless_journal::{Batch, MemoryStore, Sequence, Store};
use gapless_model::{Epoch, InstanceId, Release, ReleaseId, Tick};
use gapless_rollout::{Change, Input, Listing, NextDeadline, PlantedBug, Refusal, Service, Step, step};
use gapless_wire::record::{IntentRecord, PROXIES, STEP_KIND, StepRecord};

use crate::book::Book;
use crate::publication::{ProxyLife, Publication};
use crate::releases::service;

/// The stream of the one service.
const STREAM: &str = "service/shop";

#[derive(Debug)]
pub(crate) struct Controller {
    pub epoch: Epoch,
    pub service: Service,
    pub publication: Publication,
    /// The proxies on record.
    pub members: BTreeSet<ProxyLife>,
    store: MemoryStore,
    /// What is told of its orders.
    pub book: Book,
    /// The deadline for which a timer is set, and what it is said to do.
    pub timer: Option<NextDeadline>,
}

/// What came of an input.
#[derive(Debug)]
pub(crate) enum Heard {
    /// It changed nothing.
    Nothing,
    /// It is journalled; this is to be performed.
    Acted(Box<Step>),
    /// It was refused.
    Refused(Refusal),
    /// The controller died over it.
    Died,
}

/// A replay that does not give what was recorded.
#[derive(Debug)]
pub(crate) struct ReplayDiffers(pub String);

impl Controller {
    /// A controller that takes over: replays the journal and finds out what it gives.
    pub(crate) fn take_over(
        disk: &MemoryStore,
        releases: &BTreeMap<ReleaseId, Arc<Release>>,
        planted: Option<PlantedBug>,
    ) -> Result<Controller, ReplayDiffers> {
        let mut store = disk.reopen();
        let differs = |what: String| ReplayDiffers(what);
        let epoch = store.begin_term().map_err(|error| differs(error.to_string()))?;
        let mut state = Service::new(service());
        if let Some(bug) = planted {
            state = state.with_planted(bug);
        }
        let mut book = Book::default();
        for record in store.read(STREAM, Sequence::START).map_err(|error| differs(error.to_string()))? {
            let kept =
                StepRecord::from_bytes(&record.kind, &record.bytes).map_err(|error| differs(error.to_string()))?;
            let find = |id: ReleaseId| releases.get(&id).cloned();
            let input = kept.to_input(&find).map_err(|error| differs(error.to_string()))?;
            let step = step(state, input, Tick(kept.tick)).map_err(|refused| differs(refused.reason.to_string()))?;
            let again: Vec<IntentRecord> = step.effects.iter().map(IntentRecord::of).collect();
            if again != kept.intents {
                return Err(differs(format!("record {}: {:?} instead of {:?}", record.sequence, again, kept.intents)));
            }
            book.told(&step);
            state = step.state;
        }
        let recorded = store.facts(PROXIES).map_err(|error| differs(error.to_string()))?;
        let members: BTreeSet<ProxyLife> = recorded.iter().filter_map(|(name, _)| ProxyLife::named(name)).collect();
        let left = state.instances().filter(|instance| matches!(instance.listing, Listing::Left { .. }));
        let leaving: Vec<InstanceId> = left.map(|instance| instance.id.clone()).collect();
        // A planted mistake: only who is heard since counts.
        let heard_of = members.iter().filter(|_| planted != Some(PlantedBug::ForgottenProxy)).map(|proxy| proxy.id());
        let publication = Publication::new(epoch, state.published(), leaving.into_iter(), heard_of);
        Ok(Controller { epoch, service: state, publication, members, store, book, timer: None })
    }

    /// A proxy has connected: it is a member, on record, before it hears anything. Answers whether the controller lives.
    #[must_use]
    pub(crate) fn proxy_connected(&mut self, proxy: ProxyLife) -> bool {
        self.publication.joined(proxy);
        if !self.members.insert(proxy) {
            return true;
        }
        let mut batch = Batch::new();
        batch.put(PROXIES, proxy.id().0, Vec::new());
        self.store.commit(&batch).is_ok()
    }

    /// The process of a proxy is known to be gone. Answers what follows; none where the controller dies over it.
    pub(crate) fn proxy_gone(&mut self, proxy: ProxyLife) -> Option<Vec<Input>> {
        if !self.members.remove(&proxy) {
            return Some(Vec::new());
        }
        let mut batch = Batch::new();
        batch.delete(PROXIES, proxy.id().0);
        self.store.commit(&batch).ok()?;
        Some(self.publication.gone(proxy))
    }

    /// Whether it follows an earlier controller that had begun something.
    pub(crate) fn has_past(&self) -> bool {
        self.store.last(STREAM).is_ok_and(|last| last > Sequence::START)
    }

    /// Takes an input: steps, journals, and says what is to be performed.
    pub(crate) fn hear(&mut self, input: Input, now: Tick) -> Heard {
        let step = match step(self.service.clone(), input.clone(), now) {
            Ok(step) => step,
            Err(refused) => return Heard::Refused(refused.reason),
        };
        if step.change == Change::Unchanged {
            self.service = step.state;
            return Heard::Nothing;
        }
        let record = StepRecord::of(now, 0, &input, &step.effects);
        let mut batch = Batch::new();
        batch.append(STREAM, STEP_KIND, record.to_bytes());
        if self.store.commit(&batch).is_err() {
            return Heard::Died;
        }
        self.service = step.state.clone();
        self.book.told(&step);
        Heard::Acted(Box::new(step))
    }

    /// The instances that it believes to run, of those that do.
    pub(crate) fn alive(&self, present: &BTreeSet<InstanceId>) -> BTreeSet<InstanceId> {
        self.service.instances().map(|instance| &instance.id).filter(|id| present.contains(id)).cloned().collect()
    }
}
