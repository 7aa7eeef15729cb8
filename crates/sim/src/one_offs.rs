//! One-offs in the fake fleet: each runs once, outlives the controller, and its end is told to whoever asks.

use std::collections::{BTreeMap, BTreeSet};

use gapless_model::{InstanceId, RolloutId};
use gapless_rollout::{OneOff, OneOffEnd, OneOffKind};

/// The one-offs that were ever started.
#[derive(Clone, Debug, Default)]
pub(crate) struct OneOffs {
    known: BTreeMap<InstanceId, State>,
    /// Which hook ran for which rollout.
    hooks: BTreeSet<(Option<RolloutId>, String)>,
}

/// How a one-off is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum State {
    Runs { is_gate: bool, end: OneOffEnd },
    Ended(OneOffEnd),
    Stopped,
}

/// What a start found.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// Nothing: it runs now. What is wrong with that, if anything is.
    New(Option<String>),
    /// It runs already.
    Running,
    /// It has ended so.
    Ended(OneOffEnd),
}

impl OneOffs {
    /// Starts a one-off that is to end so, unless there was one of that id.
    pub(crate) fn start(&mut self, one_off: &OneOff, rollout: Option<RolloutId>, end: OneOffEnd) -> Found {
        match self.known.get(&one_off.id) {
            Some(State::Runs { .. }) => return Found::Running,
            Some(State::Ended(end)) => return Found::Ended(end.clone()),
            Some(State::Stopped) | None => {}
        }
        let OneOffKind::Hook(point) = one_off.kind;
        let is_gate = point.is_gate();
        let is_first = self.hooks.insert((rollout, one_off.to_string()));
        self.known.insert(one_off.id.clone(), State::Runs { is_gate, end });
        let gates = self.known.values().filter(|state| matches!(state, State::Runs { is_gate: true, .. })).count();
        Found::New(match (is_first, gates) {
            (false, _) => Some(format!("{one_off} runs a second time in its rollout")),
            (true, 2..) => Some(format!("{one_off} runs beside another hook that a rollout waits for")),
            (true, _) => None,
        })
    }

    /// A one-off ends by itself; nothing where it was stopped before.
    pub(crate) fn end(&mut self, id: &InstanceId) -> Option<OneOffEnd> {
        let state = self.known.get_mut(id)?;
        let State::Runs { end, .. } = state else { return None };
        let end = end.clone();
        *state = State::Ended(end.clone());
        Some(end)
    }

    /// Ends a one-off by order; says whether it is one.
    pub(crate) fn stop(&mut self, id: &InstanceId) -> bool {
        self.known.get_mut(id).map(|state| *state = State::Stopped).is_some()
    }

    /// How many were started.
    pub(crate) fn starts(&self) -> usize {
        self.known.len()
    }

    /// Those that run.
    pub(crate) fn running(&self) -> Vec<&InstanceId> {
        let runs = self.known.iter().filter(|(_, state)| matches!(state, State::Runs { .. }));
        runs.map(|(id, _)| id).collect()
    }
}
