//! Self-healing: when lost instances are started again.

use gapless_model::{Millis, ReleaseId, Restart, Tick};

use crate::service::Service;

/// The wait before a release's missing instances are started again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Backoff {
    /// Losses since the last healthy stretch; losses within one wait count as one.
    pub failures: u32,
    /// When starts are allowed again.
    pub until: Tick,
}

impl Backoff {
    /// The wait after one more loss of an instance that had been ready for `ready_for`.
    ///
    /// A stretch of `backoff_max` in readiness forgets earlier losses. Several instances lost within one wait are one event
    /// (a machine short of memory, a kill of them all), not a reason to wait many times as long.
    pub(crate) fn after_loss(earlier: Option<Backoff>, restart: Restart, ready_for: Millis, now: Tick) -> Backoff {
        let failures = match earlier {
            Some(backoff) if now < backoff.until => return backoff,
            Some(backoff) if ready_for < restart.backoff_max => backoff.failures.saturating_add(1),
            Some(_) | None => 1,
        };
        let doubled = restart.backoff_min.0.saturating_mul(1 << (failures - 1).min(32));
        Backoff { failures, until: now.after(Millis(doubled.min(restart.backoff_max.0))) }
    }
}

impl Service {
    /// Counts a loss of an instance of `release` that had been ready for `ready_for`.
    pub(crate) fn count_loss(&mut self, release: ReleaseId, ready_for: Millis, now: Tick) {
        if let Some(spec) = self.releases.get(&release).map(|release| &release.spec) {
            let earlier = self.backoff.get(&release).copied();
            self.backoff.insert(release, Backoff::after_loss(earlier, spec.restart, ready_for, now));
        }
    }

    /// Until when missing instances of `release` are not started.
    pub(crate) fn backoff_until(&self, release: ReleaseId, now: Tick) -> Option<Tick> {
        self.backoff.get(&release).map(|backoff| backoff.until).filter(|until| now < *until)
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::{Millis, Restart, Tick};

    use super::Backoff;

    const RESTART: Restart = Restart { backoff_min: Millis(100), backoff_max: Millis(1_000) };

    #[test]
    fn the_wait_doubles_up_to_its_bound_and_is_forgotten_after_a_healthy_stretch() {
        let mut backoff = None;
        let mut now = Tick(0);
        let mut waits = Vec::new();
        for _ in 0..6 {
            let next = Backoff::after_loss(backoff, RESTART, Millis(10), now);
            waits.push(next.until.since(now).0);
            (backoff, now) = (Some(next), next.until);
        }
        assert_eq!(waits, [100, 200, 400, 800, 1_000, 1_000]);
        assert_eq!(Backoff::after_loss(backoff, RESTART, Millis(1_000), now).failures, 1);
    }

    #[test]
    fn losses_within_one_wait_count_as_one() {
        let first = Backoff::after_loss(None, RESTART, Millis(10), Tick(0));
        assert_eq!(Backoff::after_loss(Some(first), RESTART, Millis(10), Tick(50)), first);
    }
}
