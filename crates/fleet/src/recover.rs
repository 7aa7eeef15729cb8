//! Recovery: the journal read back into the services' states.
//!
//! Replay *is* recovery: the recorded inputs go through the same `step`, at their recorded times. What it gives is the state at the last
//! record; `ControllerRestarted` then repeats, under their old numbers, the orders that have no outcome yet.
//!
//! **Invariant V1**: a journal that cannot be read whole is not acted on (I12): every error here ends the start.
//! **Invariant V2**: effects are computed again. Where they differ from the record, another edition of the machine decided: what it intended was
//! performed, so the record is followed ([`follow`], `tests/editions.rs`), and that is told ([`Differs`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_journal::{Batch, Record, RecordKind, Sequence, Store, StoreError};
use gapless_model::{ControllerId, Epoch, Release, ReleaseId, RolloutId, ServiceName, Term, Tick};
use gapless_rollout::{EDITION, Input, Service, follow, step};
use gapless_routing::ProxyId;
use gapless_wire::api::Receipt;
use gapless_wire::record::{
    IntentRecord, ProxyRecord, RecordError, ReleaseRecord, ReleaseUnreadable, RestRecord, StepRecord,
};

use crate::decided::{Identity, Moment};
use crate::entry::{KnownRelease, ServiceEntry};
use crate::fleet::{Fleet, Found, Fresh};
use crate::ledger::Ledger;
use crate::members;
use crate::tables::{BASELINES, BASELINES_EARLY, CLOCK, FORGOTTEN, IDENTITY, RECEIPTS, RELEASES};
use crate::traces::Standing;

/// Why the journal was not taken over.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It cannot be opened, read or written.
    #[error("the journal cannot be taken over")]
    Store(#[from] StoreError),
    /// A record is not readable.
    #[error("record {sequence} of service {service} cannot be read")]
    Record {
        /// Of which service.
        service: String,
        /// Which.
        sequence: Sequence,
        /// Why.
        source: RecordError,
    },
    /// A record was refused at its replay.
    #[error("record {sequence} of service {service} is refused at its replay: {reason}")]
    Replay {
        /// Of which service.
        service: String,
        /// Which.
        sequence: Sequence,
        /// Why.
        reason: String,
    },
    /// A release is not readable.
    #[error("a release of service {service} cannot be read")]
    Release {
        /// Of which service.
        service: String,
        /// Why.
        source: ReleaseUnreadable,
    },
    /// A fact is not what its table holds.
    #[error("the fact {table}/{key} cannot be read")]
    Fact {
        /// Its table.
        table: &'static str,
        /// Its key.
        key: String,
    },
}

/// A journal that was read back, before anything was written to it.
pub struct Recovered<S> {
    store: S,
    services: BTreeMap<ServiceName, ServiceEntry>,
    ledger: Ledger,
    last: Tick,
    journal: Option<String>,
    differs: Vec<Differs>,
    fresh: Fresh,
}

/// A record that another edition of the machine decided differently: what it intended is taken for what was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Differs {
    /// Of which service.
    pub service: ServiceName,
    /// Which record.
    pub sequence: Sequence,
    /// The edition that wrote it.
    pub edition: u32,
}

/// The mark of a clock that goes on: from the mark of the term before, where there is one, and the last tick on record.
pub type MarkClock<'a> = dyn FnMut(Option<&[u8]>, Tick) -> Vec<u8> + 'a;

/// What a term begins with that only its shell can tell.
pub struct Beginning<'a> {
    /// The highest epoch that anybody is known to have seen.
    pub known: Epoch,
    /// The identity of this life of the controller.
    pub controller: Option<ControllerId>,
    /// The identity of the journal, where it has none yet.
    pub journal: String,
    /// The mark of the clock to keep, from the one of the term before and the last tick on record.
    pub clock: &'a mut MarkClock<'a>,
}

/// Reads every service back. Nothing is written: whether a term may begin is asked after this.
///
/// # Errors
/// [`RecoverError`]; nothing may be acted on then.
pub fn read<S: Store>(store: S) -> Result<Recovered<S>, RecoverError> {
    read_with(store, Reading { fresh: Box::new(Service::new), release: &ReleaseRecord::to_release })
}

/// What a simulation does in its own way: its releases have no configuration, and it plants mistakes in its services.
pub struct Reading<'a> {
    /// How a service begins of which nothing is known.
    pub fresh: Fresh,
    /// What a record of a release means.
    pub release: &'a dyn Fn(&ReleaseRecord) -> Result<Release, ReleaseUnreadable>,
}

/// As [`read`], in another way.
///
/// # Errors
/// [`RecoverError`].
pub fn read_with<S: Store>(mut store: S, reading: Reading<'_>) -> Result<Recovered<S>, RecoverError> {
    let Reading { fresh, release } = reading;
    let mut releases = releases(&mut store, release)?;
    let (mut services, mut differs) = (BTreeMap::new(), Vec::new());
    let mut last = Tick::ZERO;
    for stream in store.streams()? {
        let name = ServiceName::new(&stream)
            .map_err(|_| RecoverError::Fact { table: "stream", key: stream.chars().take(100).collect() })?;
        let known = releases.remove(&name).unwrap_or_default();
        let mut entry = ServiceEntry::new(fresh(name.clone()));
        entry.releases = known;
        let (newest, differing) = replay(&mut store, &name, &mut entry)?;
        last = last.max(newest);
        differs.extend(differing);
        services.insert(name, entry);
    }
    receipts(&mut store, &mut services)?;
    forgotten(&mut store, &mut services)?;
    let ledger = baselines(&mut store)?;
    let journal = store.fact(IDENTITY.0, IDENTITY.1)?;
    let journal = journal.map(String::from_utf8).transpose();
    let journal = journal.map_err(|_| RecoverError::Fact { table: IDENTITY.0, key: IDENTITY.1.to_owned() })?;
    Ok(Recovered { store, services, ledger, last, journal, differs, fresh })
}

impl<S: Store> Recovered<S> {
    /// What the journal knows, to be compared with what others remember.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            journal: self.journal.clone(),
            position: self.store.position(),
            ordinals: self.services.iter().map(|(name, entry)| (name.clone(), entry.state.last_ordinal())).collect(),
        }
    }

    /// The services as the journal has them.
    #[must_use]
    pub fn services(&self) -> &BTreeMap<ServiceName, ServiceEntry> {
        &self.services
    }

    /// The records that this program would have decided differently.
    #[must_use]
    pub fn differs(&self) -> &[Differs] {
        &self.differs
    }

    /// The proxies that are on record.
    ///
    /// # Errors
    /// [`RecoverError::Store`].
    pub fn proxies(&mut self) -> Result<Vec<(ProxyId, ProxyRecord)>, RecoverError> {
        Ok(members::recorded(&mut self.store)?)
    }

    /// The journal alone.
    #[must_use]
    pub fn into_store(self) -> S {
        self.store
    }

    /// Begins a term above every epoch that anybody is known to have seen. Where a full disk has no room for it, the room that is kept is
    /// given up.
    ///
    /// # Errors
    /// [`RecoverError::Store`].
    pub fn begin(mut self, beginning: Beginning<'_>) -> Result<Fleet<S>, RecoverError> {
        let store = &mut self.store;
        let epoch = with_reserve(store, |store| store.begin_term_above(beginning.known))?;
        let earlier = store.fact(CLOCK.0, CLOCK.1)?;
        let proxies = members::recorded(store)?;
        let journal = self.journal.unwrap_or(beginning.journal);
        let mut batch = Batch::new();
        batch.put(CLOCK.0, CLOCK.1, (beginning.clock)(earlier.as_deref(), self.last));
        batch.put(IDENTITY.0, IDENTITY.1, journal.as_bytes());
        with_reserve(store, |store| store.commit(&batch))?;
        let identity = Identity { term: Term { epoch, controller: beginning.controller }, journal };
        let found = Found { services: self.services, ledger: self.ledger, proxies, fresh: self.fresh };
        Ok(Fleet::new(self.store, identity, found))
    }
}

fn with_reserve<S: Store, T>(store: &mut S, write: impl Fn(&mut S) -> Result<T, StoreError>) -> Result<T, StoreError> {
    loop {
        match write(store) {
            Err(StoreError::Full) if store.give_up_reserve() => {}
            written => return written,
        }
    }
}

type Releases = BTreeMap<ServiceName, BTreeMap<ReleaseId, KnownRelease>>;

fn releases<S: Store>(
    store: &mut S,
    meaning: &dyn Fn(&ReleaseRecord) -> Result<Release, ReleaseUnreadable>,
) -> Result<Releases, RecoverError> {
    let mut releases = Releases::new();
    for (key, bytes) in store.facts(RELEASES)? {
        let (service, _) = split_key(RELEASES, &key)?;
        let record: ReleaseRecord =
            serde_json::from_slice(&bytes).map_err(|_| RecoverError::Fact { table: RELEASES, key: key.clone() })?;
        let release =
            meaning(&record).map_err(|source| RecoverError::Release { service: service.to_string(), source })?;
        releases.entry(service).or_default().insert(release.id, KnownRelease { release: Arc::new(release), record });
    }
    Ok(releases)
}

fn replay<S: Store>(
    store: &mut S,
    name: &ServiceName,
    entry: &mut ServiceEntry,
) -> Result<(Tick, Vec<Differs>), RecoverError> {
    let (mut newest, mut differs) = (Tick::ZERO, Vec::new());
    for record in store.read(name.as_str(), Sequence::START)? {
        let unreadable = |source| RecoverError::Record { service: name.to_string(), sequence: record.sequence, source };
        if record.record == RecordKind::Snapshot {
            newest = resume(entry, &record).map_err(unreadable)?;
            continue;
        }
        entry.records += 1;
        let written = StepRecord::from_bytes(&record.kind, &record.bytes).map_err(unreadable)?;
        let input = written
            .to_input(&|id| entry.releases.get(&id).map(|known| Arc::clone(&known.release)))
            .map_err(unreadable)?;
        let now = Tick(written.tick);
        newest = newest.max(now);
        let taken = match step(entry.state.clone(), input.clone(), now) {
            Ok(taken) if taken.effects.iter().map(IntentRecord::of).eq(written.intents.iter().cloned()) => taken,
            Err(refused) if written.edition == EDITION => {
                let (service, sequence) = (name.to_string(), record.sequence);
                return Err(RecoverError::Replay { service, sequence, reason: refused.reason.to_string() });
            }
            Ok(_) | Err(_) => {
                differs.push(Differs { service: name.clone(), sequence: record.sequence, edition: written.edition });
                let recorded = written.recorded().map_err(unreadable)?;
                follow(entry.state.clone(), input.clone(), now, &recorded)
            }
        };
        let _performed_then = entry.moves_on(taken, Moment { tick: now, wall_ms: written.wall_ms });
        if let Input::ReceiptClosed { rollout } = input {
            entry.chronicle.receipt_written(rollout, 0);
        }
    }
    Ok((newest, differs))
}

/// A service at rest, in the place of the records that led there.
fn resume(entry: &mut ServiceEntry, record: &Record) -> Result<Tick, RecordError> {
    let (rest, at) = RestRecord::from_bytes(&record.kind, &record.bytes)?.to_rest()?;
    entry.kept = Some(rest.kept.1.clone());
    let releases = &entry.releases;
    entry.state = Service::from_rest(rest, |id| releases.get(&id).map(|known| Arc::clone(&known.release)))
        .map_err(|error| RecordError::Impossible { what: "service at rest", value: error.to_string() })?;
    Ok(at)
}

/// Receipts tell how many requests a rollout lost, and stand for rollouts whose records are gone.
fn receipts<S: Store>(store: &mut S, services: &mut BTreeMap<ServiceName, ServiceEntry>) -> Result<(), RecoverError> {
    for (key, bytes) in store.facts(RECEIPTS)? {
        let (service, number) = split_key(RECEIPTS, &key)?;
        let receipt: Receipt =
            serde_json::from_slice(&bytes).map_err(|_| RecoverError::Fact { table: RECEIPTS, key: key.clone() })?;
        if let Some(entry) = services.get_mut(&service) {
            entry.chronicle.receipt_counted(RolloutId(number), receipt.failed_by_us);
            entry.chronicle.remember(receipt.rollout);
        }
    }
    Ok(())
}

/// Services that an operator had forgotten.
fn forgotten<S: Store>(store: &mut S, services: &mut BTreeMap<ServiceName, ServiceEntry>) -> Result<(), RecoverError> {
    for (key, bytes) in store.facts(FORGOTTEN)? {
        let upto = std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).map(RolloutId);
        let unreadable = || RecoverError::Fact { table: FORGOTTEN, key: key.chars().take(100).collect() };
        let name = ServiceName::new(&key).map_err(|_| unreadable())?;
        let upto = upto.ok_or_else(unreadable)?;
        if let Some(entry) = services.get_mut(&name) {
            entry.forgotten = Some(upto);
        }
    }
    Ok(())
}

fn baselines<S: Store>(store: &mut S) -> Result<Ledger, RecoverError> {
    let mut ledger = Ledger::default();
    for (key, bytes) in store.facts(BASELINES)? {
        let (service, number) = split_key(BASELINES, &key)?;
        ledger.restore(&service, RolloutId(number), &bytes);
    }
    for (key, bytes) in store.facts(BASELINES_EARLY)? {
        let (service, number) = split_key(BASELINES_EARLY, &key)?;
        // Words for people alone: those of a newer program are done without.
        ledger.is_early(&service, RolloutId(number), serde_json::from_slice(&bytes).unwrap_or_default());
    }
    Ok(ledger)
}

fn split_key(table: &'static str, key: &str) -> Result<(ServiceName, u64), RecoverError> {
    let parse = || {
        let (service, number) = key.rsplit_once('/')?;
        Some((ServiceName::new(service).ok()?, number.parse().ok()?))
    };
    parse().ok_or_else(|| RecoverError::Fact { table, key: key.chars().take(100).collect() })
}
