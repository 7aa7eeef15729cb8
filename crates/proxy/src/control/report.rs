//! What the proxy reports, and the books that make counts cumulative per series although a series' cells are used again.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use gapless_model::{Health, InstanceId, TableVersion};
use gapless_routing::{Registry, Series, SeriesCounts, SeriesKey};
use gapless_wire::control::{HealthReport, InFlightDoc, ReportDoc, SeriesDoc, VersionDoc};

use crate::data::DataPlane;

/// What was counted before a series' cells were used again, and what the controller was told.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// What the cells held when their series was given back: the zero of what comes next.
    zero: HashMap<Series, SeriesCounts>,
    /// The final counts of series that were given back, in case their key returns.
    closed: HashMap<SeriesKey, SeriesCounts>,
    /// As last sent on this connection.
    sent: BTreeMap<Option<SeriesKey>, SeriesCounts>,
    number: u64,
}

/// What a report is made of.
#[derive(Debug)]
pub(super) struct Seen<'s> {
    /// The version that may be told as applied. Read before the counts: a request that an older table sent is then in them.
    pub(super) applied: Option<TableVersion>,
    pub(super) registry: &'s Registry,
    pub(super) plane: &'s DataPlane,
    /// The health of instances by the probes, and on how many threads they are ejected.
    pub(super) health: &'s BTreeMap<InstanceId, (Health, u32)>,
    pub(super) uptime: Duration,
    pub(super) troubles: Vec<String>,
}

/// Final counts kept of series that were given back: as many as may be counted at once.
const CLOSED_MAX: usize = gapless_routing::SERIES_MAX;

impl Books {
    /// A series is given back.
    pub(super) fn close(&mut self, series: Series, key: &SeriesKey, plane: &DataPlane) {
        let counts = self.counts(series, Some(key), plane);
        self.zero.insert(series, plane.series(series.index()));
        self.sent.remove(&Some(key.clone()));
        if self.closed.len() < CLOSED_MAX {
            self.closed.insert(key.clone(), counts);
        }
    }

    /// A new connection was told nothing yet.
    pub(super) fn forget_sent(&mut self) {
        self.sent.clear();
    }

    fn counts(&self, series: Series, key: Option<&SeriesKey>, plane: &DataPlane) -> SeriesCounts {
        let mut counts = plane.series(series.index());
        if let Some(zero) = self.zero.get(&series) {
            counts = counts.since(zero);
        }
        if let Some(before) = key.and_then(|key| self.closed.get(key)) {
            counts.merge(before);
        }
        counts
    }

    /// A report of now: every instance with requests in flight, and the series that changed since the last one on this connection. A
    /// series that was given back changes once more, to its final counts: a controller that came after its end needs them for the
    /// receipt of a rollout that began before.
    pub(super) fn report(&mut self, seen: Seen<'_>) -> ReportDoc {
        let Seen { applied, registry, plane, health, uptime, troubles } = seen;
        // Before the series: what ends in between is then in both rather than in neither.
        let in_flight = in_flight(registry, plane);
        let mut changed = Vec::new();
        let keys = registry.series().map(|(series, key)| (series, Some(key)));
        for (series, key) in keys.chain([(Series::UNMATCHED, None)]) {
            let counts = self.counts(series, key, plane);
            if self.sent.get(&key.cloned()) != Some(&counts) {
                changed.push((key.cloned(), counts));
            }
        }
        let open: HashSet<&SeriesKey> = registry.series().map(|(_, key)| key).collect();
        for (key, counts) in self.closed.iter().filter(|(key, _)| !open.contains(key)) {
            if self.sent.get(&Some(key.clone())) != Some(counts) {
                changed.push((Some(key.clone()), counts.clone()));
            }
        }
        changed.sort_by(|a, b| a.0.cmp(&b.0));
        let series = SeriesDoc::of_all(&changed);
        self.sent.extend(changed);
        self.number += 1;
        let sum = |read: fn(&crate::seam::WorkerCounts) -> u64| -> u64 {
            plane.workers().iter().map(|worker| read(worker.counts())).sum()
        };
        ReportDoc {
            number: self.number,
            uptime_ms: u64::try_from(uptime.as_millis()).unwrap_or(u64::MAX),
            applied: applied.map(VersionDoc::from).unwrap_or_default(),
            in_flight,
            series,
            health: health_docs(health),
            connections: sum(|counts| counts.connections.read()),
            upstream_connections: sum(|counts| counts.upstream_connections.read()),
            tunnels: sum(|counts| counts.tunnels.read()),
            holding: sum(|counts| counts.holding.read()),
            dropped: sum(|counts| counts.dropped.read()),
            asked: 0,
            troubles,
        }
    }
}

fn in_flight(registry: &Registry, plane: &DataPlane) -> Vec<InFlightDoc> {
    let by_slot = plane.in_flight();
    let mut by_instance: BTreeMap<&InstanceId, (u64, u64)> = BTreeMap::new();
    for (slot, instance, _) in registry.instances() {
        if let Some(count) = by_slot.get(&slot.index()) {
            let (requests, lasting) = by_instance.entry(instance).or_default();
            *requests += count;
            *lasting += plane.lasting_on(slot.index());
        }
    }
    // The two are read one after the other, while threads go on counting.
    let doc = |(instance, (requests, lasting)): (&InstanceId, (u64, u64))| InFlightDoc {
        instance: instance.to_string(),
        requests,
        lasting: lasting.min(requests),
    };
    by_instance.into_iter().map(doc).collect()
}

fn health_docs(health: &BTreeMap<InstanceId, (Health, u32)>) -> Vec<HealthReport> {
    let doc = |(instance, (health, ejected)): (&InstanceId, &(Health, u32))| HealthReport {
        instance: instance.to_string(),
        probes: (*health).into(),
        ejected_on: *ejected,
    };
    health.iter().map(doc).collect()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use gapless_model::{Epoch, Generation, TableVersion, Term};
    use gapless_routing::TableSpec;
    use gapless_wire::control::SealedTable;

    use super::super::keeping::Keeping;
    use super::super::station::{Equipment, Station};
    use super::super::store::Store;
    use super::*;
    use crate::data::Settings;

    #[test]
    fn a_report_acknowledges_a_table_no_sooner_than_the_disk_lets() {
        let (events, _heard) = std::sync::mpsc::sync_channel(16);
        let plane = DataPlane::start(1, Settings::default(), &events, None).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (told, mut news) = tokio::sync::mpsc::channel(4);
        let keeping = Some(Keeping::start(Store::new(folder.path()), told).unwrap());
        let equipment = Equipment { keeping, settings: Settings::default(), access_log: None, troubles: Vec::new() };
        let mut station = Station::new(plane, equipment);
        station.admit(Term { epoch: Epoch(1), ..Term::default() }).unwrap();
        let version = TableVersion { epoch: Epoch(1), generation: Generation(1) };
        let sealed = SealedTable::seal(&TableSpec { version, services: Vec::new() }).unwrap();
        let began = Instant::now();
        station.take(&sealed).unwrap();
        let deadline = began + Duration::from_secs(20);
        while station.plane.applied() != Some(version) {
            assert!(Instant::now() < deadline, "the thread does not take the table");
            std::thread::sleep(Duration::from_millis(1));
        }
        let early = station.report().applied;
        // The disk's time is a second; a machine that took longer to come here has shown nothing.
        if began.elapsed() < Duration::from_secs(1) {
            assert_eq!(early, VersionDoc::default(), "nobody has heard of the disk yet");
        }
        station.kept(news.blocking_recv().unwrap());
        assert_eq!(station.report().applied, VersionDoc::from(version));
    }
}
