//! One-offs: commands that run once in a release's environment, each under an ordinal of its own and as often as its order says: once.
//!
//! A one-off is ordered by an effect as an instance is, and found again under its id by a later controller, so that a crash neither loses its
//! outcome nor runs it a second time. It never stands in a table and counts for no capacity.

use std::fmt;

use gapless_model::{EffectNumber, Hook, HookPoint, InstanceId, Millis, RolloutId, Tick};

/// A command that runs once in a release's environment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OneOff {
    /// Its id: that of no instance and of no other one-off.
    pub id: InstanceId,
    /// What people call it.
    pub name: String,
    /// What it is run for.
    pub kind: OneOffKind,
    /// Program and arguments, at least one; `{release}` is replaced.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Millis,
}

/// What a one-off is run for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum OneOffKind {
    /// A point of a rollout.
    Hook(HookPoint),
}

/// How a one-off ended by itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OneOffEnd {
    /// It exited with 0.
    Passed,
    /// It did not, or could not be run.
    Failed {
        /// Why, for people.
        reason: String,
    },
}

/// A one-off that was ordered and whose end is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Running {
    pub one_off: OneOff,
    /// The rollout that ordered it.
    pub rollout: Option<RolloutId>,
    pub since: Tick,
    pub life: Life,
}

/// How far a one-off is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Life {
    /// It runs, or is about to.
    Running { effect: EffectNumber, deadline: Tick },
    /// It is being ended.
    Stopping { effect: EffectNumber, grace: Millis },
}

impl fmt::Display for OneOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            OneOffKind::Hook(HookPoint::Release) => f.write_str("the release command"),
            OneOffKind::Hook(point) => write!(f, "the {point} hook {:?}", self.name),
        }
    }
}

impl OneOff {
    /// A hook, under this id.
    pub(crate) fn of_hook(id: InstanceId, hook: &Hook) -> OneOff {
        let (name, kind) = (hook.name.clone(), OneOffKind::Hook(hook.point));
        OneOff { id, name, kind, command: hook.command.clone(), timeout: hook.timeout }
    }
}

impl Running {
    /// Whether a rollout waits, or waited, for it.
    pub(crate) fn is_gate(&self) -> bool {
        match self.one_off.kind {
            OneOffKind::Hook(point) => point.is_gate(),
        }
    }

    /// When its time is over; none once it is being ended.
    pub(crate) fn deadline(&self) -> Option<Tick> {
        match self.life {
            Life::Running { deadline, .. } => Some(deadline),
            Life::Stopping { .. } => None,
        }
    }
}
