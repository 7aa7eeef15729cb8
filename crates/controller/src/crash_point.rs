//! A way to die at a chosen record, for the tests that kill a controller at each of them.
//!
//! `GAPLESS_CRASH_AT=12:before` ends the process by SIGKILL just before its twelfth commit to the journal, `12:after` just after it.

/// The environment variable that sets it.
pub const CRASH_AT_ENV: &str = "GAPLESS_CRASH_AT";

use gapless_journal::{BackUp, Batch, Existing, Operation, Position, Record, Sequence, Standing, Store, StoreError};
use gapless_model::Epoch;

/// A store that ends the process at the chosen commit.
#[derive(Debug)]
pub struct Crashing<S> {
    store: S,
    point: CrashPoint,
}

impl<S> Crashing<S> {
    /// As the environment says.
    pub fn from_environment(store: S) -> Crashing<S> {
        Crashing { store, point: CrashPoint::from_environment() }
    }
}

impl<S: Store> Store for Crashing<S> {
    fn begin_term_above(&mut self, known: Epoch) -> Result<Epoch, StoreError> {
        self.store.begin_term_above(known)
    }

    fn position(&self) -> Position {
        self.store.position()
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.store.checkpoint()
    }

    fn give_up_reserve(&mut self) -> bool {
        self.store.give_up_reserve()
    }

    fn has_reserve(&mut self) -> bool {
        self.store.has_reserve()
    }

    fn commit(&mut self, batch: &Batch) -> Result<Vec<Sequence>, StoreError> {
        // Counted are records and what stands for them: a start and the news of a proxy are not what a test wants to die at.
        let record = |operation: &Operation| matches!(operation, Operation::Append { .. } | Operation::Snapshot { .. });
        let counts = batch.operations().iter().any(record);
        if counts {
            self.point.commit_begins();
        }
        let committed = self.store.commit(batch)?;
        if counts {
            self.point.commit_ended();
        }
        Ok(committed)
    }

    fn read(&mut self, stream: &str, from: Sequence) -> Result<Vec<Record>, StoreError> {
        self.store.read(stream, from)
    }

    fn last(&self, stream: &str) -> Result<Sequence, StoreError> {
        self.store.last(stream)
    }

    fn streams(&mut self) -> Result<Vec<String>, StoreError> {
        self.store.streams()
    }

    fn fact(&mut self, table: &str, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.store.fact(table, key)
    }

    fn facts(&mut self, table: &str) -> Result<Vec<(String, Vec<u8>)>, StoreError> {
        self.store.facts(table)
    }

    fn fact_keys(&mut self, table: &str, from: &str, below: &str) -> Result<Vec<String>, StoreError> {
        self.store.fact_keys(table, from, below)
    }
}

impl<S: BackUp> BackUp for Crashing<S> {
    fn back_up(&mut self, to: &std::path::Path, existing: Existing) -> Result<Standing, StoreError> {
        self.store.back_up(to, existing)
    }
}

/// Where to die, and how far it is until then.
#[derive(Debug, Default)]
pub struct CrashPoint {
    at: Option<(u64, Side)>,
    commits: u64,
}

/// On which side of a commit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    /// Before it is written.
    Before,
    /// After it is durable, before anything is done about it.
    After,
}

impl CrashPoint {
    /// As the environment says; nowhere when it says nothing, or nothing that can be read.
    #[must_use]
    pub fn from_environment() -> CrashPoint {
        CrashPoint { at: std::env::var(CRASH_AT_ENV).ok().and_then(|text| parse(&text)), commits: 0 }
    }

    /// The next commit begins.
    pub fn commit_begins(&mut self) {
        self.commits += 1;
        self.reach(Side::Before);
    }

    /// The commit is durable.
    pub fn commit_ended(&self) {
        self.reach(Side::After);
    }

    fn reach(&self, side: Side) {
        if self.at == Some((self.commits, side)) {
            let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
        }
    }
}

fn parse(text: &str) -> Option<(u64, Side)> {
    let (number, side) = text.split_once(':')?;
    let side = match side {
        "before" => Side::Before,
        "after" => Side::After,
        _ => return None,
    };
    Some((number.parse().ok()?, side))
}

#[cfg(test)]
mod tests {
    use super::{Side, parse};

    #[test]
    fn a_crash_point_is_a_number_and_a_side() {
        assert_eq!(parse("12:before"), Some((12, Side::Before)));
        assert_eq!(parse("1:after"), Some((1, Side::After)));
        assert_eq!(parse("after"), None);
        assert_eq!(parse("x:after"), None);
    }
}
