//! Passive health: an instance whose requests fail is left out for a while, longer each time it fails again.

use gapless_model::{Millis, Tick};

/// How long the first ejection lasts.
const EJECTION_FIRST: Millis = Millis(1_000);

/// How long an ejection lasts at most: long enough to spare the clients of a dead instance, short enough to come back within a bake.
const EJECTION_MAX: Millis = Millis(30_000);

/// One ejection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ejection {
    /// When it ends by itself.
    pub until: Tick,
    /// Which one it is since the instance last served well, from 1.
    pub number: u32,
}

/// The failures of one instance, as one observer sees them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Outlier {
    failures_in_row: u32,
    ejections_in_row: u32,
    until: Tick,
}

impl Outlier {
    /// A request was answered well: what counts is failures in a row.
    pub fn passed(&mut self) {
        self.failures_in_row = 0;
        self.ejections_in_row = 0;
    }

    /// A connection could not be opened, or the answer was a failure of the instance. `limit` is
    /// [`TrafficPolicy::eject_after_failures`](gapless_model::TrafficPolicy); zero ejects never. Some when that ejects the instance.
    ///
    /// After an ejection one failure more ejects again, for twice as long.
    pub fn failed(&mut self, now: Tick, limit: u16) -> Option<Ejection> {
        if limit == 0 || self.ejected(now) {
            return None;
        }
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        if self.failures_in_row < u32::from(limit) && self.ejections_in_row == 0 {
            return None;
        }
        let doublings = self.ejections_in_row.min(16);
        let length = Millis((EJECTION_FIRST.0 << doublings).min(EJECTION_MAX.0));
        self.ejections_in_row = self.ejections_in_row.saturating_add(1);
        self.failures_in_row = 0;
        self.until = now.after(length);
        Some(Ejection { until: self.until, number: self.ejections_in_row })
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

    use super::Outlier;

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
    }
}
