//! From single answers to health: the pure counting of passes and failures.

use gapless_model::{Health, Millis, Probe, Tick};

use crate::{ProbeFailure, ProbeResult};

/// How health changed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// `rise` probes in a row passed, and it has stayed so for `healthy_min`: it counts as ready.
    BecameHealthy,
    /// `fall` probes in a row failed.
    BecameUnhealthy {
        /// The last of the failures.
        failure: ProbeFailure,
    },
}

/// What is known of one instance's health. Starts unknown; changes only by [`ProbeState::observe`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ProbeState {
    rise: u16,
    fall: u16,
    healthy_min: Millis,
    health: Health,
    row: Row,
    last_failure: Option<ProbeFailure>,
}

/// The answers since the last one of the other sort.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Row {
    Passes {
        count: u16,
        /// When the row came to `rise` passes; from then it must stay healthy for `healthy_min`.
        risen_at: Option<Tick>,
    },
    Failures {
        count: u16,
    },
}

impl ProbeState {
    /// An instance of which nothing is known, to be judged by the probe's counts.
    #[must_use]
    pub fn new(probe: &Probe) -> ProbeState {
        ProbeState {
            rise: probe.rise.max(1),
            fall: probe.fall.max(1),
            healthy_min: probe.healthy_min,
            health: Health::Unknown,
            row: Row::Failures { count: 0 },
            last_failure: None,
        }
    }

    /// The health as it is now.
    #[must_use]
    pub fn health(&self) -> Health {
        self.health
    }

    /// Why the last failed probe failed; kept while later ones pass.
    #[must_use]
    pub fn last_failure(&self) -> Option<&ProbeFailure> {
        self.last_failure.as_ref()
    }

    /// Takes the answer of one probe; tells when it changed the health.
    pub fn observe(&mut self, result: ProbeResult, now: Tick) -> Option<Change> {
        match result {
            ProbeResult::Passed => self.passed(now),
            ProbeResult::Failed(failure) => self.failed(failure),
        }
    }

    fn passed(&mut self, now: Tick) -> Option<Change> {
        let (before, risen_at) = match self.row {
            Row::Passes { count, risen_at } => (count, risen_at),
            Row::Failures { .. } => (0, None),
        };
        let count = before.saturating_add(1);
        let risen_at = risen_at.or((count >= self.rise).then_some(now));
        self.row = Row::Passes { count, risen_at };
        let ready = risen_at.is_some_and(|at| now.since(at) >= self.healthy_min);
        if !ready || self.health == Health::Healthy {
            return None;
        }
        self.health = Health::Healthy;
        Some(Change::BecameHealthy)
    }

    fn failed(&mut self, failure: ProbeFailure) -> Option<Change> {
        let before = match self.row {
            Row::Passes { .. } => 0,
            Row::Failures { count } => count,
        };
        let count = before.saturating_add(1);
        self.row = Row::Failures { count };
        self.last_failure = Some(failure.clone());
        if count < self.fall || self.health == Health::Unhealthy {
            return None;
        }
        self.health = Health::Unhealthy;
        Some(Change::BecameUnhealthy { failure })
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::{Health, Millis, Probe, ProbeKind, Tick};

    use super::{Change, ProbeState};
    use crate::{ProbeFailure, ProbeResult};

    /// `+` passes, `-` fails, one probe every 100 ms; answers what changed at which probe.
    fn play(rise: u16, fall: u16, healthy_min: u64, answers: &str) -> (Vec<(usize, &'static str)>, Health) {
        let probe = Probe {
            kind: ProbeKind::Tcp,
            interval: Millis(100),
            timeout: Millis(100),
            rise,
            fall,
            healthy_min: Millis(healthy_min),
        };
        let mut state = ProbeState::new(&probe);
        let mut changes = Vec::new();
        for (at, answer) in answers.chars().enumerate() {
            let result = match answer {
                '+' => ProbeResult::Passed,
                _ => ProbeResult::Failed(ProbeFailure::Status(500)),
            };
            match state.observe(result, Tick(at as u64 * 100)) {
                Some(Change::BecameHealthy) => changes.push((at, "healthy")),
                Some(Change::BecameUnhealthy { .. }) => changes.push((at, "unhealthy")),
                None => {}
            }
        }
        (changes, state.health())
    }

    #[test]
    fn an_instance_is_unknown_until_enough_answers_agree() {
        assert_eq!(play(3, 2, 0, "++-++-+"), (vec![], Health::Unknown));
        assert_eq!(play(3, 2, 0, "+++"), (vec![(2, "healthy")], Health::Healthy));
        assert_eq!(play(3, 2, 0, "--"), (vec![(1, "unhealthy")], Health::Unhealthy));
    }

    #[test]
    fn a_single_failure_does_not_take_a_healthy_instance_out() {
        assert_eq!(play(1, 2, 0, "+-+-+-"), (vec![(0, "healthy")], Health::Healthy));
        let back = vec![(0, "healthy"), (2, "unhealthy"), (3, "healthy")];
        assert_eq!(play(1, 2, 0, "+--+"), (back, Health::Healthy));
    }

    #[test]
    fn it_counts_as_ready_only_after_it_has_stayed_healthy() {
        assert_eq!(play(1, 1, 300, "+++"), (vec![], Health::Unknown));
        assert_eq!(play(1, 1, 300, "++++"), (vec![(3, "healthy")], Health::Healthy));
        assert_eq!(play(1, 2, 300, "+++-++++"), (vec![(7, "healthy")], Health::Healthy), "a failure starts it anew");
    }

    #[test]
    fn a_change_is_told_once() {
        assert_eq!(play(1, 1, 0, "++++----"), (vec![(0, "healthy"), (4, "unhealthy")], Health::Unhealthy));
    }
}
