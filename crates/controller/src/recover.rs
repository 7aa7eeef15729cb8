//! Recovery: the journal read back into the services' states.
//!
//! Replay *is* recovery: the recorded inputs go through the same `step`, at their recorded times. What it gives is the state at the last
//! record; `ControllerRestarted` then repeats, under their old numbers, the orders that have no outcome yet.
//!
//! **Invariant V1**: a journal that cannot be read whole is not acted on (I12): every error here ends the start.
//! **Invariant V2**: effects are computed again. Where they differ from the record, another edition of the machine decided: what it intended was
//! performed, so the record is followed ([`follow`], `tests/editions.rs`), and that is said in the log.

use std::collections::BTreeMap;
use std::sync::Arc;

use gapless_drivers::proxylink::{ControlAddress, ProcessMark};
use gapless_journal::{Batch, Record, RecordKind, Sequence, Store, StoreError};
use gapless_model::{ControllerId, Epoch, ReleaseId, RolloutId, ServiceName, Term, Tick};
use gapless_rollout::{EDITION, Input, Service, follow, step};
use gapless_wire::api::Receipt;
use gapless_wire::record::{IntentRecord, RecordError, ReleaseRecord, ReleaseUnreadable, RestRecord, StepRecord};

use crate::clock::{Clock, ClockMark};
use crate::core::{BASELINES, BASELINES_EARLY, Core, Identity, Known, RECEIPTS, RELEASES, Tended};
use crate::identity;
use crate::ledger::Ledger;
use crate::membership;
use crate::traces::Standing;

/// The table and key of the clock's mark.
const CLOCK: (&str, &str) = ("clock", "mark");
/// The table and key of the journal's identity.
pub const IDENTITY: (&str, &str) = ("journal", "identity");

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
    services: BTreeMap<ServiceName, Tended>,
    ledger: Ledger,
    last: Tick,
    journal: Option<String>,
}

/// Reads every service back. Nothing is written: whether a term may begin is asked after this.
///
/// # Errors
/// [`RecoverError`]; nothing may be acted on then.
pub fn read<S: Store>(mut store: S) -> Result<Recovered<S>, RecoverError> {
    let mut releases = releases(&mut store)?;
    let mut services = BTreeMap::new();
    let mut last = Tick::ZERO;
    for stream in store.streams()? {
        let name = ServiceName::new(&stream)
            .map_err(|_| RecoverError::Fact { table: "stream", key: stream.chars().take(100).collect() })?;
        let known = releases.remove(&name).unwrap_or_default();
        let (tended, newest) = replay(&mut store, name.clone(), known)?;
        last = last.max(newest);
        services.insert(name, tended);
    }
    receipts(&mut store, &mut services)?;
    let ledger = baselines(&mut store)?;
    let journal = store.fact(IDENTITY.0, IDENTITY.1)?;
    let journal = journal.map(String::from_utf8).transpose();
    let journal = journal.map_err(|_| RecoverError::Fact { table: IDENTITY.0, key: IDENTITY.1.to_owned() })?;
    Ok(Recovered { store, services, ledger, last, journal })
}

impl<S: Store> Recovered<S> {
    /// What the journal knows, to be compared with what others remember.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing {
            journal: self.journal.clone(),
            position: self.store.position(),
            ordinals: self.services.iter().map(|(name, tended)| (name.clone(), tended.state.last_ordinal())).collect(),
        }
    }

    /// The services as the journal has them.
    #[must_use]
    pub fn services(&self) -> &BTreeMap<ServiceName, Tended> {
        &self.services
    }

    /// The living processes of the proxies on record, with where each listens.
    ///
    /// # Errors
    /// [`RecoverError::Store`].
    pub fn living_proxies(&mut self) -> Result<Vec<(ControlAddress, ProcessMark)>, RecoverError> {
        let recorded = membership::recorded(&mut self.store)?.into_iter();
        let living = recorded.filter_map(|(_, record)| {
            let process = membership::process(&record).filter(ProcessMark::is_alive)?;
            Some((membership::address(&record)?, process))
        });
        Ok(living.collect())
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
    pub fn begin(mut self, known: Epoch) -> Result<Core<S>, RecoverError> {
        let store = &mut self.store;
        let epoch = with_reserve(store, |store| store.begin_term_above(known))?;
        let earlier = store.fact(CLOCK.0, CLOCK.1)?.and_then(|bytes| serde_json::from_slice::<ClockMark>(&bytes).ok());
        let clock = Clock::begin(earlier.as_ref(), self.last);
        let proxies = membership::recorded(store)?;
        let journal = self.journal.unwrap_or_else(identity::by_chance);
        let mut batch = Batch::new();
        batch.put(CLOCK.0, CLOCK.1, serde_json::to_vec(clock.mark()).expect("BUG: a mark is always JSON"));
        batch.put(IDENTITY.0, IDENTITY.1, journal.as_bytes());
        with_reserve(store, |store| store.commit(&batch))?;
        let term = Term { epoch, controller: ControllerId::new(&identity::by_chance()).ok() };
        Ok(Core::new(self.store, clock, Identity { term, journal }, self.services, self.ledger).with_proxies(proxies))
    }
}

/// Takes a journal over that nobody else is known to remember anything of.
///
/// # Errors
/// [`RecoverError`]; nothing may be acted on then.
pub fn recover<S: Store>(store: S) -> Result<Core<S>, RecoverError> {
    read(store)?.begin(Epoch(0))
}

fn with_reserve<S: Store, T>(store: &mut S, write: impl Fn(&mut S) -> Result<T, StoreError>) -> Result<T, StoreError> {
    loop {
        match write(store) {
            Err(StoreError::Full) if store.give_up_reserve() => {}
            written => return written,
        }
    }
}

type Releases = BTreeMap<ServiceName, BTreeMap<ReleaseId, Known>>;

fn releases<S: Store>(store: &mut S) -> Result<Releases, RecoverError> {
    let mut releases = Releases::new();
    for (key, bytes) in store.facts(RELEASES)? {
        let (service, _) = split_key(RELEASES, &key)?;
        let record: ReleaseRecord =
            serde_json::from_slice(&bytes).map_err(|_| RecoverError::Fact { table: RELEASES, key: key.clone() })?;
        let release =
            record.to_release().map_err(|source| RecoverError::Release { service: service.to_string(), source })?;
        releases.entry(service).or_default().insert(release.id, Known { release: Arc::new(release), record });
    }
    Ok(releases)
}

fn replay<S: Store>(
    store: &mut S,
    name: ServiceName,
    releases: BTreeMap<ReleaseId, Known>,
) -> Result<(Tended, Tick), RecoverError> {
    let mut tended = Tended::new(Service::new(name.clone()));
    tended.releases = releases;
    let mut newest = Tick::ZERO;
    for record in store.read(name.as_str(), Sequence::START)? {
        let unreadable = |source| RecoverError::Record { service: name.to_string(), sequence: record.sequence, source };
        if record.record == RecordKind::Snapshot {
            newest = resume(&mut tended, &record).map_err(unreadable)?;
            continue;
        }
        tended.records += 1;
        let written = StepRecord::from_bytes(&record.kind, &record.bytes).map_err(unreadable)?;
        let input = written
            .to_input(&|id| tended.releases.get(&id).map(|known| Arc::clone(&known.release)))
            .map_err(unreadable)?;
        let now = Tick(written.tick);
        newest = newest.max(now);
        let taken = match step(tended.state.clone(), input.clone(), now) {
            Ok(taken) if taken.effects.iter().map(IntentRecord::of).eq(written.intents.iter().cloned()) => taken,
            Err(refused) if written.edition == EDITION => {
                let (service, sequence) = (name.to_string(), record.sequence);
                return Err(RecoverError::Replay { service, sequence, reason: refused.reason.to_string() });
            }
            Ok(_) | Err(_) => {
                tracing::warn!(
                    service = %name, sequence = %record.sequence, edition = written.edition,
                    "the program that wrote the record decided differently: what it intended is taken for what was done"
                );
                let recorded = written.recorded().map_err(unreadable)?;
                follow(tended.state.clone(), input.clone(), now, &recorded)
            }
        };
        tended.settle(taken, now, written.wall_ms);
        if let Input::ReceiptClosed { rollout } = input {
            tended.chronicle.receipt_written(rollout, 0);
        }
    }
    Ok((tended, newest))
}

/// A service at rest, in the place of the records that led there.
fn resume(tended: &mut Tended, record: &Record) -> Result<Tick, RecordError> {
    let (rest, at) = RestRecord::from_bytes(&record.kind, &record.bytes)?.to_rest()?;
    tended.kept = Some(rest.kept.1.clone());
    let releases = &tended.releases;
    tended.state = Service::from_rest(rest, |id| releases.get(&id).map(|known| Arc::clone(&known.release)))
        .map_err(|error| RecordError::Impossible { what: "service at rest", value: error.to_string() })?;
    Ok(at)
}

/// Receipts tell how many requests a rollout lost, and stand for rollouts whose records are gone.
fn receipts<S: Store>(store: &mut S, services: &mut BTreeMap<ServiceName, Tended>) -> Result<(), RecoverError> {
    for (key, bytes) in store.facts(RECEIPTS)? {
        let (service, number) = split_key(RECEIPTS, &key)?;
        let receipt: Receipt =
            serde_json::from_slice(&bytes).map_err(|_| RecoverError::Fact { table: RECEIPTS, key: key.clone() })?;
        if let Some(tended) = services.get_mut(&service) {
            tended.chronicle.receipt_counted(RolloutId(number), receipt.failed_by_us);
            tended.chronicle.remember(receipt.rollout);
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
