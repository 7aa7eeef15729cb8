//! Passive health: an instance whose requests fail is left out for a while, longer each time it fails again.
//!
//! Two things are looked at: failures in a row (an instance that is dead), and a share of failures above that of its peers of the same release
//! (one that answers some requests, so that it never fails often enough in a row).

use gapless_model::{Millis, Tick};

/// How long the first ejection lasts.
const EJECTION_FIRST: Millis = Millis(1_000);

/// How long an ejection lasts at most: long enough to spare the clients of a dead instance, short enough to come back within a bake.
const EJECTION_MAX: Millis = Millis(30_000);

/// Fewer requests, of the instance or of its peers together, say nothing of a share.
const COMPARED_REQUESTS_MIN: u64 = 50;

/// How many standard errors the two shares must lie apart: one chance in 30,000 per comparison of equals.
const COMPARED_ERRORS_MIN: f64 = 4.0;

/// One ejection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ejection {
    /// When it ends by itself.
    pub until: Tick,
    /// Which one it is since the instance last stood well, from 1.
    pub number: u32,
}

/// Requests between two comparisons.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Tally {
    /// Those that ended at the instance, failures included.
    pub requests: u64,
    /// Connections refused or broken, and answers of 5xx.
    pub failures: u64,
}

impl Tally {
    /// Adds another's.
    pub fn add(&mut self, other: Tally) {
        self.requests += other.requests;
        self.failures += other.failures;
    }

    /// What is left without one part of it.
    #[must_use]
    pub fn without(self, part: Tally) -> Tally {
        Tally {
            requests: self.requests.saturating_sub(part.requests),
            failures: self.failures.saturating_sub(part.failures),
        }
    }

    /// Whether this instance fails by at least `points` percentage points more than its peers, and not by chance: the two shares lie
    /// [`COMPARED_ERRORS_MIN`] standard errors apart (two-proportion z-test, pooled).
    fn is_worse(self, peers: Tally, points: u8) -> bool {
        if self.requests < COMPARED_REQUESTS_MIN || peers.requests < COMPARED_REQUESTS_MIN {
            return false;
        }
        let (own, others) = (self.requests as f64, peers.requests as f64);
        let apart = self.failures as f64 / own - peers.failures as f64 / others;
        let pooled = (self.failures + peers.failures) as f64 / (own + others);
        let standard_error = (pooled * (1.0 - pooled) * (1.0 / own + 1.0 / others)).sqrt();
        apart * 100.0 >= f64::from(points) && apart >= COMPARED_ERRORS_MIN * standard_error
    }
}

/// The failures of one instance, as one observer sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outlier {
    failures_in_row: u32,
    /// Ejections less the comparisons it stood well in since.
    ejections: u32,
    /// Ejected lately, and no request answered well since: the next failure ejects again.
    on_probation: bool,
    until: Tick,
    tally: Tally,
}

impl Outlier {
    /// A request was answered well.
    #[inline]
    pub fn passed(&mut self) {
        self.tally.requests += 1;
        self.failures_in_row = 0;
        self.on_probation = false;
    }

    /// A connection could not be opened, or the answer was a failure of the instance. `limit` is
    /// [`TrafficPolicy::eject_after_failures`](gapless_model::TrafficPolicy); zero ejects never. Some when that ejects the instance.
    ///
    /// After an ejection one failure more ejects again, for twice as long.
    pub fn failed(&mut self, now: Tick, limit: u16) -> Option<Ejection> {
        self.tally.add(Tally { requests: 1, failures: 1 });
        if limit == 0 || self.ejected(now) {
            return None;
        }
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        let enough = self.failures_in_row >= u32::from(limit) || self.on_probation;
        enough.then(|| self.eject(now))
    }

    /// What it met since the last comparison.
    #[must_use]
    pub fn tally(&self) -> Tally {
        self.tally
    }

    /// Compares it with its peers of the same release over the same time, and begins the next comparison. `points` is
    /// [`TrafficPolicy::eject_above_peers`](gapless_model::TrafficPolicy), in percentage points; zero ejects never. Some when that ejects it.
    ///
    /// Standing as well as its peers pays back one earlier ejection, so that the next is no longer than it has to be.
    pub fn compared(&mut self, now: Tick, peers: Tally, points: u8) -> Option<Ejection> {
        let tally = std::mem::take(&mut self.tally);
        if self.ejected(now) {
            return None;
        }
        if points > 0 && tally.is_worse(peers, points) {
            return Some(self.eject(now));
        }
        if !self.on_probation {
            self.ejections = self.ejections.saturating_sub(1);
        }
        None
    }

    fn eject(&mut self, now: Tick) -> Ejection {
        let doublings = self.ejections.min(16);
        let length = Millis((EJECTION_FIRST.0 << doublings).min(EJECTION_MAX.0));
        self.ejections = self.ejections.saturating_add(1);
        self.failures_in_row = 0;
        self.on_probation = true;
        self.until = now.after(length);
        Ejection { until: self.until, number: self.ejections }
    }

    /// Whether it is left out at that time.
    #[must_use]
    pub fn ejected(&self, now: Tick) -> bool {
        now < self.until
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::Tick;

    use super::{Outlier, Tally};

    #[test]
    fn failures_in_a_row_eject_and_each_ejection_is_twice_as_long() {
        let mut outlier = Outlier::default();
        let mut now = Tick(100);
        assert!(outlier.failed(now, 3).is_none() && outlier.failed(now, 3).is_none());
        outlier.passed();
        assert!(outlier.failed(now, 3).is_none() && outlier.failed(now, 3).is_none(), "a pass forgets");
        let mut lengths = Vec::new();
        for _ in 0..7 {
            let ejection = outlier.failed(now, 3).unwrap();
            assert!(outlier.ejected(now) && outlier.failed(now, 3).is_none());
            lengths.push(ejection.until.since(now).0);
            now = ejection.until;
            assert!(!outlier.ejected(now));
        }
        assert_eq!(lengths, [1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
        outlier.passed();
        assert!(outlier.failed(now, 3).is_none());
    }

    #[test]
    fn a_limit_of_zero_ejects_never() {
        let mut outlier = Outlier::default();
        assert!((0..100).all(|n| outlier.failed(Tick(n), 0).is_none()));
        assert!(outlier.compared(Tick(200), tally(1_000, 0), 0).is_none());
    }

    fn tally(requests: u64, failures: u64) -> Tally {
        Tally { requests, failures }
    }

    /// Each row: what one instance met, what its peers met, whether 20 points apart is shown.
    #[test]
    fn a_share_of_failures_above_the_peers_is_worse() {
        let rows = [
            ((100, 50), (300, 3), true),
            ((100, 50), (300, 150), false), // all fail alike: a shared dependency, or the release
            ((100, 15), (300, 3), false),   // less than 20 points
            ((49, 49), (300, 0), false),    // too few to tell
            ((300, 300), (49, 0), false),   // peers too few
            ((50, 12), (50, 1), false),     // 22 points, 3.3 standard errors
            ((50, 25), (50, 1), true),
            ((0, 0), (0, 0), false),
            ((1_000, 210), (3_000, 0), true),
        ];
        for (own, peers, worse) in rows {
            assert_eq!(tally(own.0, own.1).is_worse(tally(peers.0, peers.1), 20), worse, "{own:?} against {peers:?}");
        }
    }

    #[test]
    fn comparisons_eject_and_good_ones_pay_ejections_back() {
        let (peers, mut outlier, mut now) = (tally(1_000, 0), Outlier::default(), Tick(0));
        let meet = |outlier: &mut Outlier, failing: bool| {
            for n in 0..100 {
                if failing && n % 2 == 0 {
                    let _ejected = outlier.failed(Tick(0), 0);
                } else {
                    outlier.passed();
                }
            }
        };
        let mut lengths = Vec::new();
        for failing in [true, true, false, true, false, false, true] {
            meet(&mut outlier, failing);
            let ejection = outlier.compared(now, peers, 20);
            lengths.push(ejection.map_or(0, |ejection| ejection.until.since(now).0));
            now = now.after(gapless_model::Millis(60_000));
            assert_eq!(outlier.tally(), Tally::default(), "each comparison begins anew");
        }
        assert_eq!(lengths, [1_000, 2_000, 0, 2_000, 0, 0, 1_000]);
    }
}
