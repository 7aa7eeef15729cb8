//! The turn: a service in the middle of one step, with what the step has ordered and noted so far.

use gapless_model::{EffectNumber, RolloutId, Tick};

use crate::planted::PlantedBug;
use crate::{Action, Effect, Entry, Intent, NoticeLevel, Placed, Service};

/// A service in the middle of one step.
pub(crate) struct Transition {
    pub service: Service,
    pub now: Tick,
    pub effects: Vec<Intent>,
    pub timeline: Vec<Entry>,
    /// What became of the order, where the input is one.
    pub placed: Option<Placed>,
}

impl Transition {
    pub(crate) fn new(service: Service, now: Tick) -> Transition {
        Transition { service, now, effects: Vec::new(), timeline: Vec::new(), placed: None }
    }

    /// Orders an effect under the next number, for the rollout that runs.
    pub(crate) fn order(&mut self, effect: Effect) -> EffectNumber {
        let rollout = self.service.rollout();
        self.order_of(rollout, effect)
    }

    /// Orders an effect under the next number, for a rollout that need not be the one that runs.
    pub(crate) fn order_of(&mut self, rollout: Option<RolloutId>, effect: Effect) -> EffectNumber {
        let number = self.service.numbers.effect.next();
        self.service.numbers.effect = number;
        self.effects.push(Intent { number, rollout, effect });
        number
    }

    /// Orders an effect once more, under the number it has.
    pub(crate) fn repeat(&mut self, number: EffectNumber, effect: Effect) {
        self.effects.push(Intent { number, rollout: self.service.rollout(), effect });
    }

    /// Puts a line about the fleet or the rollout that runs on the timeline.
    pub(crate) fn note(&mut self, action: Action) {
        let rollout = self.service.rollout();
        self.timeline.push(Entry { at: self.now, rollout, action });
    }

    /// Puts a line about an order on the timeline, whichever rollout runs meanwhile.
    pub(crate) fn note_of(&mut self, rollout: RolloutId, action: Action) {
        let misled = self.service.has(PlantedBug::WordsToTheRunning);
        let rollout = self.service.rollout().filter(|_| misled).unwrap_or(rollout);
        self.timeline.push(Entry { at: self.now, rollout: Some(rollout), action });
    }

    /// Tells the operators about an order.
    pub(crate) fn notify_of(&mut self, rollout: RolloutId, level: NoticeLevel, message: String) {
        self.note_of(rollout, Action::Notified { level, message: message.clone() });
        self.order_of(Some(rollout), Effect::Notify { level, message });
    }
}
