//! A store in memory with faults, for simulation.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gapless_model::Epoch;

use crate::{Batch, Operation, Position, Record, RecordKind, Sequence, Store, StoreError};

/// What is made to happen at a commit.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// The controller dies before the batch is durable.
    CrashBefore,
    /// The controller dies after the batch is durable, before it learns so.
    CrashAfter,
    /// There is no room: the batch is refused whole.
    Full,
    /// The disk fails: the batch is not durable and the store refuses all further writes.
    Io,
}

/// A store in memory. [`MemoryStore::reopen`] gives what a new controller finds after this one died.
#[derive(Debug)]
pub struct MemoryStore {
    disk: Arc<Mutex<Disk>>,
    term: Option<Epoch>,
    ended: Option<Ended>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ended {
    Crashed,
    Poisoned,
}

#[derive(Clone, Debug, Default)]
struct Disk {
    content: Content,
    epoch: Epoch,
    commits: u64,
    faults: BTreeMap<u64, Fault>,
    /// Whether it keeps room for when there is none, whether it has it now, and whether it can be kept again.
    keeps_reserve: bool,
    reserve: bool,
    room_kept_again: bool,
}

#[derive(Clone, Debug, Default)]
struct Content {
    streams: BTreeMap<String, Vec<Record>>,
    facts: BTreeMap<(String, String), Vec<u8>>,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> MemoryStore {
        MemoryStore { disk: Arc::default(), term: None, ended: None }
    }

    /// A new opener of the same disk, as after a crash of this one.
    #[must_use]
    pub fn reopen(&self) -> MemoryStore {
        MemoryStore { disk: Arc::clone(&self.disk), term: None, ended: None }
    }

    /// A copy of the disk as it is now, without its faults: for exploring several futures from one point.
    #[must_use]
    pub fn fork(&self) -> MemoryStore {
        let mut copy = self.disk().clone();
        copy.faults.clear();
        MemoryStore { disk: Arc::new(Mutex::new(copy)), term: None, ended: None }
    }

    /// Makes a fault happen at the commit of this number (the first is 1); it happens once.
    pub fn fail_at(&self, commit: u64, fault: Fault) {
        self.disk().faults.insert(commit, fault);
    }

    /// Keeps room for when there is none, from now on.
    pub fn keep_reserve(&self) {
        let mut disk = self.disk();
        (disk.keeps_reserve, disk.reserve) = (true, true);
    }

    /// The room that was given up can be kept again.
    pub fn make_room(&self) {
        self.disk().room_kept_again = true;
    }

    /// How many batches were tried to commit so far, over all openers. Terms do not count.
    #[must_use]
    pub fn commits(&self) -> u64 {
        self.disk().commits
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        // A panic elsewhere cannot leave the disk half changed: content is replaced whole.
        self.disk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn alive(&self) -> Result<(), StoreError> {
        match self.ended {
            None => Ok(()),
            Some(Ended::Crashed) => Err(StoreError::Crashed),
            Some(Ended::Poisoned) => Err(StoreError::Poisoned { first: "a made disk failure".to_owned() }),
        }
    }

    fn readable(&self) -> Result<(), StoreError> {
        if self.ended == Some(Ended::Crashed) { Err(StoreError::Crashed) } else { Ok(()) }
    }
}

impl Store for MemoryStore {
    fn begin_term_above(&mut self, known: Epoch) -> Result<Epoch, StoreError> {
        self.alive()?;
        let mut disk = self.disk();
        disk.epoch = disk.epoch.max(known).next();
        let epoch = disk.epoch;
        drop(disk);
        self.term = Some(epoch);
        Ok(epoch)
    }

    fn position(&self) -> Position {
        let disk = self.disk();
        Position { epoch: disk.epoch, commits: disk.commits }
    }

    fn give_up_reserve(&mut self) -> bool {
        std::mem::take(&mut self.disk().reserve)
    }

    fn has_reserve(&mut self) -> bool {
        let mut disk = self.disk();
        if disk.room_kept_again {
            (disk.reserve, disk.room_kept_again) = (true, false);
        }
        disk.reserve || !disk.keeps_reserve
    }

    fn commit(&mut self, batch: &Batch) -> Result<Vec<Sequence>, StoreError> {
        self.alive()?;
        batch.check()?;
        let ours = self.term.ok_or(StoreError::NoTerm)?;
        let mut disk = self.disk();
        if disk.epoch != ours {
            return Err(StoreError::Superseded { ours, newest: disk.epoch });
        }
        let mut content = disk.content.clone();
        let sequences = batch.operations().iter().filter_map(|operation| content.apply(operation).transpose());
        let sequences = sequences.collect::<Result<Vec<_>, _>>()?;
        disk.commits += 1;
        let number = disk.commits;
        let fault = disk.faults.remove(&number);
        if matches!(fault, None | Some(Fault::CrashAfter)) {
            disk.content = content;
        }
        drop(disk);
        match fault {
            None => Ok(sequences),
            Some(Fault::Full) => Err(StoreError::Full),
            Some(Fault::CrashBefore | Fault::CrashAfter) => {
                self.ended = Some(Ended::Crashed);
                Err(StoreError::Crashed)
            }
            Some(Fault::Io) => {
                self.ended = Some(Ended::Poisoned);
                Err(StoreError::io("write", "a made disk failure"))
            }
        }
    }

    fn read(&mut self, stream: &str, from: Sequence) -> Result<Vec<Record>, StoreError> {
        self.readable()?;
        let disk = self.disk();
        let records = disk.content.streams.get(stream).into_iter().flatten();
        Ok(records.filter(|record| record.sequence >= from).cloned().collect())
    }

    fn last(&self, stream: &str) -> Result<Sequence, StoreError> {
        self.readable()?;
        Ok(self.disk().content.last(stream))
    }

    fn streams(&mut self) -> Result<Vec<String>, StoreError> {
        self.readable()?;
        Ok(self.disk().content.streams.keys().cloned().collect())
    }

    fn fact(&mut self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.readable()?;
        Ok(self.disk().content.facts.get(&(table.to_owned(), key.to_owned())).cloned())
    }

    fn facts(&mut self, table: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.readable()?;
        let disk = self.disk();
        let of_table = disk.content.facts.range((table.to_owned(), String::new())..);
        Ok(of_table
            .take_while(|((t, _), _)| t == table)
            .map(|((_, key), bytes)| (key.clone(), bytes.clone()))
            .collect())
    }

    fn fact_keys(&mut self, table: &str, from: &str, below: &str) -> Result<Vec<String>, StoreError> {
        let facts = self.facts(table)?;
        let keys = facts.into_iter().map(|(key, _)| key);
        Ok(keys.filter(|key| (from..below).contains(&key.as_str())).collect())
    }
}

impl Content {
    fn last(&self, stream: &str) -> Sequence {
        self.streams.get(stream).and_then(|records| records.last()).map_or(Sequence::START, |record| record.sequence)
    }

    fn apply(&mut self, operation: &Operation) -> Result<Option<Sequence>, StoreError> {
        match operation {
            Operation::Append { stream, kind, bytes } => {
                let sequence = Sequence(self.last(stream).0 + 1);
                self.streams.entry(stream.clone()).or_default().push(Record {
                    sequence,
                    record: RecordKind::Appended,
                    kind: kind.clone(),
                    bytes: bytes.clone(),
                });
                return Ok(Some(sequence));
            }
            Operation::Snapshot { stream, kind, bytes, upto } => {
                let refused = || StoreError::Invalid(format!("a snapshot of {stream:?} at {upto}"));
                let records = self.streams.get_mut(stream).ok_or_else(refused)?;
                let at = records.iter().position(|record| record.sequence == *upto).ok_or_else(refused)?;
                records.drain(..at);
                records[0] =
                    Record { sequence: *upto, record: RecordKind::Snapshot, kind: kind.clone(), bytes: bytes.clone() };
            }
            Operation::Put { table, key, bytes } => {
                self.facts.insert((table.clone(), key.clone()), bytes.clone());
            }
            Operation::Delete { table, key } => {
                self.facts.remove(&(table.clone(), key.clone()));
            }
        }
        Ok(None)
    }
}
