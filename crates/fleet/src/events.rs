//! What happened to one service, in rollouts and outside of them, as people ask for it afterwards.
//!
//! Not a source of anything, as the [chronicle](crate::chronicle): built from the steps as they are taken, and again at a replay. So after a restart of the
//! controller it goes back as far as the records do.

use std::collections::VecDeque;

use gapless_model::ServiceName;
use gapless_rollout::{Action, CRASH_LOOP_FROM, Entry, Service, Step};
use gapless_wire::api::{Found, Losses, ServiceEvent};

use crate::decided::Moment;
use crate::wall;

/// Events of one service that are kept: days of a bad time, years of a good one.
const EVENTS_MAX: usize = 1_000;

/// What is "lately" for losses, in milliseconds.
const HOUR_MS: u64 = 3_600_000;

/// What happened to one service.
#[derive(Debug, Default)]
pub struct Events {
    kept: VecDeque<ServiceEvent>,
    next: u64,
}

impl Events {
    /// A step was taken.
    pub fn stepped(&mut self, before: &Service, step: &Step, at: Moment) {
        let (after, name) = (&step.state, step.state.name());
        step.timeline.iter().for_each(|entry| self.told(name, entry, at));
        let any = |is: fn(&Action) -> bool| step.timeline.iter().any(|entry| is(&entry.action));
        // What a controller that takes over has to prove again is no fault; and where nothing was lost there is none.
        if any(|action| matches!(action, Action::ControllerRestarted { .. }))
            || !any(|action| matches!(action, Action::Lost { .. } | Action::Unhealthy { .. }))
        {
            return;
        }
        let (ready, floor) = (after.ready_in_load(), after.floor());
        if ready < floor && before.ready_in_load() >= before.floor() && before.floor() > 0 {
            self.found(name, Found::BelowFloor { ready, floor }, at);
        }
        // A candidate's failures are its rollout's affair. Told when it begins: the wait grows, the news would not.
        let failures = after.failures_in_a_row();
        if failures >= CRASH_LOOP_FROM && before.failures_in_a_row() < CRASH_LOOP_FROM && after.rollout().is_none() {
            self.found(name, Found::CrashLoop { failures }, at);
        }
    }

    /// A line of the timeline. Lines that nobody asks for later are left out.
    fn told(&mut self, service: &ServiceName, entry: &Entry, at: Moment) {
        if let Some(event) = ServiceEvent::of(self.next, service, entry, wall::rfc3339(at.wall_ms), at.wall_ms) {
            self.keep(event);
        }
    }

    fn found(&mut self, service: &ServiceName, found: Found, at: Moment) {
        self.keep(ServiceEvent::found(self.next, service, &found, wall::rfc3339(at.wall_ms), at.wall_ms));
    }

    fn keep(&mut self, event: ServiceEvent) {
        self.next += 1;
        if self.kept.len() == EVENTS_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back(event);
    }

    /// The number of the next one.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Those from a number on, the oldest first.
    pub fn from(&self, seq: u64) -> impl Iterator<Item = &ServiceEvent> {
        self.kept.iter().filter(move |event| event.seq >= seq)
    }

    /// How often instances were lost lately.
    #[must_use]
    pub fn losses(&self, service: &Service, now: Moment) -> Losses {
        let is_loss =
            |event: &&ServiceEvent| event.rollout.is_none() && matches!(event.action.as_str(), "lost" | "unhealthy");
        let lost =
            || self.kept.iter().filter(is_loss).filter(|event| now.wall_ms.saturating_sub(event.at_ms) < HOUR_MS);
        let (last, in_a_row) = (lost().next_back(), service.failures_in_a_row());
        Losses {
            last_hour: u32::try_from(lost().count()).unwrap_or(u32::MAX),
            in_a_row,
            crash_loop: in_a_row >= CRASH_LOOP_FROM,
            last: last.map(|event| event.text.clone()),
            last_age_ms: last.map(|event| now.wall_ms.saturating_sub(event.at_ms)),
        }
    }
}

#[cfg(test)]
mod tests {
    use gapless_model::{InstanceId, Tick};

    use super::*;

    #[test]
    fn what_was_lost_lately_is_counted_and_what_is_kept_is_bounded() {
        let name = ServiceName::new("shop").unwrap();
        let id = |ordinal| -> InstanceId { format!("shop.r1.i{ordinal}").parse().unwrap() };
        let lost = |ordinal| Entry {
            at: Tick(0),
            rollout: None,
            action: Action::Lost { instance: id(ordinal), reason: "exit code 1".to_owned() },
        };
        let mut events = Events::default();
        for minute in 0..2_000 {
            events.told(&name, &lost(minute), Moment { tick: Tick(0), wall_ms: minute * 60_000 });
            let drained = Entry { at: Tick(0), rollout: None, action: Action::Drained(id(minute)) };
            events.told(&name, &drained, Moment::default());
        }
        assert_eq!((events.from(0).count(), events.from(1_990).count()), (EVENTS_MAX, 10));
        let now = Moment { tick: Tick(0), wall_ms: 2_000 * 60_000 };
        let losses = events.losses(&Service::new(name), now);
        assert_eq!((losses.last_hour, losses.crash_loop), (59, false));
        assert_eq!(
            losses.remark("shop").unwrap(),
            "59 instances were lost in the last hour; the last 60 s ago: shop.r1.i1999 is lost: exit code 1"
        );
    }
}
