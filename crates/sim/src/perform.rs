//! Effects made real in the world, and what the world answers.

use std::sync::Arc;

use gapless_fleet::Decided;
use gapless_model::{InstanceId, RolloutId};
use gapless_rollout::{
    Effect, EndedBy, Input, Intent, OneOff, OneOffEnd, OneOffKind, Outcome as RolloutOutcome, Service,
};

use crate::agenda::Event;
use crate::fleet::{End, Start, State};
use crate::one_offs::Found;
use crate::outcome::RolloutEnd;
use crate::script::{Quality, TwistEffect};
use crate::world::World;

/// Milliseconds until an effect that was bent to fail comes to its end after all: past every deadline that waits for it.
const FAR_TOO_LATE: u64 = 45_000;

impl World {
    /// Performs what was decided.
    pub(crate) fn act(&mut self, decided: &Decided) {
        if self.script.knobs.keep_timeline {
            self.timeline.extend(decided.timeline.iter().map(|entry| format!("{:>8}ms  {}", entry.at.0, entry.action)));
        }
        let Some(state) = self.controller.as_ref().map(|controller| controller.service().clone()) else { return };
        self.check_step(&state, &decided.timeline);
        for intent in &decided.intents {
            self.effects += 1;
            let twist = self.script.knobs.effect.filter(|(number, _)| *number == self.effects).map(|(_, twist)| twist);
            match twist {
                None => self.perform(&state, intent, 0),
                Some(TwistEffect::Twice) => {
                    self.perform(&state, intent, 0);
                    self.perform(&state, intent, 0);
                }
                Some(TwistEffect::Fails) => self.perform(&state, intent, FAR_TOO_LATE),
            }
        }
    }

    pub(crate) fn set_timer(&mut self) {
        let Some(controller) = self.controller.as_mut() else { return };
        let next = controller.service().report(self.agenda.now).next;
        let at = next.as_ref().map(|next| next.at);
        let earlier = std::mem::replace(&mut controller.timer, next).map(|earlier| earlier.at);
        if earlier != at
            && let Some(at) = at
        {
            self.agenda.at(at, Event::Timer { term: controller.epoch().0, at });
        }
    }

    /// Performs an effect; one that is bent to fail does, or ends `late` milliseconds late.
    fn perform(&mut self, state: &Service, intent: &Intent, late: u64) {
        match &intent.effect {
            Effect::StartInstance { instance } if late > 0 => {
                self.faults_seen += 1;
                let (instance, reason) = (instance.clone(), "bent to fail".to_owned());
                self.tell_later(10, Input::InstanceStartFailed { instance, reason });
            }
            Effect::StartInstance { instance } => self.start(instance),
            Effect::PublishRoutes(routes) => {
                self.check_table(state, routes);
                let Some(controller) = self.controller.as_mut() else { return };
                if let Some(table) = controller.next_table() {
                    self.faults_seen += u64::from(late > 0);
                    for proxy in 0..self.proxies.len() {
                        let delay = self.chance.between(1, 20) + late;
                        let life = self.proxies[proxy].life;
                        self.agenda.after(delay, Event::Table { proxy, life, table: Arc::clone(&table) });
                    }
                }
            }
            Effect::StopInstance { instance, .. } if self.one_offs.stop(instance) => {
                self.tell_later(20 + late, Input::InstanceStopped { instance: instance.clone() });
            }
            Effect::StopInstance { instance, grace } => self.stop(instance, grace.0, late),
            Effect::RunCheck { release, .. } => {
                let check = intent.number;
                let delay = self.chance.between(50, 300);
                let fails = late > 0 || self.qualities.get(release) == Some(&Quality::ChecksFail);
                self.tell_later(
                    delay,
                    match fails {
                        true => Input::CheckFailed { check, reason: "status 500".to_owned() },
                        false => Input::CheckPassed { check },
                    },
                );
            }
            Effect::RunOneOff(one_off) => {
                self.faults_seen += u64::from(late > 0);
                self.run_one_off(one_off, intent.rollout, late);
            }
            Effect::Notify { .. } => {}
            Effect::CloseReceipt { rollout, outcome } => {
                let end = RolloutEnd { rollout: *rollout, outcome: outcome_name(outcome) };
                if !self.ends.contains(&end) {
                    self.ends.push(end);
                }
                self.serves |= *outcome == RolloutOutcome::Done;
                self.tell_later(2 + late, Input::ReceiptClosed { rollout: *rollout });
            }
            Effect::KeepReleases { releases } => self.check_kept(state, releases),
        }
    }

    fn start(&mut self, instance: &InstanceId) {
        let quality = self.qualities.get(&instance.release).copied();
        match self.fleet.start(instance) {
            Start::New => {
                let boot = self.chance.between(100, 400);
                match quality {
                    Some(Quality::NeverReady) => {}
                    Some(Quality::ExitsAtStart) => {
                        let status = "exit code 1".to_owned();
                        self.agenda.after(boot, Event::ProcessExits { instance: instance.clone(), status });
                    }
                    Some(Quality::Good | Quality::ExitsAfter(_) | Quality::ChecksFail | Quality::HookFails(_))
                    | None => {
                        self.agenda.after(boot, Event::ProcessServes(instance.clone()));
                    }
                }
            }
            Start::Running => {}
            Start::Gone => {
                let status = "ended while nobody listened".to_owned();
                return self.tell_later(
                    5,
                    Input::InstanceExited { instance: instance.clone(), status, ended_by: EndedBy::Itself },
                );
            }
        }
        let address = self.fleet.processes[instance].address;
        let delay = self.chance.between(5, 60);
        self.tell_later(delay, Input::InstanceStarted { instance: instance.clone(), address });
    }

    fn stop(&mut self, instance: &InstanceId, grace: u64, late: u64) {
        if self.fleet.state(instance) == State::Gone {
            return self.tell_later(5, Input::InstanceStopped { instance: instance.clone() });
        }
        if self.fleet.turn(instance, &[State::Booting, State::Serving, State::Sick], State::Stopping) {
            self.check_stop(instance);
        }
        let delay = match self.in_flight(instance) {
            0 => self.chance.between(20, 80),
            _ => grace,
        };
        self.agenda.after(delay + late, Event::ProcessGone(instance.clone()));
    }

    pub(crate) fn process_exits(&mut self, instance: &InstanceId, status: String) {
        if self.fleet.end(instance, End::Fault) {
            self.break_off(instance, End::Fault);
            self.tell_later(5, Input::InstanceExited { instance: instance.clone(), status, ended_by: EndedBy::Itself });
        }
    }

    /// Starts a one-off; one that is bent ends `late`.
    fn run_one_off(&mut self, one_off: &OneOff, rollout: Option<RolloutId>, late: u64) {
        let OneOffKind::Hook(point) = one_off.kind;
        let end = match self.qualities.get(&one_off.id.release) == Some(&Quality::HookFails(point)) {
            true => OneOffEnd::Failed { reason: "exit code 1".to_owned() },
            false => OneOffEnd::Passed,
        };
        let id = one_off.id.clone();
        match self.one_offs.start(one_off, rollout, end) {
            Found::Running => {}
            Found::Ended(end) => self.tell_later(5, Input::OneOffEnded { one_off: id, end }),
            Found::New(wrong) => {
                wrong.into_iter().for_each(|what| self.violation("I6", what));
                let delay = self.chance.between(30, 300) + late;
                self.agenda.after(delay, Event::OneOffEnds(id));
            }
        }
    }
}

fn outcome_name(outcome: &RolloutOutcome) -> &'static str {
    match outcome {
        RolloutOutcome::Done => "done",
        RolloutOutcome::RolledBack { .. } => "rolled-back",
        RolloutOutcome::NeedsOperator { .. } => "needs-operator",
        RolloutOutcome::Superseded { .. } => "superseded",
        RolloutOutcome::Refused { .. } => "refused",
    }
}
