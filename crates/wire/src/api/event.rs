//! What happened to the services of a machine, in rollouts and outside of them.

use std::fmt;

use gapless_model::ServiceName;
use gapless_rollout::{Action, Entry};
use serde::{Deserialize, Serialize};

use super::convert::action_words;

/// One thing that happened to a service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ServiceEvent {
    /// Its number within the service, from 0; rising, as long as the controller runs.
    pub seq: u64,
    /// When (RFC 3339).
    pub at: String,
    /// The same in milliseconds since 1970.
    pub at_ms: u64,
    /// To which service.
    pub service: String,
    /// In which rollout; none outside of rollouts.
    #[serde(default)]
    pub rollout: Option<u64>,
    /// What kind: the words of [`Event::action`](super::Event::action), such as `lost`, `unhealthy`, `crash-loop`, `ended`.
    pub action: String,
    /// The instance it is about.
    #[serde(default)]
    pub instance: Option<String>,
    /// In a sentence.
    pub text: String,
}

impl ServiceEvent {
    /// A line of a service's timeline, where it is one that people ask for later: beginnings, ends and faults; outside of rollouts also how a fault was
    /// mended, for no rollout tells that.
    #[must_use]
    pub fn of(seq: u64, service: &ServiceName, entry: &Entry, at: String, at_ms: u64) -> Option<ServiceEvent> {
        let told = match &entry.action {
            Action::Began { .. }
            | Action::Queued { .. }
            | Action::TurnedBack { .. }
            | Action::Ended { .. }
            | Action::NotReady { .. }
            | Action::Lost { .. }
            | Action::Unhealthy { .. }
            | Action::DrainCut(_)
            | Action::OneOffFailed { .. }
            | Action::Mended { .. }
            | Action::Scaled { .. }
            | Action::Promoted { .. }
            | Action::ControllerRestarted { .. } => true,
            Action::Starting(_) | Action::Ready(_) => entry.rollout.is_none(),
            Action::Entered { .. }
            | Action::Published { .. }
            | Action::Applied { .. }
            | Action::RequestsEnded(_)
            | Action::Drained(_)
            | Action::Stopping(_)
            | Action::Stopped(_)
            | Action::CheckBegan { .. }
            | Action::CheckPassed { .. }
            | Action::OneOffBegan { .. }
            | Action::OneOffPassed { .. }
            | Action::Notified { .. } => false,
        };
        let (action, instance) = action_words(&entry.action);
        told.then(|| ServiceEvent {
            seq,
            at,
            at_ms,
            service: service.to_string(),
            rollout: entry.rollout.map(|rollout| rollout.0),
            action: action.to_owned(),
            instance: instance.map(ToString::to_string),
            text: entry.action.to_string(),
        })
    }
}

impl ServiceEvent {
    /// Something that no line of the timeline says.
    #[must_use]
    pub fn found(seq: u64, service: &ServiceName, found: &Found, at: String, at_ms: u64) -> ServiceEvent {
        let action = match found {
            Found::CrashLoop { .. } => "crash-loop",
            Found::BelowFloor { .. } => "below-floor",
        };
        ServiceEvent {
            seq,
            at,
            at_ms,
            service: service.to_string(),
            rollout: None,
            action: action.to_owned(),
            instance: None,
            text: found.to_string(),
        }
    }

    /// Whether it is one that people are to be told of though they ask for nothing: ends of rollouts, and faults outside of them.
    #[must_use]
    pub fn is_notice(&self) -> bool {
        match self.action.as_str() {
            "ended" | "crash-loop" | "below-floor" | "command-failed" => true,
            "lost" | "unhealthy" => self.rollout.is_none(),
            _ => false,
        }
    }
}

/// What is seen by looking at a service before and after a step.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Instances that took one place have failed so often in a row that it is no chance.
    CrashLoop {
        /// How often.
        failures: u32,
    },
    /// Faults took the service below its floor.
    BelowFloor {
        /// Ready instances in load.
        ready: u16,
        /// The floor.
        floor: u16,
    },
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Found::CrashLoop { failures } => {
                write!(f, "crash loop: {failures} failures in a row of instances in one place")
            }
            Found::BelowFloor { ready, floor } => {
                write!(f, "{ready} ready instances in load, below the floor of {floor}")
            }
        }
    }
}

/// How often instances of a service were lost lately.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Losses {
    /// How many in the last hour, outside of rollouts.
    pub last_hour: u32,
    /// How often in a row those that took one place failed by themselves.
    pub in_a_row: u32,
    /// Whether that is a crash loop.
    pub crash_loop: bool,
    /// The last loss, in a sentence.
    #[serde(default)]
    pub last: Option<String>,
    /// How long ago it was, in milliseconds.
    #[serde(default)]
    pub last_age_ms: Option<u64>,
}

impl Losses {
    /// Whether nothing was lost lately.
    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Losses::default()
    }

    /// What an operator should know; nothing where nothing was lost lately.
    #[must_use]
    pub fn remark(&self, service: &str) -> Option<String> {
        let last = self
            .last
            .as_ref()
            .zip(self.last_age_ms)
            .map(|(last, age)| format!("; the last {} s ago: {last}", age / 1_000));
        let last = last.unwrap_or_default();
        match (self.crash_loop, self.last_hour) {
            (true, lost) => Some(format!(
                "crash loop: {} failures in a row, {lost} instances lost in the last hour{last}; `gapless logs {service}` says more",
                self.in_a_row
            )),
            (false, 0) => None,
            (false, 1) => Some(format!("1 instance was lost in the last hour{last}")),
            (false, lost) => Some(format!("{lost} instances were lost in the last hour{last}")),
        }
    }
}
