//! Deterministic rules: no statistics is needed to see that an instance cannot live.

use gapless_model::{Millis, Tick};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// When the guards act.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuardSettings {
    /// Exits of candidate instances that make a crash loop …
    pub crash_exits: usize,
    /// … within this time, in milliseconds.
    pub crash_within_ms: u64,
    /// Samples at or above the limit's share, one after another.
    pub limit_samples: u32,
    /// The share of a limit, in percent, that is too near.
    pub limit_percent: u8,
}

impl Default for GuardSettings {
    /// Three exits in five minutes; 90 % of a limit in three samples (JUDGE §3).
    fn default() -> Self {
        GuardSettings { crash_exits: 3, crash_within_ms: 300_000, limit_samples: 3, limit_percent: 90 }
    }
}

/// A rule that has acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "rule", rename_all = "kebab-case")]
pub enum Guard {
    /// Candidate instances keep exiting.
    CrashLoop {
        /// Exits within the time of the rule.
        exits: usize,
    },
    /// The kernel killed a candidate instance for memory.
    OutOfMemory {
        /// Which one.
        instance: String,
    },
    /// A candidate instance stays at its limit.
    NearLimit {
        /// Which one.
        instance: String,
        /// Of which resource.
        resource: String,
        /// How near, in percent.
        percent: u64,
    },
    /// Lines that only a broken program writes: panic, segfault, failed migration.
    FatalLines {
        /// How many.
        lines: u64,
    },
}

impl std::fmt::Display for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Guard::CrashLoop { exits } => write!(f, "crash loop: {exits} exits of candidate instances in a short time"),
            Guard::OutOfMemory { instance } => write!(f, "{instance} was killed for lack of memory"),
            Guard::NearLimit { instance, resource, percent } => {
                write!(f, "{instance} stays at {percent} % of its {resource} limit")
            }
            Guard::FatalLines { lines: 1 } => write!(f, "1 log line of a panic, a crash or a failed migration"),
            Guard::FatalLines { lines } => write!(f, "{lines} log lines of panics, crashes or failed migrations"),
        }
    }
}

/// What a guard asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum GuardAction {
    /// Freeze the ramp and look.
    Hold,
    /// Roll back now.
    RollBack,
}

/// Something that happened to a candidate instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceEvent {
    /// Which instance.
    pub instance: String,
    /// What happened.
    pub kind: InstanceEventKind,
}

/// Kinds of [`InstanceEvent`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InstanceEventKind {
    /// It ended without having been asked to.
    Exited,
    /// The kernel killed it for memory.
    OutOfMemory,
    /// A sample of a limited resource.
    Sample {
        /// Its name, such as `memory`.
        resource: String,
        /// The value, in any unit.
        value: u64,
        /// The limit, in the same unit; 0 is no limit.
        limit: u64,
    },
}

/// Most (instance, resource) pairs watched; further ones are not.
const WATCHED_MAX: usize = 512;

/// The state of the rules.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Guards {
    settings: GuardSettings,
    exits_ms: VecDeque<u64>,
    near: Vec<(String, String, u32)>,
    acted: Option<Guard>,
    fatal_lines: u64,
}

impl Guards {
    /// Guards that have seen nothing.
    pub fn new(settings: GuardSettings) -> Guards {
        Guards { settings, ..Guards::default() }
    }

    /// The rule that has acted, and what it asks for. A roll-back stays: the fact it rests on does not go away.
    pub fn acted(&self) -> Option<(Guard, GuardAction)> {
        match (&self.acted, self.fatal_lines) {
            (Some(guard), _) => Some((guard.clone(), GuardAction::RollBack)),
            (None, 0) => None,
            (None, lines @ 1) => Some((Guard::FatalLines { lines }, GuardAction::Hold)),
            (None, lines) => Some((Guard::FatalLines { lines }, GuardAction::RollBack)),
        }
    }

    /// Counts candidate lines that only a broken program writes: the first holds, the second rolls back (JUDGE §4).
    pub fn handle_fatal_lines(&mut self, lines: u64) {
        self.fatal_lines = self.fatal_lines.saturating_add(lines);
    }

    /// Takes one event of a candidate instance.
    pub fn handle(&mut self, now: Tick, event: &InstanceEvent) {
        match &event.kind {
            InstanceEventKind::OutOfMemory => {
                self.act(Guard::OutOfMemory { instance: event.instance.clone() });
            }
            InstanceEventKind::Exited => self.handle_exit(now),
            InstanceEventKind::Sample { resource, value, limit } => {
                self.handle_sample(&event.instance, resource, *value, *limit);
            }
        }
    }

    fn handle_exit(&mut self, now: Tick) {
        let within = Millis(self.settings.crash_within_ms);
        self.exits_ms.push_back(now.0);
        self.exits_ms.retain(|at| now.since(Tick(*at)) <= within);
        while self.exits_ms.len() > self.settings.crash_exits.max(1) {
            self.exits_ms.pop_front();
        }
        if self.exits_ms.len() >= self.settings.crash_exits.max(1) {
            self.act(Guard::CrashLoop { exits: self.exits_ms.len() });
        }
    }

    fn handle_sample(&mut self, instance: &str, resource: &str, value: u64, limit: u64) {
        let near = limit > 0 && u128::from(value) * 100 >= u128::from(limit) * u128::from(self.settings.limit_percent);
        let place = self.near.iter().position(|(i, r, _)| i == instance && r == resource);
        let samples = match (place, near) {
            (Some(at), true) => {
                self.near[at].2 = self.near[at].2.saturating_add(1);
                self.near[at].2
            }
            (Some(at), false) => {
                self.near.swap_remove(at);
                return;
            }
            (None, true) if self.near.len() < WATCHED_MAX => {
                self.near.push((instance.to_owned(), resource.to_owned(), 1));
                1
            }
            (None, _) => return,
        };
        if samples >= self.settings.limit_samples {
            let percent = (u128::from(value) * 100 / u128::from(limit)).min(u128::from(u64::MAX)) as u64;
            self.act(Guard::NearLimit { instance: instance.to_owned(), resource: resource.to_owned(), percent });
        }
    }

    fn act(&mut self, guard: Guard) {
        self.acted.get_or_insert(guard);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(value: u64) -> InstanceEvent {
        let kind = InstanceEventKind::Sample { resource: "memory".into(), value, limit: 100 };
        InstanceEvent { instance: "c1".into(), kind }
    }

    fn exit() -> InstanceEvent {
        InstanceEvent { instance: "c1".into(), kind: InstanceEventKind::Exited }
    }

    #[test]
    fn three_samples_in_a_row_at_the_limit_act_and_a_lower_one_between_starts_over() {
        let mut guards = Guards::default();
        for value in [95, 95, 50, 95, 95] {
            guards.handle(Tick(0), &sample(value));
        }
        assert_eq!(guards.acted(), None);
        guards.handle(Tick(0), &sample(90));
        assert!(matches!(guards.acted(), Some((Guard::NearLimit { percent: 90, .. }, GuardAction::RollBack))));
    }

    #[test]
    fn exits_far_apart_are_no_crash_loop() {
        let mut guards = Guards::default();
        for minute in 0..20 {
            guards.handle(Tick(minute * 180_000), &exit());
        }
        assert_eq!(guards.acted(), None);
        guards.handle(Tick(19 * 180_000 + 1), &exit());
        guards.handle(Tick(19 * 180_000 + 2), &exit());
        assert!(matches!(guards.acted(), Some((Guard::CrashLoop { .. }, GuardAction::RollBack))));
    }

    #[test]
    fn one_fatal_line_holds_and_a_second_rolls_back() {
        let mut guards = Guards::default();
        guards.handle_fatal_lines(1);
        assert_eq!(guards.acted(), Some((Guard::FatalLines { lines: 1 }, GuardAction::Hold)));
        guards.handle_fatal_lines(1);
        assert_eq!(guards.acted(), Some((Guard::FatalLines { lines: 2 }, GuardAction::RollBack)));
    }

    #[test]
    fn a_sample_without_a_limit_means_nothing() {
        let mut guards = Guards::default();
        for _ in 0..9 {
            let kind = InstanceEventKind::Sample { resource: "memory".into(), value: u64::MAX, limit: 0 };
            guards.handle(Tick(0), &InstanceEvent { instance: "c1".into(), kind });
        }
        assert_eq!(guards.acted(), None);
    }
}
