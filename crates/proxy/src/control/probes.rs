//! Active health of what is in the table: one task per instance asks it, with the implementation that the controller uses too.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use gapless_model::{Health, InstanceId, Probe, ProbeKind, Tick};
use gapless_probe::{ProbeState, ProbeTarget, ask};
use gapless_routing::Table;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{Duration, Instant};

/// News of one instance's health.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct HealthNews {
    /// Which.
    pub(crate) instance: InstanceId,
    /// What it is now.
    pub(crate) health: Health,
}

/// The tasks that ask.
#[derive(Debug)]
pub(crate) struct Probes {
    tasks: HashMap<(InstanceId, Probe), AbortHandle>,
    news: mpsc::Sender<HealthNews>,
}

impl Probes {
    /// Nobody is asked yet. News go to `news`.
    pub(crate) fn new(news: mpsc::Sender<HealthNews>) -> Probes {
        Probes { tasks: HashMap::new(), news }
    }

    /// Asks what is in this table, and no longer what is not. Who is asked already goes on being asked.
    pub(crate) fn follow(&mut self, table: &Table) {
        let mut wanted = HashMap::new();
        let pools = table.services().iter().flat_map(|service| service.pools());
        for (pool, probe) in pools.filter_map(|pool| pool.probe().map(|probe| (pool, probe))) {
            if matches!(probe.kind, ProbeKind::Command { .. }) {
                continue;
            }
            for instance in pool.instances() {
                let target = ProbeTarget {
                    address: instance.address,
                    environment: BTreeMap::new(),
                    folder: PathBuf::new(),
                    label: pool.label().to_string(),
                };
                wanted.insert((instance.id.clone(), probe.clone()), (target, instance.slot.index()));
            }
        }
        self.tasks.retain(|key, task| {
            let keep = wanted.contains_key(key);
            if !keep {
                task.abort();
            }
            keep
        });
        for ((instance, probe), (target, slot)) in wanted {
            let news = self.news.clone();
            self.tasks
                .entry((instance.clone(), probe.clone()))
                .or_insert_with(|| tokio::spawn(watch(instance, probe, target, slot, news)).abort_handle());
        }
    }
}

impl Drop for Probes {
    fn drop(&mut self) {
        self.tasks.values().for_each(AbortHandle::abort);
    }
}

/// Asks one instance for ever. The first question is put off by a sixteenth of the interval times the slot, so that many instances are
/// not asked at one instant.
async fn watch(instance: InstanceId, probe: Probe, target: ProbeTarget, slot: usize, news: mpsc::Sender<HealthNews>) {
    let interval = probe.interval.to_duration();
    let mut state = ProbeState::new(&probe);
    let started = Instant::now();
    tokio::time::sleep(interval.mul_f64((slot % 16) as f64 / 16.0).min(Duration::from_secs(1))).await;
    loop {
        let result = ask(&probe.kind, &target, probe.timeout).await;
        let now = Tick(u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX));
        if state.observe(result, now).is_some() {
            let news_now = HealthNews { instance: instance.clone(), health: state.health() };
            if news.send(news_now).await.is_err() {
                return;
            }
        }
        tokio::time::sleep(interval).await;
    }
}
