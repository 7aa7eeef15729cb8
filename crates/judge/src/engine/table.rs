//! One window's counts of both arms.

use serde::{Deserialize, Serialize};

/// The highest count taken for one window: above it sums over weeks might overflow. A window beyond is refused.
pub const COUNT_MAX: u64 = 1_000_000_000_000;

/// What one exposure is, which decides the law of the events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Exposure {
    /// Things that each have the event once or not at all (requests, clients): ψ is the odds ratio.
    Trials,
    /// A measure (instance-milliseconds) along which events happen any number of times: ψ is the ratio of the rates.
    Time,
}

/// Events out of exposures, of one arm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Count {
    /// Requests, clients or instance-milliseconds.
    pub exposure: u64,
    /// How many of them had the event.
    pub events: u64,
}

impl Count {
    /// Adds another count, saturating.
    pub fn add(&mut self, other: Count) {
        self.exposure = self.exposure.saturating_add(other.exposure);
        self.events = self.events.saturating_add(other.events);
    }

    /// Events per exposure; `None` without exposure.
    pub fn rate(&self) -> Option<f64> {
        (self.exposure > 0).then(|| self.events as f64 / self.exposure as f64)
    }
}

/// The counts of both arms over the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Table {
    /// The candidate, arm C.
    pub candidate: Count,
    /// The current release, arm B.
    pub current: Count,
}

/// What was done with a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// It counts, and had events: the evidence has changed.
    Counted,
    /// It counts as exposure; without events it leaves the evidence as it is.
    WithoutEvents,
    /// It is small, and waits for the next windows to be counted with them.
    Joined,
    /// One arm has had no exposure yet: it waits for the next windows, or is dropped beyond the bounds for that.
    OneArmOnly,
    /// It cannot be true (more events than trials, a count above [`COUNT_MAX`]): refused.
    Impossible,
}

impl Table {
    /// A table from the four counts.
    pub fn new(candidate: (u64, u64), current: (u64, u64)) -> Table {
        let count = |(exposure, events)| Count { exposure, events };
        Table { candidate: count(candidate), current: count(current) }
    }

    /// The events of both arms, m.
    pub fn events(&self) -> u64 {
        self.candidate.events + self.current.events
    }

    /// Adds another window's counts, saturating.
    pub fn add(&mut self, other: &Table) {
        self.candidate.add(other.candidate);
        self.current.add(other.current);
    }

    /// Whether the engine may count this window.
    pub fn check(&self, exposure: Exposure) -> Taken {
        let arms = [self.candidate, self.current];
        if arms.iter().any(|arm| arm.exposure > COUNT_MAX || arm.events > COUNT_MAX) {
            return Taken::Impossible;
        }
        if exposure == Exposure::Trials && arms.iter().any(|arm| arm.events > arm.exposure) {
            return Taken::Impossible;
        }
        if arms.iter().any(|arm| arm.exposure == 0) { Taken::OneArmOnly } else { Taken::Counted }
    }
}
