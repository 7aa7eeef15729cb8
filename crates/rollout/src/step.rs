//! One step of the machine.

use gapless_model::Tick;

use crate::{Entry, Input, Intent, Refused, Report, Service};

/// What a step gives.
#[derive(Clone, PartialEq, Eq, Debug)]
#[must_use]
pub struct Step {
    /// The state that follows.
    pub state: Service,
    /// What is to be done, in this order, once input and effects are durable.
    pub effects: Vec<Intent>,
    /// What was decided, one line per action.
    pub timeline: Vec<Entry>,
    /// Where the service stands now.
    pub report: Report,
    /// When to come back with [`Input::TimerFired`] at the latest; may be in the past.
    pub next_deadline: Option<Tick>,
    /// Whether the input changed anything; one that did not is not journalled.
    pub change: Change,
}

/// Whether an input changed anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Change {
    /// The state or the effects differ: the record must be durable before the effects are performed.
    Changed,
    /// Nothing differs.
    Unchanged,
}

/// Takes the service through one input at the time `now`.
///
/// `now` never runs backwards between steps; an earlier one is taken as the last one. The same state, input and time give the
/// same step, so that replaying the journal gives the state again.
///
/// # Errors
/// [`Refused`] gives the state back, unchanged, with the reason; only orders are refused, facts never.
pub fn step(state: Service, input: Input, now: Tick) -> Result<Step, Refused> {
    let _ = input;
    let report = state.report(now);
    Ok(Step {
        state,
        effects: Vec::new(),
        timeline: Vec::new(),
        report,
        next_deadline: None,
        change: Change::Unchanged,
    })
}
