//! Which proxies are members, on record: over a restart of the controller a proxy that is silent still counts.

use std::collections::BTreeMap;

use gapless_journal::{Batch, Store, StoreError};
use gapless_routing::ProxyId;
use gapless_wire::record::{PROXIES, ProxyRecord};

/// The proxies that are members, and whether that is durable yet.
#[derive(Debug, Default)]
pub(crate) struct Members(BTreeMap<ProxyId, (ProxyRecord, Durable)>);

/// Whether something is in the journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Durable {
    Yes,
    NotYet,
}

/// Every proxy on record. A record that cannot be read (a newer program's) still names a member: unknown is not gone.
///
/// # Errors
/// When the journal cannot be read.
pub fn recorded<S: Store>(store: &mut S) -> Result<Vec<(ProxyId, ProxyRecord)>, StoreError> {
    let facts = store.facts(PROXIES)?;
    Ok(facts
        .into_iter()
        .map(|(name, bytes)| (ProxyId(name), serde_json::from_slice(&bytes).unwrap_or_default()))
        .collect())
}

impl Members {
    /// Those that were members in the term before.
    pub(crate) fn recorded(recorded: Vec<(ProxyId, ProxyRecord)>) -> Members {
        Members(recorded.into_iter().map(|(proxy, record)| (proxy, (record, Durable::Yes))).collect())
    }

    /// All of them, as they are on record.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&ProxyId, &ProxyRecord)> {
        self.0.iter().map(|(proxy, (record, _))| (proxy, record))
    }

    /// A proxy becomes one, or is one by another record.
    pub(crate) fn joined(&mut self, proxy: &ProxyId, record: ProxyRecord) {
        if self.0.get(proxy).is_none_or(|(known, _)| *known != record) {
            self.0.insert(proxy.clone(), (record, Durable::NotYet));
        }
    }

    /// A proxy is none any more. What makes that durable; nothing where it was none.
    pub(crate) fn gone(&mut self, proxy: &ProxyId) -> Option<Batch> {
        self.0.remove(proxy).map(|_| {
            let mut batch = Batch::new();
            batch.delete(PROXIES, proxy.0.clone());
            batch
        })
    }

    /// Whether one of them is not on record yet.
    pub(crate) fn are_unwritten(&self) -> bool {
        self.0.values().any(|(_, durable)| *durable == Durable::NotYet)
    }

    /// What makes the rest durable; empty where there is none.
    pub(crate) fn unwritten(&self) -> Batch {
        let mut batch = Batch::new();
        for (proxy, (record, durable)) in &self.0 {
            if *durable == Durable::NotYet {
                batch.put(PROXIES, proxy.0.clone(), serde_json::to_vec(record).expect("BUG: a record is always JSON"));
            }
        }
        batch
    }

    /// It is durable now.
    pub(crate) fn written(&mut self) {
        self.0.values_mut().for_each(|(_, durable)| *durable = Durable::Yes);
    }
}
