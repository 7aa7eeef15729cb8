//! What the proxies counted, and the receipts that follow from it.
//!
//! A proxy's counts are cumulative over its life, so a missed report loses nothing. What a rollout cost is the difference between
//! its end and its begin; the begin (its *baseline*) is kept in the journal, so that a receipt is whole over restarts of the controller.

use std::collections::BTreeMap;

use gapless_model::{ReleaseId, ReleaseLabel, RolloutId, ServiceName};
use gapless_routing::{Audience, Blame, ProxyId, SeriesCounts, SeriesKey, StatusClass, Terminal};
use gapless_wire::api::{Receipt, ReleaseCounts, RolloutSummary};
use gapless_wire::control::{ReportDoc, SeriesDoc};

use crate::errors::Sums;

type Life = BTreeMap<SeriesKey, SeriesCounts>;

/// The counts of all lives of all proxies that a receipt may still need.
#[derive(Debug, Default)]
pub struct Ledger {
    lives: BTreeMap<ProxyId, Life>,
    /// Lives that have ended; kept while a rollout counts that began before.
    gone: BTreeMap<ProxyId, Life>,
    baselines: BTreeMap<(ServiceName, RolloutId), BTreeMap<ProxyId, Life>>,
    /// Why a baseline is older than its rollout, for people.
    early: BTreeMap<(ServiceName, RolloutId), Vec<String>>,
    /// Rollouts during which a life ended: its last moments are not known.
    torn: Vec<(ServiceName, RolloutId)>,
}

/// How old the counts are from which on a receipt counts. Never too young: what a rollout cost is at most told too high by it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Counted {
    /// Of the moment of the order, for which every proxy was asked; those that did not answer, a sentence each.
    Asked {
        /// Who did not.
        unanswered: Vec<String>,
    },
    /// As the proxies reported last: nobody ordered the rollout at the moment at which it began.
    #[default]
    AtLastReports,
}

impl Counted {
    /// Why requests from before the rollout may be on its receipt, a sentence each.
    #[must_use]
    pub fn early(self) -> Vec<String> {
        match self {
            Counted::Asked { unanswered } => unanswered,
            Counted::AtLastReports => {
                vec![
                    "it began when another rollout ended: requests of up to a second before are counted too".to_owned(),
                ]
            }
        }
    }
}

impl Ledger {
    /// A proxy reported. Series that a newer proxy names in a way that cannot be read are left out, and so are those that `counts` says no
    /// receipt will need: a proxy that is connected anew names every series of its life, those of releases long gone too.
    pub fn reported(&mut self, proxy: &ProxyId, report: &ReportDoc, counts: impl Fn(&SeriesKey) -> bool) {
        let life = self.lives.entry(proxy.clone()).or_default();
        for doc in &report.series {
            if let Ok(Some(key)) = doc.key()
                // Previews are no cost of a rollout's to its clients.
                && key.audience == Audience::Everybody
                && (life.contains_key(&key) || counts(&key))
            {
                life.insert(key, doc.counts());
            }
        }
    }

    /// Lets the series of a service go that no receipt will need any more. While a rollout of it counts, nothing is let go: its receipt is
    /// a difference, and needs both of its ends.
    pub fn let_go(&mut self, service: &ServiceName, needed: impl Fn(&SeriesKey) -> bool) {
        if self.baselines.keys().any(|(counting, _)| counting == service) {
            return;
        }
        for life in self.lives.values_mut().chain(self.gone.values_mut()) {
            life.retain(|key, _| key.service != *service || needed(key));
        }
    }

    /// How many series are held, over all lives of all proxies.
    #[must_use]
    pub fn series(&self) -> usize {
        self.lives.values().chain(self.gone.values()).map(BTreeMap::len).sum()
    }

    /// What the proxies have counted of each release of each service until now.
    pub(crate) fn sums(&self) -> BTreeMap<ServiceName, BTreeMap<ReleaseId, Sums>> {
        let mut sums: BTreeMap<ServiceName, BTreeMap<ReleaseId, Sums>> = BTreeMap::new();
        for (key, counts) in self.lives.values().chain(self.gone.values()).flatten() {
            let Some(release) = key.release else { continue };
            if !sums.contains_key(&key.service) {
                sums.insert(key.service.clone(), BTreeMap::new());
            }
            let Some(sum) = sums.get_mut(&key.service).map(|of| of.entry(release).or_default()) else { continue };
            sum.ended += counts.total();
            let failed = counts.failed_by(Blame::Service);
            sum.failed += failed;
            sum.counted += failed + counts.answered_well();
        }
        sums
    }

    /// A proxy's process ended.
    pub fn proxy_gone(&mut self, proxy: &ProxyId) {
        if let Some(life) = self.lives.remove(proxy)
            && !self.baselines.is_empty()
        {
            self.gone.insert(proxy.clone(), life);
            self.torn.extend(self.baselines.keys().cloned());
        }
    }

    /// A rollout begins, of which it is known why its baseline is older, where it is. Answers its baseline in the form in which it is kept.
    pub fn begin(&mut self, service: &ServiceName, rollout: RolloutId, early: &[String]) -> Vec<u8> {
        let of_service = |life: &Life| -> Life {
            life.iter()
                .filter(|(key, _)| key.service == *service)
                .map(|(key, counts)| (key.clone(), counts.clone()))
                .collect()
        };
        let baseline: BTreeMap<ProxyId, Life> =
            self.lives.iter().map(|(proxy, life)| (proxy.clone(), of_service(life))).collect();
        let docs: BTreeMap<&str, Vec<SeriesDoc>> = baseline
            .iter()
            .map(|(proxy, life)| {
                (proxy.0.as_str(), life.iter().map(|(key, counts)| SeriesDoc::new(Some(key), counts)).collect())
            })
            .collect();
        let bytes = serde_json::to_vec(&docs).expect("BUG: counts are always JSON");
        self.baselines.insert((service.clone(), rollout), baseline);
        self.is_early(service, rollout, early.to_vec());
        bytes
    }

    /// A baseline of an earlier term. One that cannot be read is taken as empty, and the receipt says that it is not whole.
    pub fn restore(&mut self, service: &ServiceName, rollout: RolloutId, bytes: &[u8]) {
        let docs: BTreeMap<String, Vec<SeriesDoc>> = serde_json::from_slice(bytes).unwrap_or_else(|_| {
            self.torn.push((service.clone(), rollout));
            BTreeMap::new()
        });
        let life = |docs: Vec<SeriesDoc>| {
            docs.iter().filter_map(|doc| doc.key().ok().flatten().map(|key| (key, doc.counts()))).collect()
        };
        let baseline = docs.into_iter().map(|(proxy, docs)| (ProxyId(proxy), life(docs))).collect();
        self.baselines.insert((service.clone(), rollout), baseline);
    }

    /// Why the baseline of a rollout is older than it, a sentence each.
    pub fn is_early(&mut self, service: &ServiceName, rollout: RolloutId, early: Vec<String>) {
        if !early.is_empty() {
            self.early.insert((service.clone(), rollout), early);
        }
    }

    /// The receipt of a rollout that ended. `label` names releases.
    #[must_use]
    pub fn receipt(
        &self,
        service: &ServiceName,
        rollout: RolloutSummary,
        label: impl Fn(ReleaseId) -> Option<ReleaseLabel>,
    ) -> Receipt {
        if !rollout.ran() {
            return Receipt::of_nothing(rollout, service);
        }
        let key = (service.clone(), RolloutId(rollout.rollout));
        let baseline = self.baselines.get(&key);
        // A life of the baseline that is neither here nor known to be gone ended while no controller watched.
        let unseen = |proxy: &ProxyId| !self.lives.contains_key(proxy) && !self.gone.contains_key(proxy);
        let whole = !self.torn.contains(&key) && baseline.is_some_and(|lives| !lives.keys().any(unseen));
        let mut sums: BTreeMap<Option<ReleaseId>, SeriesCounts> = BTreeMap::new();
        for (proxy, life) in self.lives.iter().chain(&self.gone) {
            let before = baseline.and_then(|lives| lives.get(proxy));
            for (series, counts) in life.iter().filter(|(series, _)| series.service == *service) {
                let during = match before.and_then(|life| life.get(series)) {
                    Some(before) => counts.since(before),
                    None => counts.clone(),
                };
                sums.entry(series.release).or_default().merge(&during);
            }
        }
        let counted_before = self.early.get(&key).cloned().unwrap_or_default();
        Receipt { counted_before, ..receipt(service, rollout, &sums, whole, label) }
    }

    /// The receipt of a rollout is written: its baseline is not needed any more.
    pub fn settled(&mut self, service: &ServiceName, rollout: RolloutId) {
        let key = (service.clone(), rollout);
        self.baselines.remove(&key);
        self.early.remove(&key);
        self.torn.retain(|torn| *torn != key);
        if self.baselines.is_empty() {
            self.gone.clear();
        }
    }
}

fn receipt(
    service: &ServiceName,
    rollout: RolloutSummary,
    sums: &BTreeMap<Option<ReleaseId>, SeriesCounts>,
    complete: bool,
    label: impl Fn(ReleaseId) -> Option<ReleaseLabel>,
) -> Receipt {
    let mut all = SeriesCounts::default();
    sums.values().for_each(|counts| all.merge(counts));
    let ended = |wanted: &dyn Fn(Terminal) -> bool| -> u64 {
        Terminal::all().filter(|terminal| wanted(*terminal)).map(|terminal| all.terminals[terminal.index()]).sum()
    };
    let reasons = Terminal::all()
        .filter(|terminal| !matches!(terminal, Terminal::Answered(_)))
        .map(|terminal| (terminal.key(), all.terminals[terminal.index()]))
        .filter(|(_, count)| *count > 0)
        .collect();
    let failed = |blame| ended(&|terminal| !matches!(terminal, Terminal::Answered(_)) && terminal.blame() == blame);
    Receipt {
        service: service.to_string(),
        requests: all.total(),
        releases: sums
            .iter()
            .rev()
            .filter_map(|(release, counts)| release.map(|release| (release, counts)))
            .map(|(release, counts)| release_counts(release, counts, label(release)))
            .filter(|counts| counts.answered > 0 || counts.failed > 0)
            .collect(),
        answered_by_us: ended(&|terminal| matches!(terminal, Terminal::AnsweredByUs(_))),
        client_left: ended(&|terminal| matches!(terminal, Terminal::ClientLeft)),
        cut: ended(&|terminal| matches!(terminal, Terminal::Cut(_))),
        retried: all.retries.saturating_sub(all.replays),
        replayed: all.replays,
        held: all.held,
        longest_wait_ms: all.held_longest_us / 1_000,
        failed_by_service: failed(Blame::Service),
        server_errors: ended(&|terminal| terminal == Terminal::Answered(StatusClass::ServerError)),
        failed_by_us: failed(Blame::Us),
        tunnels_draining: 0,
        reasons,
        complete,
        unknown: Vec::new(),
        last_words: None,
        counted_before: Vec::new(),
        rollout,
    }
}

fn release_counts(release: ReleaseId, counts: &SeriesCounts, label: Option<ReleaseLabel>) -> ReleaseCounts {
    let answered = Terminal::all().filter(|terminal| matches!(terminal, Terminal::Answered(_)));
    let by_class: BTreeMap<String, u64> = answered
        .map(|terminal| (terminal.key(), counts.terminals[terminal.index()]))
        .filter(|(_, count)| *count > 0)
        .collect();
    ReleaseCounts {
        label: label.map_or_else(|| format!("r{release}"), |label| label.to_string()),
        answered: by_class.values().sum(),
        failed: counts.failed_by(Blame::Service),
        by_class,
        p50_us: counts.latency_us.quantile_us(0.5),
        p99_us: counts.latency_us.quantile_us(0.99),
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::{Host, PathPrefix, Route};

    use super::*;

    #[test]
    fn previews_are_on_no_receipt() {
        let service = ServiceName::new("shop").unwrap();
        let route = Route { host: Host::any(), path: PathPrefix::new("/").unwrap() };
        let key = SeriesKey { service: service.clone(), release: None, route, audience: Audience::Preview };
        let mut counts = SeriesCounts::default();
        counts.terminals[Terminal::AnsweredByUs(gapless_routing::OurAnswer::ConnectFailed).index()] = 7;
        let report = ReportDoc { series: vec![SeriesDoc::new(Some(&key), &counts)], ..ReportDoc::default() };
        let mut ledger = Ledger::default();
        ledger.reported(&ProxyId("p".to_owned()), &report, |_| true);
        assert_eq!(ledger.begin(&service, RolloutId(1), &[]), br#"{"p":[]}"#);
    }
}
