//! What happened to a service, rollout by rollout, as people ask for it: summaries and events.
//!
//! Not a source of anything: built from the steps of the machine as they are taken, and built again at a replay.
//!
//! **Invariant C1**: what is told of an order is what steps say under its number. Nothing is paired by time, nor by which rollout runs or
//! is the newest: an order is begun by [`Step::placed`] and lines go where their [`Entry::rollout`](gapless_rollout::Entry) says.

use std::collections::BTreeMap;

use gapless_model::{RolloutId, Tick};
use gapless_rollout::{Action, BatchReport, Outcome, OwnOrder, PhaseName, Place, Placed, SituationReport, Step};
use gapless_wire::api::{self, Event, RolloutState, RolloutSummary};

use crate::decided::Moment;
use crate::wall;

/// Events of one rollout kept: far above what any rollout needs; the last place is for the end.
const EVENTS_MAX: usize = 10_000;

/// Rollouts of one service kept with their events. Older ones live on in their receipts.
const ROLLOUTS_MAX: usize = 100;

/// The rollouts of one service.
#[derive(Debug, Default)]
pub struct Chronicle {
    rollouts: BTreeMap<RolloutId, Told>,
    /// How many have ended: orders do not end in the order in which they were given.
    ends: u64,
}

/// One rollout.
#[derive(Debug)]
pub struct Told {
    summary: RolloutSummary,
    began: Tick,
    events: Vec<Event>,
    /// The phase that was entered last: what follows belongs to it.
    phase: Option<(PhaseName, BatchReport)>,
    /// The how-manieth end it was; none while it has not ended, 0 for those of before this chronicle.
    ended: Option<u64>,
    receipt_written: bool,
}

impl Chronicle {
    /// A step was taken.
    pub fn told(&mut self, step: &Step, at: Moment) {
        let now = at.tick;
        if let Some(Placed::Own(order)) = &step.placed {
            self.rollouts.insert(order.rollout, Told::ordered(order, at));
        }
        let situation = step.state.situation();
        for entry in &step.timeline {
            let Some(told) = entry.rollout.and_then(|rollout| self.rollouts.get_mut(&rollout)) else { continue };
            told.acted(&entry.action, now);
            if let Action::Ended { .. } = entry.action {
                self.ends += 1;
                told.ended = Some(self.ends);
            }
            let running = match &situation {
                SituationReport::Rollout(running) if Some(running.rollout) == entry.rollout => Some(running),
                SituationReport::Rollout(_)
                | SituationReport::Empty
                | SituationReport::Settled { .. }
                | SituationReport::Stopped { .. }
                | SituationReport::NeedsOperator { .. } => None,
            };
            if told.events.len() < EVENTS_MAX {
                let seq = told.events.len() as u64;
                let progress = match running {
                    Some(running) => running.progress_milli,
                    None => told.events.last().map_or(0, |event| event.progress_milli),
                };
                let (phase, batch) = told.phase.unzip();
                let event = api::event(seq, told.began, entry, phase, batch, progress);
                told.events.push(Event { at: wall::rfc3339(at.wall_ms), ..event });
            }
        }
        while self.rollouts.len() > ROLLOUTS_MAX {
            self.rollouts.pop_first();
        }
    }

    /// The receipt of a rollout is written: with this its events are complete.
    pub fn receipt_written(&mut self, rollout: RolloutId, failed_by_us: u64) {
        if let Some(told) = self.rollouts.get_mut(&rollout) {
            told.summary.failed_by_us = Some(failed_by_us);
            if !std::mem::replace(&mut told.receipt_written, true)
                && let Some(last) = told.events.last_mut()
            {
                last.ended = Some(told.summary.clone());
            }
        }
    }

    /// How many requests a rollout lost, known from its receipt.
    pub fn receipt_counted(&mut self, rollout: RolloutId, failed_by_us: u64) {
        if let Some(told) = self.rollouts.get_mut(&rollout) {
            told.summary.failed_by_us = Some(failed_by_us);
            if let Some(ended) = told.events.last_mut().and_then(|event| event.ended.as_mut()) {
                ended.failed_by_us = Some(failed_by_us);
            }
        }
    }

    /// A rollout that ended before this chronicle began, known from its receipt.
    pub fn remember(&mut self, summary: RolloutSummary) {
        let rollout = RolloutId(summary.rollout);
        self.rollouts.entry(rollout).or_insert_with(|| Told {
            began: Tick::ZERO,
            events: vec![Event {
                seq: 0,
                at_ms: summary.took_ms,
                at: String::new(),
                phase: None,
                batch: None,
                action: "ended".to_owned(),
                instance: None,
                text: summary.cause.clone().unwrap_or_else(|| summary.state.as_str().to_owned()),
                took_ms: Some(summary.took_ms),
                progress_milli: 1_000,
                ended: Some(summary.clone()),
            }],
            phase: None,
            ended: Some(0),
            receipt_written: true,
            summary,
        });
    }

    /// The order that was given last.
    #[must_use]
    pub fn newest(&self) -> Option<RolloutId> {
        self.rollouts.last_key_value().map(|(rollout, _)| *rollout)
    }

    /// Whether an order was to remove the service.
    pub(crate) fn is_removal(&self, rollout: RolloutId) -> bool {
        self.rollouts
            .get(&rollout)
            .is_some_and(|told| told.summary.strategy == gapless_rollout::Adjustment::Remove.name())
    }

    /// The rollout that ended last, of those that ran: a later order may have ended before it, in the queue.
    #[must_use]
    pub fn last_ended(&self) -> Option<RolloutId> {
        let ended = self.rollouts.iter().filter(|(_, told)| told.summary.ran());
        let ended = ended.filter_map(|(rollout, told)| Some((told.ended?, *rollout)));
        ended.max().map(|(_, rollout)| rollout)
    }

    /// A rollout as it stands at `now`.
    #[must_use]
    pub fn summary(&self, rollout: RolloutId, now: Tick) -> Option<RolloutSummary> {
        self.rollouts.get(&rollout).map(|told| told.summary_at(now))
    }

    /// The rollouts, the newest first.
    pub fn summaries(&self, now: Tick) -> impl Iterator<Item = RolloutSummary> {
        self.rollouts.values().rev().map(move |told| told.summary_at(now))
    }

    /// The events of a rollout from a number on, and whether more may come.
    #[must_use]
    pub fn events(&self, rollout: RolloutId, from: u64) -> Option<(Vec<Event>, bool)> {
        let told = self.rollouts.get(&rollout)?;
        let from = usize::try_from(from).unwrap_or(usize::MAX).min(told.events.len());
        // Until the receipt is written the last event is held back: it may yet become the one that tells the end.
        let upto =
            if told.ended.is_some() && !told.receipt_written { told.events.len() - 1 } else { told.events.len() };
        Some((told.events.get(from..upto).unwrap_or_default().to_vec(), !told.receipt_written))
    }
}

impl Told {
    fn ordered(order: &OwnOrder, at: Moment) -> Told {
        Told {
            summary: RolloutSummary {
                rollout: order.rollout.0,
                from: None,
                to: order.to.to_string(),
                strategy: String::new(),
                state: match order.place {
                    Place::Queued { .. } => RolloutState::Queued,
                    Place::Running => RolloutState::Running,
                },
                cause: None,
                by: order.origin.by.clone(),
                reason: order.origin.reason.clone(),
                ordered_at: wall::rfc3339(at.wall_ms),
                took_ms: 0,
                failed_by_us: None,
                began: false,
            },
            began: at.tick,
            events: Vec::new(),
            phase: None,
            ended: None,
            receipt_written: false,
        }
    }

    fn acted(&mut self, action: &Action, now: Tick) {
        match action {
            Action::Began { from, to, strategy } => {
                self.began = now;
                self.summary.from = from.as_ref().map(ToString::to_string);
                self.summary.to = to.to_string();
                self.summary.strategy = (*strategy).to_owned();
                self.summary.state = RolloutState::Running;
                self.summary.began = true;
            }
            Action::Entered { phase, batch } => self.phase = Some((*phase, *batch)),
            Action::TurnedBack { cause } => self.summary.cause = Some(cause.to_string()),
            Action::Ended { outcome, after } => {
                self.phase = None;
                self.summary.took_ms = after.0;
                (self.summary.state, self.summary.cause) = match outcome {
                    Outcome::Done => (RolloutState::Done, self.summary.cause.take()),
                    Outcome::RolledBack { reason } => (RolloutState::RolledBack, Some(reason.to_string())),
                    Outcome::NeedsOperator { reason } => (RolloutState::NeedsOperator, Some(reason.to_string())),
                    Outcome::Superseded { by } => {
                        (RolloutState::Superseded, Some(format!("superseded by rollout {by}")))
                    }
                    // A state of its own would be unreadable to the program before this one: `began` tells the two apart.
                    Outcome::Refused { reason } => {
                        (RolloutState::RolledBack, Some(format!("it could not begin: {reason}")))
                    }
                };
            }
            _ => {}
        }
    }

    fn summary_at(&self, now: Tick) -> RolloutSummary {
        let mut summary = self.summary.clone();
        if self.ended.is_none() {
            summary.took_ms = now.since(self.began).0;
        }
        summary
    }
}
