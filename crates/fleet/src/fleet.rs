//! The decisions: every service's state, the journal they are written to, the tables that follow from them.
//!
//! Inputs become steps, steps become records, and only then are the intents handed out. This is the whole of "journal first, act second"; nothing else
//! changes a service. Facts that have gathered are written in one transaction.
//!
//! **Invariant K1**: an intent leaves here only after the record that holds it is durable (I6).
//! **Invariant K2**: a fact is never dropped because the journal is full: the room that is kept for it is given up, and when that is used up too it waits, in
//! order. Orders are refused meanwhile, so that they do not use up the room of the facts.
//! **Invariant K3**: after any other failure of the journal nothing is decided any more ([`TakeError::Journal`]); the proxies serve on (I12).
//!
//! `tests/fleet.rs` holds them with a journal in memory, the simulation with crashes over each record.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_journal::{BackUp, Batch, Existing, Position, Sequence, Standing, Store, StoreError};
use gapless_model::{Epoch, Release, ReleaseId, RolloutId, ServiceName, Term, Tick};
use gapless_rollout::{Action, Change, DeployOrder, Effect, Entry, Input, Service, Step, step};
use gapless_routing::{PreviewKey, PreviewToken, ProxyId, SeriesKey};
use gapless_wire::api::Receipt;
use gapless_wire::control::ReportDoc;
use gapless_wire::record::{ProxyRecord, ReleaseRecord, STEP_KIND, StepRecord};

use crate::compaction;
use crate::decided::{Accepted, Decided, Identity, Moment, TakeError, With};
use crate::entry::{KnownRelease, ServiceEntry};
use crate::errors::ErrorWatch;
use crate::ledger::{Counted, Ledger};
use crate::members::Members;
use crate::publication::{News, Publication};
use crate::tables::{BASELINES, BASELINES_EARLY, FORGOTTEN, RECEIPTS, RELEASES, fact_key};

/// Facts that wait for room in the journal, per service. Past that the oldest probes' news could be dropped, but so many come only from a
/// machine whose disk has been full for hours: then nothing is decided any more.
const UNWRITTEN_MAX: usize = 10_000;

/// Facts that are written in one transaction at most: what is lost with a crash is bounded by it, and so is the time that an order waits.
const GROUP_MAX: usize = 256;

/// How a service begins of which nothing is known.
pub type Fresh = Box<dyn Fn(ServiceName) -> Service + Send>;

/// Everything that is decided.
pub struct Fleet<S> {
    store: S,
    identity: Identity,
    /// The room kept for facts was given up and has not come back.
    reserve_given_up: bool,
    services: BTreeMap<ServiceName, ServiceEntry>,
    undelivered: Vec<Decided>,
    previews: Option<PreviewKey>,
    fresh: Fresh,
    members: Members,
    /// The tables.
    pub publication: Publication,
    /// The counts of the proxies.
    pub ledger: Ledger,
    errors: ErrorWatch,
}

/// An input of a service, and its step.
type Stepped<'i> = (&'i ServiceName, &'i Input, Step);

/// What recovery found.
pub(crate) struct Found {
    pub services: BTreeMap<ServiceName, ServiceEntry>,
    pub ledger: Ledger,
    pub proxies: Vec<(ProxyId, ProxyRecord)>,
    pub fresh: Fresh,
}

impl<S> std::fmt::Debug for Fleet<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fleet")
            .field("identity", &self.identity)
            .field("services", &self.services)
            .finish_non_exhaustive()
    }
}

impl<S: Store> Fleet<S> {
    /// Of a new term, with the services as recovery found them. The proxies that were members in the term before are, silent until they speak.
    pub(crate) fn new(store: S, identity: Identity, found: Found) -> Fleet<S> {
        let Found { services, ledger, proxies, fresh } = found;
        let mut publication = Publication::new(identity.term.epoch);
        services.values().for_each(|entry| entry.republish(&mut publication));
        proxies.iter().for_each(|(proxy, _)| publication.joined(proxy));
        Fleet {
            store,
            identity,
            reserve_given_up: false,
            services,
            undelivered: Vec::new(),
            previews: None,
            fresh,
            members: Members::recorded(proxies),
            publication,
            ledger,
            errors: ErrorWatch::default(),
        }
    }

    /// With the secret that gives the right to previews. Without one only the proxies' trusted peers have it.
    #[must_use]
    pub fn with_previews(mut self, key: PreviewKey) -> Fleet<S> {
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

    /// All services.
    pub fn services(&self) -> &BTreeMap<ServiceName, ServiceEntry> {
        &self.services
    }

    /// One service.
    pub fn service(&self, name: &ServiceName) -> Option<&ServiceEntry> {
        self.services.get(name)
    }

    /// The deadline that comes next, of any service.
    pub fn next_deadline(&self) -> Option<Tick> {
        self.services.values().filter_map(|entry| entry.next_deadline).min()
    }

    /// Whether some service has a candidate in load: what the proxies counted until now may decide about it.
    pub fn is_watching(&self) -> bool {
        self.services.values().any(|entry| entry.state.exposure().is_some())
    }

    /// The proxies that are members, as they are on record.
    pub fn proxies(&self) -> Vec<(ProxyId, ProxyRecord)> {
        self.members.all().map(|(proxy, record)| (proxy.clone(), record.clone())).collect()
    }

    /// Whether facts wait for room in the journal.
    pub fn is_full(&self) -> bool {
        self.services.values().any(|entry| !entry.unwritten.is_empty()) || self.members.are_unwritten()
    }

    /// Whether the journal has no room but for facts: the room kept for them is in use, or used up.
    pub fn is_out_of_room(&mut self) -> bool {
        self.reserve_given_up = self.reserve_given_up && !self.store.has_reserve();
        self.reserve_given_up || self.is_full()
    }

    /// Whether the room that is kept for a full disk is there. It is made again where there is enough.
    pub fn has_reserve(&mut self) -> bool {
        self.store.has_reserve()
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

    /// A receipt that was written.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub fn receipt(&mut self, service: &ServiceName, rollout: RolloutId) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.fact(RECEIPTS, &fact_key(service, rollout.0))
    }

    /// A service that orders may be given to; made when it is new.
    pub fn entry(&mut self, name: &ServiceName) -> &mut ServiceEntry {
        let fresh = &self.fresh;
        self.services.entry(name.clone()).or_insert_with(|| ServiceEntry::new(fresh(name.clone())))
    }

    /// Drops a service that nothing was ever ordered of.
    fn drop_if_untouched(&mut self, name: &ServiceName) {
        let untouched = |entry: &ServiceEntry| entry.chronicle.newest().is_none() && entry.state.current().is_none();
        if self.services.get(name).is_some_and(untouched) {
            self.services.remove(name);
        }
    }

    /// A proxy becomes a member. For want of room in the journal it is one all the same, and is written down by [`Fleet::flush_all`] when there is some.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn proxy_joined(&mut self, proxy: &ProxyId, record: ProxyRecord) -> Result<(), TakeError> {
        self.publication.joined(proxy);
        self.members.joined(proxy, record);
        self.flush_members()
    }

    /// A member's process is known to be gone, with all it had in flight.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn proxy_gone(&mut self, proxy: &ProxyId, at: Moment) -> Result<Vec<Decided>, TakeError> {
        self.ledger.proxy_gone(proxy);
        self.errors.proxy_gone(proxy);
        let news = self.publication.proxy_gone(proxy);
        if let Some(batch) = self.members.gone(proxy) {
            match self.store.commit(&batch) {
                // It will be found to be gone again.
                Ok(_) | Err(StoreError::Full) => {}
                Err(error) => return Err(TakeError::Journal(error)),
            }
        }
        self.heard(news, at)
    }

    /// What a proxy counted. Answers what it means to services with a candidate in load.
    pub fn counted(&mut self, proxy: &ProxyId, report: &ReportDoc, at: Moment) -> Vec<News> {
        let services = &self.services;
        let counts = |key: &SeriesKey| services.get(&key.service).is_some_and(|entry| entry.counts(key));
        self.ledger.reported(proxy, report, counts);
        self.errors.reported(proxy, report);
        self.errors.keep(|service| services.contains_key(service));
        let (sums, none) = (self.ledger.sums(), BTreeMap::new());
        let mut news = Vec::new();
        for (service, entry) in services {
            let (exposure, of_it) = (entry.state.exposure(), sums.get(service).unwrap_or(&none));
            let Some(counts) = self.errors.look(service, of_it, exposure, at.tick) else { continue };
            // While facts wait for room these do not pile up behind them: the next ones tell the same, and more.
            if let Some(exposure) = exposure.filter(|_| entry.unwritten.is_empty()) {
                let input = Input::RequestsCounted { candidate: exposure.candidate, counts };
                news.push(News { service: service.clone(), input });
            }
        }
        news
    }

    /// Registers a release and orders its deploy, in one transaction: one without the other never is.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn deploy(
        &mut self,
        order: DeployOrder,
        record: ReleaseRecord,
        counted: Counted,
        at: Moment,
    ) -> Result<Accepted, TakeError> {
        let release = Arc::clone(&order.release);
        self.introduce(Input::DeployOrdered(order), release, record, counted, at)
    }

    /// Registers the current release under another number and orders that it takes its own place.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn restart(
        &mut self,
        order: DeployOrder,
        record: ReleaseRecord,
        counted: Counted,
        at: Moment,
    ) -> Result<Accepted, TakeError> {
        let release = Arc::clone(&order.release);
        self.introduce(Input::RestartOrdered(order), release, record, counted, at)
    }

    /// Takes an order about a release that is new.
    fn introduce(
        &mut self,
        order: Input,
        release: Arc<Release>,
        record: ReleaseRecord,
        counted: Counted,
        at: Moment,
    ) -> Result<Accepted, TakeError> {
        let name = release.spec.service.clone();
        let mut batch = Batch::new();
        let bytes = serde_json::to_vec(&record).expect("BUG: a record is always JSON");
        batch.put(RELEASES, fact_key(&name, release.id.0), bytes);
        self.entry(&name);
        let accepted = match self.order(&name, order, With { batch, counted }, at) {
            Ok(accepted) => accepted,
            Err(error) => {
                self.drop_if_untouched(&name);
                return Err(error);
            }
        };
        self.entry(&name).releases.insert(release.id, KnownRelease { release, record });
        Ok(accepted)
    }

    /// Shows a service to nobody any more of which nothing is deployed, until something is ordered of it again.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn forget(&mut self, service: &ServiceName) -> Result<(), TakeError> {
        let Some(entry) = self.services.get_mut(service) else { return Ok(()) };
        let upto = entry.state.last_rollout();
        let mut batch = Batch::new();
        batch.put(FORGOTTEN, service.as_str(), upto.0.to_string());
        self.store.commit(&batch)?;
        entry.forgotten = Some(upto);
        Ok(())
    }

    /// Takes an operator's order, and what goes with it.
    ///
    /// # Errors
    /// [`TakeError`].
    ///
    /// # Panics
    /// `BUG:` when the input is no order.
    pub fn order(
        &mut self,
        service: &ServiceName,
        input: Input,
        with: impl Into<With>,
        at: Moment,
    ) -> Result<Accepted, TakeError> {
        self.flush(std::slice::from_ref(service), at)?;
        if !self.store.has_reserve() && self.reserve_given_up {
            return Err(TakeError::Full(StoreError::Full));
        }
        self.reserve_given_up = false;
        let ordered = self.take(&[(service.clone(), input)], with.into(), at)?;
        let placed = ordered.iter().find_map(|taken| taken.placed.clone());
        let mut taken = self.undelivered();
        taken.extend(ordered);
        Ok(Accepted { placed: placed.expect("BUG: an order that was taken has no place"), taken })
    }

    /// Takes a fact. When the journal is full it waits and is taken later, by [`Fleet::flush_all`].
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn fact(&mut self, service: &ServiceName, input: Input, at: Moment) -> Result<Vec<Decided>, TakeError> {
        self.heard(vec![News { service: service.clone(), input }], at)
    }

    /// Takes what the proxies' words mean to the services, in one transaction.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn heard(&mut self, news: Vec<News>, at: Moment) -> Result<Vec<Decided>, TakeError> {
        let mut services = Vec::new();
        for News { service, input } in news {
            self.note(&service, input)?;
            services.push(service);
        }
        match self.flush(&services, at) {
            Ok(()) | Err(TakeError::Full(_)) => Ok(self.undelivered()),
            Err(error) => Err(error),
        }
    }

    /// Keeps a fact for the next transaction: [`Fleet::flush_all`] takes it.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone: too many wait.
    pub fn note(&mut self, service: &ServiceName, input: Input) -> Result<(), TakeError> {
        let Some(entry) = self.services.get_mut(service) else { return Ok(()) };
        if entry.unwritten.len() >= UNWRITTEN_MAX {
            return Err(TakeError::Journal(StoreError::Full));
        }
        entry.unwritten.push_back(input);
        Ok(())
    }

    /// Takes every fact that waits.
    ///
    /// # Errors
    /// [`TakeError`]; with [`TakeError::Full`] some still wait.
    pub fn flush_all(&mut self, at: Moment) -> Result<Vec<Decided>, TakeError> {
        self.flush_members()?;
        let waits = |entry: &ServiceEntry| !entry.unwritten.is_empty();
        let waiting: Vec<ServiceName> =
            self.services.iter().filter(|(_, entry)| waits(entry)).map(|(name, _)| name.clone()).collect();
        self.flush(&waiting, at)?;
        Ok(self.undelivered())
    }

    /// Steps every service whose deadline has come.
    ///
    /// # Errors
    /// [`TakeError::Journal`] alone.
    pub fn fire_timers(&mut self, at: Moment) -> Result<Vec<Decided>, TakeError> {
        let is_due = |entry: &ServiceEntry| {
            entry.unwritten.is_empty() && entry.next_deadline.is_some_and(|deadline| deadline <= at.tick)
        };
        let due = self.services.iter().filter(|(_, entry)| is_due(entry));
        let news = due.map(|(name, _)| News { service: name.clone(), input: Input::TimerFired }).collect();
        self.heard(news, at)
    }

    /// The receipt of a rollout: written and told to the machine in one transaction.
    ///
    /// # Errors
    /// [`TakeError`].
    pub fn close_receipt(
        &mut self,
        service: &ServiceName,
        rollout: RolloutId,
        receipt: &Receipt,
        at: Moment,
    ) -> Result<Vec<Decided>, TakeError> {
        self.flush(std::slice::from_ref(service), at)?;
        let mut with = Batch::new();
        let bytes = serde_json::to_vec(receipt).expect("BUG: a receipt is always JSON");
        with.put(RECEIPTS, fact_key(service, rollout.0), bytes);
        with.delete(BASELINES, fact_key(service, rollout.0));
        with.delete(BASELINES_EARLY, fact_key(service, rollout.0));
        let closed = self.take(&[(service.clone(), Input::ReceiptClosed { rollout })], with.into(), at)?;
        let mut taken = self.undelivered();
        taken.extend(closed);
        self.ledger.settled(service, rollout);
        if let Some(entry) = self.services.get_mut(service) {
            self.ledger.let_go(service, |key| entry.counts(key));
            entry.chronicle.receipt_written(rollout, receipt.failed_by_us);
        }
        Ok(taken)
    }

    /// What is durable, has to be performed and was not handed out yet, because what came after it in the same call failed.
    pub fn undelivered(&mut self) -> Vec<Decided> {
        std::mem::take(&mut self.undelivered)
    }

    fn flush_members(&mut self) -> Result<(), TakeError> {
        let batch = self.members.unwritten();
        if batch.is_empty() {
            return Ok(());
        }
        match self.store.commit(&batch) {
            Ok(_) => self.members.written(),
            Err(StoreError::Full) => {}
            Err(error) => return Err(TakeError::Journal(error)),
        }
        Ok(())
    }

    /// Takes the facts that wait of these services, many in one transaction. Where there is no room for a transaction, the room that is kept is given up.
    fn flush(&mut self, services: &[ServiceName], at: Moment) -> Result<(), TakeError> {
        loop {
            let group = self.waiting(services);
            if group.is_empty() {
                return Ok(());
            }
            let taken = loop {
                match self.take(&group, With::default(), at) {
                    Err(TakeError::Full(_)) if self.store.give_up_reserve() => self.reserve_given_up = true,
                    // Facts never are; what was refused all the same is not tried for ever.
                    Err(TakeError::Refused(_)) => break Vec::new(),
                    taken => break taken?,
                }
            };
            self.undelivered.extend(taken);
            for (service, _) in &group {
                if let Some(entry) = self.services.get_mut(service) {
                    entry.unwritten.pop_front();
                }
            }
        }
    }

    /// The facts of the next transaction, each service's in their order.
    fn waiting(&self, services: &[ServiceName]) -> Vec<(ServiceName, Input)> {
        let mut seen: Vec<&ServiceName> = Vec::new();
        let mut group = Vec::new();
        for name in services {
            let Some(entry) = self.services.get(name).filter(|_| !seen.contains(&name)) else { continue };
            seen.push(name);
            let room = GROUP_MAX - group.len();
            group.extend(entry.unwritten.iter().take(room).map(|input| (name.clone(), input.clone())));
        }
        group
    }

    /// Steps, writes, and moves on: all of it or nothing. A single input may be refused; among several, which are facts, none is.
    fn take(&mut self, inputs: &[(ServiceName, Input)], with: With, at: Moment) -> Result<Vec<Decided>, TakeError> {
        let With { mut batch, counted } = with;
        let steps = self.steps(inputs, at)?;
        let mut changed = Vec::new();
        for (name, input, step) in steps.iter().filter(|(.., step)| step.change == Change::Changed) {
            changed.push(ServiceName::clone(name));
            let record = StepRecord::of(at.tick, at.wall_ms, input, &step.effects);
            batch.append(name.as_str(), STEP_KIND, record.to_bytes());
            for rollout in began(step) {
                self.write_baseline(name, rollout, counted.clone(), &mut batch);
            }
        }
        let written = if batch.is_empty() { Vec::new() } else { self.store.commit(&batch)? };
        let mut last: BTreeMap<ServiceName, (Sequence, u64)> = BTreeMap::new();
        for (name, sequence) in changed.into_iter().zip(written) {
            let (upto, records) = last.entry(name).or_default();
            (*upto, *records) = (sequence, *records + 1);
        }
        let taken = steps.into_iter().map(|(name, _, step)| self.moves_on(name, step, at)).collect();
        for (name, (upto, records)) in last {
            self.compact(&name, upto, records, at)?;
        }
        Ok(taken)
    }

    /// The steps of several inputs, each on what the one before it of its service left.
    fn steps<'i>(&self, inputs: &'i [(ServiceName, Input)], at: Moment) -> Result<Vec<Stepped<'i>>, TakeError> {
        let mut steps: Vec<Stepped<'_>> = Vec::new();
        for (name, input) in inputs {
            let Some(entry) = self.services.get(name) else { continue };
            let before = steps.iter().rev().find(|(of, ..)| *of == name).map_or(&entry.state, |(.., step)| &step.state);
            match step(before.clone(), input.clone(), at.tick) {
                Ok(step) => steps.push((name, input, step)),
                Err(refused) if inputs.len() == 1 => return Err(TakeError::Refused(refused.reason)),
                // Facts are never refused.
                Err(_) => {}
            }
        }
        Ok(steps)
    }

    /// A rollout begins: from here on its receipt counts.
    fn write_baseline(&mut self, service: &ServiceName, rollout: RolloutId, counted: Counted, batch: &mut Batch) {
        let early = counted.early();
        batch.put(BASELINES, fact_key(service, rollout.0), self.ledger.begin(service, rollout, &early));
        if !early.is_empty() {
            let early = serde_json::to_vec(&early).expect("BUG: words are always JSON");
            batch.put(BASELINES_EARLY, fact_key(service, rollout.0), early);
        }
    }

    /// A step is durable: what it says becomes what is.
    fn moves_on(&mut self, name: &ServiceName, step: Step, at: Moment) -> Decided {
        let (placed, timeline) = (step.placed.clone(), step.timeline.clone());
        let entry = self.services.get_mut(name).expect("BUG: a step of a service that is not there");
        let intents = entry.moves_on(step, at);
        let rollout = entry.state.rollout();
        for intent in &intents {
            if let Effect::PublishRoutes(part) = &intent.effect {
                self.publication.order(intent.number, part.clone());
            }
        }
        let token = rollout.and_then(|rollout| self.preview_token_of(name, rollout));
        self.publication.allow_previews(name, token);
        Decided { service: name.clone(), placed, timeline, intents }
    }

    /// Writes a service at rest down whole, where that is due. For want of room it is done another time.
    fn compact(&mut self, service: &ServiceName, upto: Sequence, records: u64, at: Moment) -> Result<(), TakeError> {
        let Some(entry) = self.services.get_mut(service) else { return Ok(()) };
        entry.records += records;
        let due = compaction::due(&mut self.store, service, entry, upto, at.tick).map_err(TakeError::Journal)?;
        let Some(batch) = due else { return Ok(()) };
        match self.store.commit(&batch) {
            Ok(_) => {
                entry.records = 0;
                let gone: Vec<ReleaseId> = entry.let_go_releases().collect();
                gone.iter().for_each(|id| drop(entry.releases.remove(id)));
                Ok(())
            }
            Err(StoreError::Full) => Ok(()),
            Err(error) => Err(TakeError::Journal(error)),
        }
    }
}

/// The rollouts that begin with a step.
fn began(step: &Step) -> impl Iterator<Item = RolloutId> {
    let begins = |entry: &&Entry| matches!(entry.action, Action::Began { .. });
    step.timeline.iter().filter(begins).filter_map(|entry| entry.rollout)
}
