//! The turn: a service in the middle of one step, with what the step has ordered and noted so far.

use gapless_model::{EffectNumber, Tick};

use crate::{Action, Effect, Entry, Intent, NoticeLevel, Service};

/// A service in the middle of one step.
pub(crate) struct Turn {
    pub service: Service,
    pub now: Tick,
    pub effects: Vec<Intent>,
    pub timeline: Vec<Entry>,
}

impl Turn {
    pub(crate) fn new(service: Service, now: Tick) -> Turn {
        Turn { service, now, effects: Vec::new(), timeline: Vec::new() }
    }

    /// Orders an effect under the next number.
    pub(crate) fn order(&mut self, effect: Effect) -> EffectNumber {
        let number = self.service.numbers.effect.next();
        self.service.numbers.effect = number;
        self.effects.push(Intent { number, rollout: self.service.rollout(), effect });
        number
    }

    /// Orders an effect once more, under the number it has.
    pub(crate) fn repeat(&mut self, number: EffectNumber, effect: Effect) {
        self.effects.push(Intent { number, rollout: self.service.rollout(), effect });
    }

    /// Puts a line on the timeline.
    pub(crate) fn note(&mut self, action: Action) {
        self.timeline.push(Entry { at: self.now, rollout: self.service.rollout(), action });
    }

    /// Tells the operators.
    pub(crate) fn notify(&mut self, level: NoticeLevel, message: String) {
        self.note(Action::Notified { level, message: message.clone() });
        self.order(Effect::Notify { level, message });
    }
}
