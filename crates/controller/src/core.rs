//! The decisions: every service's state, the journal they are written to, the tables that follow from them.
//!
//! One input at a time: step, write, and only then hand the effects out. This is the whole of DESIGN's "journal first, act second"; nothing
//! else in this crate changes a service.
//!
//! **Invariant K1**: an effect leaves here only after the record that intends it is durable (I6).
//! **Invariant K2**: a fact is never dropped because the journal is full: the room that is kept for it is given up, and when that is used
//! up too it waits, in order. Orders are refused meanwhile, so that they do not use up the room of the facts.
//! **Invariant K3**: after any other failure of the journal nothing is decided any more ([`TakeError::Journal`]); the proxies serve on (I12).

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use gapless_journal::{BackUp, Batch, Existing, Position, Sequence, Standing, Store, StoreError};
use gapless_model::{Epoch, Release, ReleaseId, RolloutId, ServiceName, Term, Tick};
use gapless_rollout::{Action, Change, Effect, Entry, Input, Intent, Placed, Refusal, Service, Step, step};
use gapless_routing::{PreviewKey, PreviewToken, ProxyId, SeriesKey};
use gapless_wire::control::ReportDoc;
use gapless_wire::record::{PROXIES, ProxyRecord, ReleaseRecord, STEP_KIND, StepRecord};

use crate::chronicle::Chronicle;
use crate::clock::Clock;
use crate::compaction;
use crate::crash_point::CrashPoint;
use crate::ledger::{Counted, Ledger};
use crate::publication::{News, Publication};
use crate::wall;

/// Facts that wait for room in the journal, per service. Past that the oldest probes' news could be dropped, but so many come only from a
/// machine whose disk has been full for hours: then the controller stops.
const UNWRITTEN_MAX: usize = 10_000;

/// One service with what is known around it.
#[derive(Debug)]
pub struct Tended {
    /// The machine's state.
    pub state: Service,
    /// When to step again at the latest.
    pub next_deadline: Option<Tick>,
    /// What happened to it.
    pub chronicle: Chronicle,
    /// Every release that a record names.
    pub releases: BTreeMap<ReleaseId, Known>,
    /// The releases that may not be deleted; all of them before the machine said anything.
    pub kept: Option<BTreeSet<ReleaseId>>,
    /// Records since it was last written down whole.
    pub records: u64,
    unwritten: VecDeque<Input>,
}

/// A registered release.
#[derive(Clone, Debug)]
pub struct Known {
    /// What it means.
    pub release: Arc<Release>,
    /// How it is kept.
    pub record: ReleaseRecord,
}

/// An effect to perform.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order {
    /// Of which service.
    pub service: ServiceName,
    /// What.
    pub intent: Intent,
}

/// An order that was taken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Accepted {
    /// Its number, or the rollout that it changed.
    pub placed: Placed,
    /// What to perform.
    pub orders: Vec<Order>,
}

/// What goes with an order.
#[derive(Debug, Default)]
pub struct With {
    /// Becomes durable with it or not at all.
    pub batch: Batch,
    /// From when on the receipt of its rollout counts.
    pub counted: Counted,
}

impl From<Batch> for With {
    fn from(batch: Batch) -> With {
        With { batch, ..With::default() }
    }
}

/// What an input that was taken gives.
#[derive(Debug, Default)]
struct Took {
    placed: Option<Placed>,
    orders: Vec<Order>,
}

/// Why an input was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TakeError {
    /// The machine refuses the order.
    #[error("{0}")]
    Refused(Refusal),
    /// There is no room in the journal; the order can be given again.
    #[error("the journal is full")]
    Full(#[source] StoreError),
    /// The journal failed; the controller has to stop acting.
    #[error("the journal failed")]
    Journal(#[source] StoreError),
}

/// Who decides.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// In whose name orders are given.
    pub term: Term,
    /// From which journal.
    pub journal: String,
}

/// Everything that is decided.
pub struct Core<S> {
    store: S,
    clock: Clock,
    identity: Identity,
    /// The room kept for facts was given up and has not come back.
    reserve_given_up: bool,
    crash_point: CrashPoint,
    services: BTreeMap<ServiceName, Tended>,
    undelivered: Vec<Order>,
    previews: Option<PreviewKey>,
    /// The tables.
    pub publication: Publication,
    /// The counts of the proxies.
    pub ledger: Ledger,
    /// The proxies that are members, and whether that is durable yet.
    proxies: BTreeMap<ProxyId, (ProxyRecord, Durable)>,
}

/// Whether something is in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Durable {
    Yes,
    NotYet,
}

impl<S> std::fmt::Debug for Core<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Core")
            .field("identity", &self.identity)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

impl<S: Store> Core<S> {
    /// Of a new term, with the services as recovery found them.
    pub fn new(
        store: S,
        clock: Clock,
        identity: Identity,
        services: BTreeMap<ServiceName, Tended>,
        ledger: Ledger,
    ) -> Core<S> {
        let mut publication = Publication::new(identity.term.epoch);
        services.values().for_each(|tended| tended.republish(&mut publication));
        let crash_point = CrashPoint::from_environment();
        Core {
            store,
            clock,
            identity,
            reserve_given_up: false,
            crash_point,
            services,
            undelivered: Vec::new(),
            previews: None,
            publication,
            ledger,
            proxies: BTreeMap::new(),
        }
    }

    /// With the proxies that were members in the term before: silent until they speak.
    #[must_use]
    pub fn with_proxies(mut self, recorded: Vec<(ProxyId, ProxyRecord)>) -> Core<S> {
        for (proxy, record) in recorded {
            self.publication.joined(&proxy);
            self.proxies.insert(proxy, (record, Durable::Yes));
        }
        self
    }

    /// The proxies that are members, as they are on record.
    #[must_use]
    pub fn proxies(&self) -> Vec<(ProxyId, ProxyRecord)> {
        self.proxies.iter().map(|(proxy, (record, _))| (proxy.clone(), record.clone())).collect()
    }

    /// A proxy becomes a member. For want of room in the journal it is one all the same, and is written down by [`Core::flush_all`] when there is some.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn proxy_joined(&mut self, proxy: &ProxyId, record: ProxyRecord) -> Result<Vec<Order>, TakeError> {
        self.publication.joined(proxy);
        if self.proxies.get(proxy).is_none_or(|(known, _)| *known != record) {
            self.proxies.insert(proxy.clone(), (record, Durable::NotYet));
        }
        self.flush_proxies()?;
        Ok(Vec::new())
    }

    /// A member's process is known to be gone, with all it had in flight.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn proxy_gone(&mut self, proxy: &ProxyId) -> Result<Vec<Order>, TakeError> {
        self.ledger.proxy_gone(proxy);
        let news = self.publication.proxy_gone(proxy);
        if self.proxies.remove(proxy).is_some() {
            let mut batch = Batch::new();
            batch.delete(PROXIES, proxy.0.clone());
            match self.store.commit(&batch) {
                // It will be found to be gone again.
                Ok(_) | Err(StoreError::Full) => {}
                Err(error) => return Err(TakeError::Journal(error)),
            }
        }
        self.heard(news)
    }

    fn flush_proxies(&mut self) -> Result<(), TakeError> {
        let mut batch = Batch::new();
        for (proxy, (record, durable)) in &self.proxies {
            if *durable == Durable::NotYet {
                batch.put(PROXIES, proxy.0.clone(), serde_json::to_vec(record).expect("BUG: a record is always JSON"));
            }
        }
        if batch.is_empty() {
            return Ok(());
        }
        match self.store.commit(&batch) {
            Ok(_) => self.proxies.values_mut().for_each(|(_, durable)| *durable = Durable::Yes),
            Err(StoreError::Full) => {}
            Err(error) => return Err(TakeError::Journal(error)),
        }
        Ok(())
    }

    /// With the secret that gives the right to previews. Without one only the proxies' trusted peers have it.
    #[must_use]
    pub fn with_previews(mut self, key: PreviewKey) -> Core<S> {
        self.previews = Some(key);
        let names: Vec<ServiceName> = self.services.keys().cloned().collect();
        names.iter().for_each(|name| self.publication.allow_previews(name, self.preview_token(name)));
        self
    }

    /// What gives the right to previews of a service while a rollout of it runs.
    #[must_use]
    pub fn preview_token(&self, service: &ServiceName) -> Option<PreviewToken> {
        self.preview_token_of(service, self.services.get(service)?.state.rollout()?)
    }

    /// What gives the right to previews while that rollout runs.
    #[must_use]
    pub fn preview_token_of(&self, service: &ServiceName, rollout: RolloutId) -> Option<PreviewToken> {
        self.previews.as_ref().map(|key| key.token(service, rollout))
    }

    /// The epoch of the term.
    pub fn epoch(&self) -> Epoch {
        self.identity.term.epoch
    }

    /// In whose name orders are given.
    pub fn term(&self) -> &Term {
        &self.identity.term
    }

    /// The identity of the journal.
    pub fn journal(&self) -> &str {
        &self.identity.journal
    }

    /// How far the journal has come.
    pub fn position(&self) -> Position {
        self.store.position()
    }

    /// Moves what was committed to where a copy of the journal's main file finds it.
    ///
    /// # Errors
    /// [`TakeError::Journal`].
    pub fn checkpoint(&mut self) -> Result<(), TakeError> {
        self.store.checkpoint().map_err(TakeError::Journal)
    }

    /// Writes a copy of the journal to a file. What goes wrong with it does not concern the journal.
    ///
    /// # Errors
    /// As [`BackUp::back_up`].
    pub fn back_up(&mut self, to: &std::path::Path, existing: Existing) -> Result<Standing, StoreError>
    where
        S: BackUp,
    {
        self.store.back_up(to, existing)
    }

    /// Whether the room that is kept for a full disk is there. It is made again where there is enough.
    pub fn has_reserve(&mut self) -> bool {
        self.store.has_reserve()
    }

    /// Now, by the controller's clock.
    pub fn now(&self) -> Tick {
        self.clock.now()
    }

    /// The clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// All services.
    pub fn services(&self) -> &BTreeMap<ServiceName, Tended> {
        &self.services
    }

    /// One service.
    pub fn service(&self, name: &ServiceName) -> Option<&Tended> {
        self.services.get(name)
    }

    /// The deadline that comes next, of any service.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.services.values().filter_map(|tended| tended.next_deadline).min()
    }

    /// Takes an operator's order, and what goes with it.
    ///
    /// # Errors
    /// [`TakeError`].
    ///
    /// # Panics
    /// `BUG:` when the input is no order.
    pub fn order(&mut self, service: &ServiceName, input: Input, with: impl Into<With>) -> Result<Accepted, TakeError> {
        self.flush(service)?;
        if !self.store.has_reserve() && self.reserve_given_up {
            return Err(TakeError::Full(StoreError::Full));
        }
        self.reserve_given_up = false;
        let took = self.take(service, &input, with.into())?;
        let mut orders = self.undelivered();
        orders.extend(took.orders);
        Ok(Accepted { placed: took.placed.expect("BUG: an order that was taken has no place"), orders })
    }

    /// Takes a fact. When the journal is full it waits and is taken later, by [`Core::flush_all`].
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn fact(&mut self, service: &ServiceName, input: Input) -> Result<Vec<Order>, TakeError> {
        let Some(tended) = self.services.get_mut(service) else { return Ok(Vec::new()) };
        if tended.unwritten.len() >= UNWRITTEN_MAX {
            return Err(TakeError::Journal(StoreError::Full));
        }
        tended.unwritten.push_back(input);
        match self.flush(service) {
            Ok(()) | Err(TakeError::Full(_)) => Ok(self.undelivered()),
            Err(error) => Err(error),
        }
    }

    /// Takes every fact that waits. Called once a second while any does.
    ///
    /// # Errors
    /// [`TakeError`]; with [`TakeError::Full`] some still wait.
    pub fn flush_all(&mut self) -> Result<Vec<Order>, TakeError> {
        self.flush_proxies()?;
        let waiting: Vec<ServiceName> = self
            .services
            .iter()
            .filter(|(_, tended)| !tended.unwritten.is_empty())
            .map(|(name, _)| name.clone())
            .collect();
        for service in waiting {
            self.flush(&service)?;
        }
        Ok(self.undelivered())
    }

    /// Whether the journal has no room but for facts: the room kept for them is in use, or used up.
    pub fn is_out_of_room(&mut self) -> bool {
        self.reserve_given_up = self.reserve_given_up && !self.store.has_reserve();
        self.reserve_given_up || self.is_full()
    }

    /// Whether facts wait for room in the journal.
    pub fn is_full(&self) -> bool {
        self.services.values().any(|tended| !tended.unwritten.is_empty())
            || self.proxies.values().any(|(_, durable)| *durable == Durable::NotYet)
    }

    /// Steps every service whose deadline has come.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn fire_timers(&mut self) -> Result<Vec<Order>, TakeError> {
        let now = self.now();
        let due: Vec<ServiceName> = self
            .services
            .iter()
            .filter(|(_, tended)| tended.unwritten.is_empty() && tended.next_deadline.is_some_and(|at| at <= now))
            .map(|(name, _)| name.clone())
            .collect();
        let mut orders = Vec::new();
        for service in due {
            orders.extend(self.fact(&service, Input::TimerFired)?);
        }
        Ok(orders)
    }

    /// Takes what the proxies' words mean to the services.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn heard(&mut self, news: Vec<News>) -> Result<Vec<Order>, TakeError> {
        let mut orders = Vec::new();
        for News { service, input } in news {
            orders.extend(self.fact(&service, input)?);
        }
        Ok(orders)
    }

    /// A service that orders may be given to; made when it is new.
    pub fn tend(&mut self, name: &ServiceName) -> &mut Tended {
        self.services.entry(name.clone()).or_insert_with(|| Tended::new(Service::new(name.clone())))
    }

    /// Drops a service that nothing was ever ordered of.
    pub fn drop_if_untouched(&mut self, name: &ServiceName) {
        if self
            .services
            .get(name)
            .is_some_and(|tended| tended.chronicle.newest().is_none() && tended.state.current().is_none())
        {
            self.services.remove(name);
        }
    }

    /// The receipt of a rollout: written and told to the machine in one transaction.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn close_receipt(
        &mut self,
        service: &ServiceName,
        rollout: RolloutId,
        receipt: &gapless_wire::api::Receipt,
    ) -> Result<Vec<Order>, TakeError> {
        self.flush(service)?;
        let mut with = Batch::new();
        with.put(
            RECEIPTS,
            fact_key(service, rollout.0),
            serde_json::to_vec(receipt).expect("BUG: a receipt is always JSON"),
        );
        with.delete(BASELINES, fact_key(service, rollout.0));
        with.delete(BASELINES_EARLY, fact_key(service, rollout.0));
        let took = self.take(service, &Input::ReceiptClosed { rollout }, with.into())?;
        let mut orders = self.undelivered();
        orders.extend(took.orders);
        self.ledger.settled(service, rollout);
        if let Some(tended) = self.services.get(service) {
            self.ledger.let_go(service, |key| tended.counts(key));
        }
        if let Some(tended) = self.services.get_mut(service) {
            tended.chronicle.receipt_written(rollout, receipt.failed_by_us);
        }
        Ok(orders)
    }

    /// What a proxy counted.
    pub fn counted(&mut self, proxy: &ProxyId, report: &ReportDoc) {
        let services = &self.services;
        let counts = |key: &SeriesKey| services.get(&key.service).is_some_and(|tended| tended.counts(key));
        self.ledger.reported(proxy, report, counts);
    }

    /// A receipt that was written.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn receipt(&mut self, service: &ServiceName, rollout: RolloutId) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.fact(RECEIPTS, &fact_key(service, rollout.0))
    }

    /// Makes small facts durable beside the log.
    ///
    /// # Errors
    /// [`StoreError`].
    pub fn write(&mut self, batch: &Batch) -> Result<(), StoreError> {
        self.store.commit(batch).map(|_| ())
    }

    /// What is durable, has to be performed and was not handed out yet, because what came after it in the same call failed.
    pub fn undelivered(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.undelivered)
    }

    fn flush(&mut self, service: &ServiceName) -> Result<(), TakeError> {
        while let Some(input) = self.services.get(service).and_then(|tended| tended.unwritten.front().cloned()) {
            let mut taken = self.take(service, &input, With::default());
            while matches!(taken, Err(TakeError::Full(_))) && self.store.give_up_reserve() {
                self.reserve_given_up = true;
                taken = self.take(service, &input, With::default());
            }
            match taken {
                Ok(took) => self.undelivered.extend(took.orders),
                // Facts are never refused; an order that waited may be, by what happened meanwhile.
                Err(TakeError::Refused(reason)) => {
                    tracing::warn!(service = %service, %reason, "an input that waited was refused");
                }
                Err(error) => return Err(error),
            }
            if let Some(tended) = self.services.get_mut(service) {
                tended.unwritten.pop_front();
            }
        }
        Ok(())
    }

    fn take(&mut self, service: &ServiceName, input: &Input, with: With) -> Result<Took, TakeError> {
        let (now, wall_ms) = (self.clock.now(), wall::now_ms());
        let With { batch: mut with, counted } = with;
        let Some(tended) = self.services.get_mut(service) else { return Ok(Took::default()) };
        let taken = match step(tended.state.clone(), input.clone(), now) {
            Ok(taken) => taken,
            Err(refused) => return Err(TakeError::Refused(refused.reason)),
        };
        if taken.change == Change::Changed {
            let record = StepRecord::of(now, wall_ms, input, &taken.effects);
            with.append(service.as_str(), STEP_KIND, record.to_bytes());
            for rollout in began(&taken) {
                let early = counted.clone().early();
                with.put(BASELINES, fact_key(service, rollout.0), self.ledger.begin(service, rollout, &early));
                if !early.is_empty() {
                    let early = serde_json::to_vec(&early).expect("BUG: words are always JSON");
                    with.put(BASELINES_EARLY, fact_key(service, rollout.0), early);
                }
            }
        }
        let mut written = Vec::new();
        if !with.is_empty() {
            self.crash_point.commit_begins();
            written = self.store.commit(&with).map_err(|error| match error {
                StoreError::Full => TakeError::Full(StoreError::Full),
                other => TakeError::Journal(other),
            })?;
            self.crash_point.commit_ended();
        }
        let placed = taken.placed.clone();
        let orders = Self::settle(tended, &mut self.publication, taken, now, wall_ms);
        if !written.is_empty() {
            tended.records += 1;
        }
        let rollout = tended.state.rollout();
        let token = rollout.and_then(|rollout| self.preview_token_of(service, rollout));
        self.publication.allow_previews(service, token);
        if let Some(upto) = written.last() {
            self.compact(service, *upto, now)?;
        }
        Ok(Took { placed, orders })
    }

    /// Writes a service at rest down whole, where that is due. For want of room it is done another time.
    fn compact(&mut self, service: &ServiceName, upto: Sequence, now: Tick) -> Result<(), TakeError> {
        let Some(tended) = self.services.get_mut(service) else { return Ok(()) };
        let due = compaction::due(&mut self.store, service, tended, upto, now).map_err(TakeError::Journal)?;
        let Some(batch) = due else { return Ok(()) };
        self.crash_point.commit_begins();
        match self.store.commit(&batch) {
            Ok(_) => {
                tended.records = 0;
                let gone: Vec<ReleaseId> = tended.let_go_releases().collect();
                gone.iter().for_each(|id| drop(tended.releases.remove(id)));
            }
            Err(StoreError::Full) => {}
            Err(error) => return Err(TakeError::Journal(error)),
        }
        self.crash_point.commit_ended();
        Ok(())
    }

    /// The step is durable: what it says becomes what is.
    fn settle(tended: &mut Tended, publication: &mut Publication, taken: Step, now: Tick, wall_ms: u64) -> Vec<Order> {
        for entry in &taken.timeline {
            tracing::info!(service = %taken.state.name(), rollout = entry.rollout.map(|rollout| rollout.0), action = %entry.action, "step");
        }
        let effects = tended.settle(taken, now, wall_ms);
        let service = tended.state.name().clone();
        for intent in &effects {
            if let Effect::PublishRoutes(part) = &intent.effect {
                publication.order(intent.number, part.clone());
            }
        }
        effects.into_iter().map(|intent| Order { service: service.clone(), intent }).collect()
    }
}

impl Tended {
    /// A service about which nothing is known yet.
    #[must_use]
    pub fn new(state: Service) -> Tended {
        Tended {
            state,
            next_deadline: None,
            chronicle: Chronicle::default(),
            releases: BTreeMap::new(),
            kept: None,
            records: 0,
            unwritten: VecDeque::new(),
        }
    }

    /// The last table that a service ordered is part of this term's first; what was draining drains on.
    fn republish(&self, publication: &mut Publication) {
        if let Some((number, part)) = self.state.published() {
            publication.order(number, part.clone());
        }
        for instance in self.state.instances().filter(|instance| instance.is_draining()) {
            publication.leaving_since_before(instance.id.clone());
        }
    }

    /// Takes over what a step gave; used by live steps and by the replay alike. Answers its effects.
    pub fn settle(&mut self, taken: Step, now: Tick, wall_ms: u64) -> Vec<Intent> {
        self.chronicle.told(&taken, now, &wall::rfc3339(wall_ms));
        for intent in &taken.effects {
            if let Effect::KeepReleases { releases } = &intent.effect {
                self.kept = Some(releases.clone());
            }
        }
        self.state = taken.state;
        self.next_deadline = taken.next_deadline;
        taken.effects
    }

    /// The release with a label among those that are kept, the newest where several have it.
    #[must_use]
    pub fn kept_with_label(&self, label: &str) -> Option<&Known> {
        self.kept_releases().find(|known| known.release.label.as_str() == label)
    }

    /// The releases that are kept, the newest first.
    pub fn kept_releases(&self) -> impl Iterator<Item = &Known> {
        self.releases.iter().rev().filter(|(id, _)| self.is_kept(**id)).map(|(_, known)| known)
    }

    /// Whether a receipt may need a series: that of a release which is kept, or of requests that reached none.
    fn counts(&self, key: &SeriesKey) -> bool {
        key.release.is_none_or(|id| self.is_kept(id))
    }

    /// The releases that may be deleted.
    pub fn let_go_releases(&self) -> impl Iterator<Item = ReleaseId> {
        self.releases.keys().copied().filter(|id| !self.is_kept(*id))
    }

    /// Whether a release may not be deleted. What was registered after the machine last said so is not known to it yet, and kept.
    fn is_kept(&self, id: ReleaseId) -> bool {
        self.kept.as_ref().is_none_or(|kept| kept.contains(&id) || kept.last().is_none_or(|newest| id > *newest))
    }
}

/// The rollouts that begin with a step: from here on their receipts count.
fn began(taken: &Step) -> impl Iterator<Item = RolloutId> {
    let begins = |entry: &&Entry| matches!(entry.action, Action::Began { .. });
    taken.timeline.iter().filter(begins).filter_map(|entry| entry.rollout)
}

/// The table of releases: `service/number` → `ReleaseRecord`.
pub const RELEASES: &str = "release";
/// The table of receipts: `service/number` → `Receipt`.
pub const RECEIPTS: &str = "receipt";
/// The table of what the ledgers stood at when a rollout began.
pub const BASELINES: &str = "baseline";
/// The table of why a baseline is older than its rollout; apart from it, so that an earlier program reads those.
pub const BASELINES_EARLY: &str = "baseline-early";

/// The key of something numbered within a service; sorts as the numbers do.
#[must_use]
pub fn fact_key(service: &ServiceName, number: u64) -> String {
    format!("{service}/{number:020}")
}
