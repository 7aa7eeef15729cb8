//! Deterministic rules: no statistics is needed to see that an instance cannot live.

use crate::arm::{Arm, Arms};
use crate::engine::Count;
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
    /// Most of the candidate's requests failed in its warm-up, and hardly any of the current release's.
    WarmupFails {
        /// How many, in percent.
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
            Guard::WarmupFails { percent } => write!(f, "{percent} % of the requests failed in its warm-up"),
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

/// Exits kept of each arm.
const EXITS_MAX: usize = 256;

/// As many exits as chance alone, at the current release's rate, brings with this probability are no crash loop.
const CRASH_BY_CHANCE: f64 = 1e-4;

/// Requests in the warm-up below which nothing is concluded from it.
const WARMUP_REQUESTS_MIN: u64 = 20;

/// The state of the rules.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Guards {
    settings: GuardSettings,
    exits_ms: VecDeque<u64>,
    /// Exits of the current release, lately and in all, with the instance-milliseconds of both arms.
    current_exits_ms: VecDeque<u64>,
    current_exits: Count,
    /// Instances of each arm, by the last window.
    instances: Arms<f64>,
    /// Instances of the current release at their limit, or killed for memory.
    current_near: Vec<String>,
    current_killed: u64,
    near: Vec<(String, String, u32)>,
    acted: Option<Guard>,
    fatal_lines: u64,
}

impl Guards {
    /// Guards that have seen nothing.
    pub fn new(settings: GuardSettings) -> Guards {
        Guards { settings, ..Guards::default() }
    }

    /// What the current release did before the rollout: exits out of instance-milliseconds.
    #[must_use]
    pub fn with_past(mut self, exits: Count) -> Guards {
        self.current_exits = exits;
        self
    }

    /// Time passes: so many instance-milliseconds of each arm in a window of this length.
    pub fn handle_time(&mut self, instance_ms: Arms<u64>, length: Millis) {
        let instances = |ms: u64| ms as f64 / length.0.max(1) as f64;
        self.instances = Arms { candidate: instances(instance_ms.candidate), current: instances(instance_ms.current) };
        self.current_exits.exposure = self.current_exits.exposure.saturating_add(instance_ms.current);
    }

    /// The warm-up is over: what its requests came to, and what the current release's did meanwhile.
    pub fn handle_warmup(&mut self, candidate: Count, current: Count) {
        let rate = |count: Count| count.rate().unwrap_or(0.0);
        if candidate.exposure >= WARMUP_REQUESTS_MIN && rate(candidate) >= 0.5 && rate(current) <= 0.1 {
            self.act(Guard::WarmupFails { percent: (rate(candidate) * 100.0) as u64 });
        }
    }

    /// Takes what happened to an instance of the current release: where it does the same, the candidate is not to blame.
    pub fn handle_current(&mut self, now: Tick, event: &InstanceEvent) {
        match &event.kind {
            InstanceEventKind::Exited => {
                self.current_exits.events += 1;
                self.current_exits_ms.push_back(now.0);
                if self.current_exits_ms.len() > EXITS_MAX {
                    self.current_exits_ms.pop_front();
                }
            }
            InstanceEventKind::OutOfMemory => self.current_killed += 1,
            InstanceEventKind::Sample { value, limit, .. } => {
                let near = self.is_near(*value, *limit);
                self.current_near.retain(|instance| *instance != event.instance);
                if near && self.current_near.len() < WATCHED_MAX {
                    self.current_near.push(event.instance.clone());
                }
            }
        }
    }

    /// Takes what happened to an instance of either arm.
    pub fn handle_of(&mut self, now: Tick, arm: Arm, event: &InstanceEvent) {
        match arm {
            Arm::Candidate => self.handle(now, event),
            Arm::Current => self.handle_current(now, event),
        }
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
            // Where the current release is killed for memory too, the crash-loop rule weighs both.
            InstanceEventKind::OutOfMemory if self.current_killed > 0 => self.handle_exit(now),
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
        self.current_exits_ms.retain(|at| now.since(Tick(*at)) <= within);
        while self.exits_ms.len() > EXITS_MAX {
            self.exits_ms.pop_front();
        }
        let least = self.settings.crash_exits.max(1).max(self.exits_by_chance(within));
        if self.exits_ms.len() >= least {
            self.act(Guard::CrashLoop { exits: self.exits_ms.len() });
        }
    }

    /// So many exits of the candidate would be rare enough if its instances ended as often as the current release's do, or did lately.
    fn exits_by_chance(&self, within: Millis) -> usize {
        let per_instance_ms = match self.current_exits {
            Count { exposure: 0, .. } | Count { events: 0, .. } => 0.0,
            Count { exposure, events } => events as f64 / exposure as f64,
        };
        let instances = self.instances.candidate.max(1.0);
        let usual = per_instance_ms * instances * within.0 as f64;
        let lately = self.current_exits_ms.len() as f64 * instances / self.instances.current.max(1.0);
        let mean = usual.max(lately);
        if mean <= 0.0 {
            return 0;
        }
        // The first count whose Poisson tail is rare.
        let (mut term, mut below, mut count) = ((-mean).exp(), 0.0, 0_usize);
        while 1.0 - below > CRASH_BY_CHANCE && count < EXITS_MAX {
            below += term;
            count += 1;
            term *= mean / count as f64;
        }
        count
    }

    fn is_near(&self, value: u64, limit: u64) -> bool {
        limit > 0 && u128::from(value) * 100 >= u128::from(limit) * u128::from(self.settings.limit_percent)
    }

    fn handle_sample(&mut self, instance: &str, resource: &str, value: u64, limit: u64) {
        // Where the current release stays at its limit too, that is how this service lives.
        let near = self.is_near(value, limit) && self.current_near.is_empty();
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
    fn where_the_current_release_exits_as_often_it_is_no_crash_loop() {
        let of_arm = |arm: Arm, every_s: u64| -> Vec<(u64, Arm)> {
            (1..=3_600 / every_s).map(|n| (n * every_s * 1_000, arm)).collect()
        };
        let play = |candidate_every_s: u64| {
            let mut guards = Guards::default().with_past(Count { exposure: 4 * 3_600_000, events: 24 });
            guards.handle_time(Arms { candidate: 1_000, current: 4_000 }, Millis(1_000));
            let mut exits = [of_arm(Arm::Candidate, candidate_every_s), of_arm(Arm::Current, 150)].concat();
            exits.sort_by_key(|exit| exit.0);
            exits.into_iter().for_each(|(at, arm)| guards.handle_of(Tick(at), arm, &exit()));
            guards.acted()
        };
        assert_eq!(play(140), None, "two in five minutes, as with each instance of the current release");
        assert!(matches!(play(20), Some((Guard::CrashLoop { .. }, GuardAction::RollBack))));
    }

    #[test]
    fn a_warm_up_in_which_nearly_all_fails_is_guarded() {
        let mut guards = Guards::default();
        let count = |exposure, events| Count { exposure, events };
        guards.handle_warmup(count(200, 20), count(900, 1));
        guards.handle_warmup(count(200, 180), count(900, 800));
        assert_eq!(guards.acted(), None, "cold errors, and an outage of both");
        guards.handle_warmup(count(200, 180), count(900, 1));
        assert!(matches!(guards.acted(), Some((Guard::WarmupFails { percent: 90 }, GuardAction::RollBack))));
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
