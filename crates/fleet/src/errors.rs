//! How many requests the releases of a service fail lately: the proxies' counts, looked at moment by moment.
//!
//! Kept in memory alone, and bounded: what a controller saw before it took over is no evidence now (I10), so after a restart the watch begins
//! anew with what is counted from there on. What it decides is for the machine to say, which is told the counts and nothing else.

use std::collections::{BTreeMap, VecDeque};

use gapless_model::{Millis, ReleaseId, RolloutId, ServiceName, Tick};
use gapless_rollout::{ErrorCounts, Exposure, OVERDUE_AFTER, Tally};
use gapless_routing::ProxyId;
use gapless_wire::control::ReportDoc;

/// How far back the counts go: long enough for a service with little traffic to be told, short enough for a release that fails late in a long
/// bake not to be hidden by how well it began.
const WINDOW: Millis = Millis::from_secs(60);
/// The least time between two looks that are kept; with it as many are kept as the window has seconds, and a few.
const LOOK_EVERY: Millis = Millis::from_secs(1);

/// What the proxies have counted of a release until now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Sums {
    /// Requests that ended, in whatever way.
    pub ended: u64,
    /// Those of them that say something of the release: it answered, or failed.
    pub counted: u64,
    /// Those of these that it failed.
    pub failed: u64,
}

/// The counts of one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Look {
    at: Tick,
    releases: BTreeMap<ReleaseId, (Sums, Waiting)>,
}

/// Requests in flight that have an end in sight.
type Waiting = u64;

/// The watch over all services.
#[derive(Debug, Default)]
pub struct ErrorWatch {
    services: BTreeMap<ServiceName, Course>,
    waiting: BTreeMap<ProxyId, BTreeMap<(ServiceName, ReleaseId), Waiting>>,
}

/// One service over the last minute.
#[derive(Debug, Default)]
struct Course {
    looks: VecDeque<Look>,
    exposed: Option<Exposed>,
}

/// Since when a candidate is in load, and how the release before did until then.
#[derive(Debug)]
struct Exposed {
    rollout: RolloutId,
    since: Tick,
    before: Tally,
}

impl ErrorWatch {
    /// A proxy said what it has in flight. A name that is none is left out.
    pub fn reported(&mut self, proxy: &ProxyId, report: &ReportDoc) {
        if !self.waiting.contains_key(proxy) && !report.series.is_empty() {
            // It tells the sums of its whole life: they are not of this moment.
            self.services.clear();
        }
        let waiting = self.waiting.entry(proxy.clone()).or_default();
        waiting.clear();
        for doc in &report.in_flight {
            if let Ok(gapless_model::InstanceId { service, release, .. }) = doc.instance.parse() {
                *waiting.entry((service, release)).or_default() += doc.requests.saturating_sub(doc.lasting);
            }
        }
    }

    /// A proxy's process ended, with all it had in flight.
    pub fn proxy_gone(&mut self, proxy: &ProxyId) {
        self.waiting.remove(proxy);
    }

    /// Looks at what is counted of a service now. Answers what to tell its machine while a candidate is exposed.
    pub fn look(
        &mut self,
        service: &ServiceName,
        sums: &BTreeMap<ReleaseId, Sums>,
        exposure: Option<Exposure>,
        now: Tick,
    ) -> Option<ErrorCounts> {
        let waiting = |release: ReleaseId| {
            let key = (service.clone(), release);
            self.waiting.values().filter_map(|waiting| waiting.get(&key)).sum()
        };
        let releases = sums.iter().map(|(release, sums)| (*release, (*sums, waiting(*release)))).collect();
        let course = self.services.entry(service.clone()).or_default();
        course.expose(exposure);
        course.add(Look { at: now, releases });
        course.counts(exposure?)
    }

    /// Forgets services that are gone.
    pub fn keep(&mut self, is_there: impl Fn(&ServiceName) -> bool) {
        self.services.retain(|service, _| is_there(service));
    }
}

impl Course {
    fn add(&mut self, look: Look) {
        let now = look.at;
        let close = |earlier: &Look, later: &Look| later.at.since(earlier.at) < LOOK_EVERY;
        // The newest is always kept, the one before it where it is far enough from the one before that.
        if let [.., before, last] = self.looks.make_contiguous()
            && close(before, last)
        {
            self.looks.pop_back();
        }
        self.looks.push_back(look);
        // One that is as old as the window stays: differences begin at it.
        while self.looks.get(1).is_some_and(|second| now.since(second.at) >= WINDOW) {
            self.looks.pop_front();
        }
    }

    /// Notices that another candidate is in load than before, or none.
    fn expose(&mut self, exposure: Option<Exposure>) {
        let known = self.exposed.as_ref().map(|exposed| exposed.rollout);
        match (exposure, self.looks.back()) {
            (Some(exposure), Some(last)) if known != Some(exposure.rollout) => {
                let (since, first) = (last.at, self.looks.front().map_or(last.at, |first| first.at));
                let before = self.tally(exposure.current, first);
                self.exposed = Some(Exposed { rollout: exposure.rollout, since, before });
            }
            (Some(_), _) => {}
            (None, _) => self.exposed = None,
        }
    }

    fn counts(&self, exposure: Exposure) -> Option<ErrorCounts> {
        let Exposed { since, before, .. } = self.exposed.as_ref()?;
        let candidate = self.tally(exposure.candidate, *since);
        Some(ErrorCounts {
            failing_for: self.failing_for(exposure.candidate, *since),
            candidate,
            meanwhile: self.tally(exposure.current, *since),
            before: *before,
        })
    }

    /// A release's requests from `since` on, as far back as is known.
    fn tally(&self, release: ReleaseId, since: Tick) -> Tally {
        let (Some(first), Some(last)) = (self.looks.iter().find(|look| look.at >= since), self.looks.back()) else {
            return Tally::default();
        };
        let ((first, _), (last, _)) = (first.of(release), last.of(release));
        Tally {
            requests: last.counted.saturating_sub(first.counted),
            failed: last.failed.saturating_sub(first.failed),
            overdue: self.overdue(release),
        }
    }

    /// Requests that have waited for longer than [`OVERDUE_AFTER`], at least: of what was in flight then, no more than has ended since can have
    /// had its answer.
    fn overdue(&self, release: ReleaseId) -> u64 {
        let Some(now) = self.looks.back() else { return 0 };
        let Some(then) = self.looks.iter().rev().find(|look| now.at.since(look.at) >= OVERDUE_AFTER) else { return 0 };
        let ((earlier, waited), (later, waits)) = (then.of(release), now.of(release));
        waited.saturating_sub(later.ended.saturating_sub(earlier.ended)).min(waits)
    }

    /// From the first failure since then to the last.
    fn failing_for(&self, release: ReleaseId, since: Tick) -> Millis {
        let looks: Vec<&Look> = self.looks.iter().filter(|look| look.at >= since).collect();
        let failing = looks.windows(2).filter(|pair| pair[1].of(release).0.failed > pair[0].of(release).0.failed);
        let at: Vec<Tick> = failing.map(|pair| pair[1].at).collect();
        at.last().zip(at.first()).map_or(Millis::ZERO, |(last, first)| last.since(*first))
    }
}

impl Look {
    fn of(&self, release: ReleaseId) -> (Sums, Waiting) {
        self.releases.get(&release).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: ReleaseId = ReleaseId(1);
    const NEW: ReleaseId = ReleaseId(2);

    fn shop() -> ServiceName {
        ServiceName::new("shop").unwrap()
    }

    fn exposed() -> Option<Exposure> {
        Some(Exposure { rollout: RolloutId(7), candidate: NEW, current: OLD })
    }

    fn sums(counted: u64, failed: u64) -> Sums {
        Sums { ended: counted, counted, failed }
    }

    fn tally(requests: u64, failed: u64) -> Tally {
        Tally { requests, failed, overdue: 0 }
    }

    /// Looks once a second: (old, new) requests and failures until then.
    fn watched(watch: &mut ErrorWatch, from: u64, looks: &[(Sums, Sums)], at: Option<Exposure>) -> Option<ErrorCounts> {
        let mut told = None;
        for (second, (old, new)) in looks.iter().enumerate() {
            let now = Tick((from + second as u64) * 1_000);
            told = watch.look(&shop(), &BTreeMap::from([(OLD, *old), (NEW, *new)]), at, now);
        }
        told
    }

    #[test]
    fn what_is_told_begins_with_the_exposure_and_what_was_before_is_told_apart() {
        let mut watch = ErrorWatch::default();
        let before = [(sums(100, 50), sums(0, 0)), (sums(150, 51), sums(0, 0))];
        assert_eq!(watched(&mut watch, 0, &before, None), None);
        let after = [(sums(160, 51), sums(9, 9)), (sums(170, 52), sums(20, 19)), (sums(180, 52), sums(30, 29))];
        let told = watched(&mut watch, 2, &after, exposed()).unwrap();
        assert_eq!((told.candidate, told.meanwhile), (tally(30, 29), tally(30, 1)));
        assert_eq!((told.before, told.failing_for), (tally(50, 1), Millis(2_000)));
    }

    #[test]
    fn a_release_that_fails_late_is_not_hidden_by_how_it_began() {
        let mut watch = ErrorWatch::default();
        let well: Vec<(Sums, Sums)> = (0..600).map(|second| (sums(0, 0), sums(second * 100, 0))).collect();
        watched(&mut watch, 0, &well, None);
        watched(&mut watch, 600, &well[599..], exposed());
        let badly: Vec<(Sums, Sums)> =
            (1..=60).map(|second| (sums(0, 0), sums(59_900 + second * 100, second * 100))).collect();
        let told = watched(&mut watch, 601, &badly, exposed()).unwrap();
        assert_eq!(told.candidate, tally(6_000, 6_000));
        assert!(watch.services[&shop()].looks.len() <= 62);
    }

    #[test]
    fn a_watch_that_begins_in_the_middle_counts_from_there_on() {
        let mut watch = ErrorWatch::default();
        let looks = [(sums(900, 0), sums(500, 500)), (sums(910, 0), sums(510, 501))];
        assert_eq!(watched(&mut watch, 0, &looks[..1], exposed()), None, "the first look has nothing before it");
        let told = watched(&mut watch, 1, &looks[1..], exposed()).unwrap();
        assert_eq!((told.candidate, told.meanwhile, told.before), (tally(10, 1), tally(10, 0), tally(0, 0)));
    }

    #[test]
    fn what_a_proxy_had_counted_before_it_was_heard_is_not_taken_for_what_happens_now() {
        let mut watch = ErrorWatch::default();
        watched(&mut watch, 0, &[(sums(900, 0), sums(500, 0)), (sums(910, 0), sums(510, 0))], exposed());
        let of_long_ago = gapless_wire::control::SeriesDoc::default();
        let report = ReportDoc { series: vec![of_long_ago], ..ReportDoc::default() };
        watch.reported(&ProxyId("another".to_owned()), &report);
        let told = watched(&mut watch, 2, &[(sums(90_000, 0), sums(600, 90))], exposed());
        assert_eq!(told, None, "the watch begins anew");
    }

    #[test]
    fn what_waits_for_five_seconds_is_overdue_and_what_ended_meanwhile_is_not() {
        let mut watch = ErrorWatch::default();
        let report = |requests| ReportDoc {
            in_flight: vec![gapless_wire::control::InFlightDoc {
                instance: "shop.r2.i5".to_owned(),
                requests,
                lasting: 2,
            }],
            ..ReportDoc::default()
        };
        let proxy = ProxyId("p".to_owned());
        watched(&mut watch, 0, &[(sums(0, 0), sums(0, 0))], None);
        watch.reported(&proxy, &report(42));
        watched(&mut watch, 1, &[(sums(0, 0), sums(0, 0)); 5], exposed());
        let told = watched(&mut watch, 6, &[(sums(0, 0), sums(15, 0))], exposed()).unwrap();
        assert_eq!(told.candidate.overdue, 25);
        watch.proxy_gone(&proxy);
        let told = watched(&mut watch, 7, &[(sums(0, 0), sums(15, 0))], exposed()).unwrap();
        assert_eq!(told.candidate.overdue, 0);
    }
}
