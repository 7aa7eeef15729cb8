//! What is told of each order: the lines of the timeline under its number, as the controller's chronicle keeps them.

use std::collections::BTreeMap;

use gapless_model::{ReleaseLabel, RolloutId};
use gapless_rollout::{Action, Placed, Step};

/// The orders that were taken. Built again by a replay.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    orders: BTreeMap<RolloutId, Told>,
    /// Lines that stand under the wrong order.
    pub wrong: Vec<String>,
}

#[derive(Clone, Debug)]
struct Told {
    to: ReleaseLabel,
    ends: usize,
}

impl Book {
    /// A step was taken.
    pub(crate) fn told(&mut self, step: &Step) {
        if let Some(Placed::Own(order)) = &step.placed
            && self.orders.insert(order.rollout, Told { to: order.to.clone(), ends: 0 }).is_some()
        {
            self.wrong.push(format!("two orders have the number {}", order.rollout));
        }
        for entry in &step.timeline {
            let told = entry.rollout.and_then(|rollout| self.orders.get_mut(&rollout));
            match (&entry.action, told) {
                (Action::Began { to, .. } | Action::Queued { to }, told)
                    if told.as_ref().is_none_or(|told| told.to != *to) =>
                {
                    self.wrong.push(format!("\"{}\" stands under {:?}", entry.action, entry.rollout));
                }
                (Action::Ended { .. }, Some(told)) => told.ends += 1,
                (Action::Ended { .. }, None) => self.wrong.push(format!("{} ends nothing", entry.action)),
                _ => {}
            }
        }
    }

    /// How many ends were told of an order.
    pub(crate) fn ends(&self, rollout: RolloutId) -> usize {
        self.orders.get(&rollout).map_or(0, |told| told.ends)
    }

    /// Every order that was taken.
    pub(crate) fn orders(&self) -> impl Iterator<Item = RolloutId> {
        self.orders.keys().copied()
    }
}
