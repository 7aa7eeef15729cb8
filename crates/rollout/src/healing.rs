//! Self-healing: when lost instances are started again.
//!
//! Each lost instance leaves a place, and whoever takes it takes over how often those before it failed by themselves. So one instance
//! that crashes again and again does not keep the others waiting, and what was killed from outside is replaced at once.

use gapless_model::{Millis, ReleaseId, Restart, Tick};

use crate::instance::Instance;
use crate::service::Service;

/// The wait before the place of a lost instance is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Backoff {
    /// Failures in a row, those of the instances before it counted.
    pub failures: u32,
    /// When its place may be taken.
    pub until: Tick,
}

impl Backoff {
    /// The wait after an instance failed that had been ready for `ready_for`, whose place had seen `earlier` failures in a row.
    ///
    /// A stretch of `backoff_max` in readiness forgets earlier failures.
    pub(crate) fn after_failure(earlier: u32, restart: Restart, ready_for: Millis, now: Tick) -> Backoff {
        let failures = Backoff::remembered(earlier, restart, ready_for).saturating_add(1);
        let doubled = restart.backoff_min.0.saturating_mul(1 << (failures - 1).min(32));
        Backoff { failures, until: now.after(Millis(doubled.min(restart.backoff_max.0))) }
    }

    /// No wait: the instance was killed from outside.
    pub(crate) fn none(earlier: u32, restart: Restart, ready_for: Millis, now: Tick) -> Backoff {
        Backoff { failures: Backoff::remembered(earlier, restart, ready_for), until: now }
    }

    fn remembered(earlier: u32, restart: Restart, ready_for: Millis) -> u32 {
        if ready_for < restart.backoff_max { earlier } else { 0 }
    }
}

/// So many failures in a row of instances that took one place are a crash loop: one is chance, and two may be a dependency that was away.
pub const CRASH_LOOP_FROM: u32 = 3;

impl Service {
    /// How often in a row instances failed by themselves that took one place; the worst of all places.
    #[must_use]
    pub fn failures_in_a_row(&self) -> u32 {
        let waiting = self.backoff.values().flatten().map(|wait| wait.failures);
        self.instances.values().map(|instance| instance.failures).chain(waiting).max().unwrap_or(0)
    }

    /// An instance that had been ready for `ready_for` failed by itself.
    pub(crate) fn count_failure(&mut self, instance: &Instance, ready_for: Millis, now: Tick) {
        self.leave_place(instance, |restart| Backoff::after_failure(instance.failures, restart, ready_for, now));
    }

    /// An instance that had been ready for `ready_for` was ended from outside.
    pub(crate) fn count_kill(&mut self, instance: &Instance, ready_for: Millis, now: Tick) {
        self.leave_place(instance, |restart| Backoff::none(instance.failures, restart, ready_for, now));
    }

    fn leave_place(&mut self, instance: &Instance, wait: impl FnOnce(Restart) -> Backoff) {
        let release = instance.release();
        if let Some(spec) = self.releases.get(&release).map(|release| &release.spec) {
            let wait = wait(spec.restart);
            self.backoff.entry(release).or_default().push(wait);
        }
    }

    /// Takes the places of `release` that may be taken now, `missing` at most with those that have to wait: how often in a row each failed.
    /// There are never more places than instances missing: where one came back, the place with the fewest failures is its.
    pub(crate) fn take_due(&mut self, release: ReleaseId, missing: u16, now: Tick) -> Vec<u32> {
        let missing = usize::from(missing);
        let mut waits = self.backoff.remove(&release).unwrap_or_default();
        waits.sort_by_key(|wait| std::cmp::Reverse((wait.failures, wait.until)));
        waits.truncate(missing);
        let (due, waiting): (Vec<Backoff>, Vec<Backoff>) = waits.into_iter().partition(|wait| wait.until <= now);
        let new = missing - due.len() - waiting.len();
        if !waiting.is_empty() {
            self.backoff.insert(release, waiting);
        }
        due.into_iter().map(|wait| wait.failures).chain(std::iter::repeat_n(0, new)).collect()
    }

    /// When the next place of `release` that has to wait may be taken.
    pub(crate) fn backoff_until(&self, release: ReleaseId, now: Tick) -> Option<Tick> {
        let waits = self.backoff.get(&release).into_iter().flatten();
        waits.map(|wait| wait.until).filter(|until| now < *until).min()
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::{Millis, Restart, Tick};

    use super::Backoff;

    const RESTART: Restart = Restart { backoff_min: Millis(100), backoff_max: Millis(1_000) };

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_is_forgotten_after_a_healthy_stretch() {
        let (mut failures, mut now) = (0, Tick(0));
        let mut waits = Vec::new();
        for _ in 0..6 {
            let next = Backoff::after_failure(failures, RESTART, Millis(10), now);
            waits.push(next.until.since(now).0);
            (failures, now) = (next.failures, next.until);
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(Backoff::after_failure(failures, RESTART, Millis(1_000), now).failures, 1);
    }

    #[test]
    fn a_kill_from_outside_neither_waits_nor_counts_nor_forgives() {
        let killed = Backoff::none(3, RESTART, Millis(10), Tick(50));
        assert_eq!((killed.failures, killed.until), (3, Tick(50)));
        assert_eq!(Backoff::none(3, RESTART, Millis(1_000), Tick(50)).failures, 0);
    }
}
