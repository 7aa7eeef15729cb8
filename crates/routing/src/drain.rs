//! When is an instance drained? When every proxy applied a table without it and reports nothing of it in flight.
//!
//! Kept by the controller, one for all its proxies. A proxy that is not connected stays in the book: its last word counts until it
//! speaks again or its process is known to be gone, for unknown is not empty (I8).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use gapless_model::{InstanceId, TableVersion};

/// One life of one proxy process: a proxy that starts again is another.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProxyId(pub String);

impl fmt::Display for ProxyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What a proxy said last.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct LastWord {
    applied: TableVersion,
    in_flight: BTreeMap<InstanceId, u64>,
    /// Of those, what has no end in sight.
    lasting: BTreeMap<InstanceId, u64>,
}

/// The book of what drains.
#[derive(Clone, Debug, Default)]
pub struct DrainBook {
    present: BTreeSet<InstanceId>,
    /// The first table without it.
    leaving: BTreeMap<InstanceId, TableVersion>,
    proxies: BTreeMap<ProxyId, LastWord>,
}

impl DrainBook {
    /// A table with these instances is being published: what was in the table before and is not in this one begins to drain, what
    /// is in it again no longer does.
    pub fn published(&mut self, version: TableVersion, instances: impl IntoIterator<Item = InstanceId>) {
        let now: BTreeSet<InstanceId> = instances.into_iter().collect();
        for gone in self.present.difference(&now) {
            self.leaving.insert(gone.clone(), version);
        }
        self.leaving.retain(|instance, _| !now.contains(instance));
        self.present = now;
    }

    /// An instance drains since that table: what a returning controller knows from its journal.
    pub fn leaving_since(&mut self, instance: InstanceId, version: TableVersion) {
        if !self.present.contains(&instance) {
            self.leaving.insert(instance, version);
        }
    }

    /// A proxy's report: what it applied, and the requests in flight per instance (those it does not name have none). A report of an
    /// older table than it applied before is late, and says nothing.
    pub fn reported(
        &mut self,
        proxy: &ProxyId,
        applied: TableVersion,
        in_flight: impl IntoIterator<Item = (InstanceId, u64)>,
    ) {
        let last = self.proxies.entry(proxy.clone()).or_default();
        if applied >= last.applied {
            let in_flight = in_flight.into_iter().filter(|(_, count)| *count > 0).collect();
            *last = LastWord { applied, in_flight, lasting: BTreeMap::new() };
        }
    }

    /// What of a proxy's last report has no end in sight: tunnels and streams of events. Said right after that report; where nothing is said,
    /// everything is waited for.
    pub fn lasting(&mut self, proxy: &ProxyId, lasting: impl IntoIterator<Item = (InstanceId, u64)>) {
        if let Some(last) = self.proxies.get_mut(proxy) {
            last.lasting = lasting.into_iter().filter(|(_, count)| *count > 0).collect();
        }
    }

    /// The instances whose requests have ended, and through which tunnels or streams are open.
    pub fn lasting_alone(&self) -> impl Iterator<Item = &InstanceId> {
        self.leaving.iter().map(|(instance, since)| (instance, self.in_flight(instance, *since))).filter_map(
            |(instance, in_flight)| {
                let lasting: u64 = self.proxies.values().filter_map(|last| last.lasting.get(instance)).sum();
                (lasting > 0 && in_flight? <= lasting).then_some(instance)
            },
        )
    }

    /// A proxy's process is known to be gone, and its requests with it.
    pub fn proxy_gone(&mut self, proxy: &ProxyId) {
        self.proxies.remove(proxy);
    }

    /// Every instance that drains, with the requests it still has in flight over all proxies (those of proxies that have yet to
    /// apply the table are not known, hence none).
    pub fn draining(&self) -> impl Iterator<Item = (&InstanceId, Option<u64>)> {
        self.leaving.iter().map(|(instance, since)| (instance, self.in_flight(instance, *since)))
    }

    /// The instances that are drained.
    pub fn drained(&self) -> impl Iterator<Item = &InstanceId> {
        self.draining().filter(|(_, in_flight)| *in_flight == Some(0)).map(|(instance, _)| instance)
    }

    /// An instance is stopped: it leaves the book.
    pub fn forget(&mut self, instance: &InstanceId) {
        self.leaving.remove(instance);
    }

    fn in_flight(&self, instance: &InstanceId, since: TableVersion) -> Option<u64> {
        if self.proxies.is_empty() || self.proxies.values().any(|last| last.applied < since) {
            return None;
        }
        Some(self.proxies.values().filter_map(|last| last.in_flight.get(instance)).sum())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::tests::{instance, version};

    fn drained(book: &DrainBook) -> Vec<String> {
        book.drained().map(InstanceId::to_string).collect()
    }

    #[test]
    fn an_instance_is_drained_when_every_proxy_applied_a_table_without_it_and_has_nothing_in_flight() {
        let (old, new) = (instance("shop", 1, 1), instance("shop", 2, 2));
        let (a, b) = (ProxyId("a".into()), ProxyId("b".into()));
        let mut book = DrainBook::default();
        book.published(version(1), [old.clone()]);
        book.reported(&a, version(1), []);
        book.reported(&b, version(1), []);
        book.published(version(2), [new.clone()]);
        assert!(drained(&book).is_empty(), "idle, but neither proxy knows yet");
        book.reported(&a, version(2), []);
        assert!(drained(&book).is_empty(), "one proxy may still send to it");
        book.reported(&b, version(2), [(old.clone(), 1)]);
        assert_eq!(book.draining().collect::<Vec<_>>(), [(&old, Some(1))]);
        book.reported(&b, version(1), []);
        assert!(drained(&book).is_empty(), "a late report of the table before says nothing");
        book.reported(&b, version(2), []);
        assert_eq!(drained(&book), ["shop.r1.i1"]);
        book.forget(&old);
        assert_eq!(book.draining().count(), 0);
    }

    #[test]
    fn what_has_no_end_in_sight_is_told_apart_and_unknown_is_waited_for() {
        let old = instance("shop", 1, 1);
        let a = ProxyId("a".into());
        let mut book = DrainBook::default();
        let quiet = |book: &DrainBook| book.lasting_alone().map(InstanceId::to_string).collect::<Vec<_>>();
        book.published(version(1), [old.clone()]);
        book.published(version(2), []);
        book.reported(&a, version(1), [(old.clone(), 3)]);
        book.lasting(&a, [(old.clone(), 3)]);
        assert!(quiet(&book).is_empty(), "it may still send there");
        book.reported(&a, version(2), [(old.clone(), 3)]);
        assert!(quiet(&book).is_empty(), "a proxy that does not tell them apart");
        book.lasting(&a, [(old.clone(), 2)]);
        assert!(quiet(&book).is_empty(), "one request is in flight");
        book.reported(&a, version(2), [(old.clone(), 2)]);
        book.lasting(&a, [(old.clone(), 2)]);
        assert_eq!(quiet(&book), ["shop.r1.i1"]);
        assert!(drained(&book).is_empty(), "it is not drained");
        book.reported(&a, version(2), []);
        assert_eq!((quiet(&book).len(), drained(&book).len()), (0, 1));
    }

    #[test]
    fn an_instance_that_returns_to_the_table_drains_no_more() {
        let old = instance("shop", 1, 1);
        let mut book = DrainBook::default();
        book.published(version(1), [old.clone()]);
        book.published(version(2), []);
        book.published(version(3), [old.clone()]);
        book.reported(&ProxyId("a".into()), version(3), []);
        assert!(drained(&book).is_empty());
        book.published(version(4), []);
        assert!(drained(&book).is_empty(), "leaving again needs the newer table");
        book.reported(&ProxyId("a".into()), version(4), []);
        assert_eq!(drained(&book), ["shop.r1.i1"]);
    }

    #[test]
    fn without_a_proxy_nothing_is_drained_and_a_dead_proxy_holds_nothing_up() {
        let old = instance("shop", 1, 1);
        let mut book = DrainBook::default();
        book.leaving_since(old.clone(), version(2));
        assert!(drained(&book).is_empty(), "no proxy known is not no requests");
        book.reported(&ProxyId("a".into()), version(2), [(old.clone(), 4)]);
        book.reported(&ProxyId("b".into()), version(3), []);
        assert!(drained(&book).is_empty());
        book.proxy_gone(&ProxyId("a".into()));
        assert_eq!(drained(&book), ["shop.r1.i1"]);
    }
}
