//! Rollouts and releases: what ran, what runs, what would run.

use serde::{Deserialize, Serialize};

use super::TimeToRollBack;

/// The rollouts of a service.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct History {
    /// The newest first.
    pub rollouts: Vec<RolloutSummary>,
}

/// One rollout in a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RolloutSummary {
    /// Its number within the service.
    pub rollout: u64,
    /// The label of the release it came from; none for a first deploy.
    #[serde(default)]
    pub from: Option<String>,
    /// The label of the release it goes to.
    pub to: String,
    /// `rolling`, `blue-green`, `first deploy`, `rollback`.
    pub strategy: String,
    /// Where it is or how it ended.
    pub state: RolloutState,
    /// Why it turned back or needs an operator.
    #[serde(default)]
    pub cause: Option<String>,
    /// Who ordered it.
    #[serde(default)]
    pub by: String,
    /// Why they did.
    #[serde(default)]
    pub reason: String,
    /// When it was ordered (RFC 3339).
    pub ordered_at: String,
    /// How long it took, or has taken so far, in milliseconds.
    pub took_ms: u64,
    /// Requests lost by Gapless itself, once its receipt is written.
    #[serde(default)]
    pub failed_by_us: Option<u64>,
    /// Whether it began. An order that waited may end before: a later one took its place, or it had become impossible.
    #[serde(default = "yes")]
    pub began: bool,
}

impl RolloutSummary {
    /// Whether anything was done, and so anything can have cost something.
    #[must_use]
    pub fn ran(&self) -> bool {
        self.began
            && match self.state {
                RolloutState::Queued | RolloutState::Superseded => false,
                RolloutState::Running
                | RolloutState::Done
                | RolloutState::RolledBack
                | RolloutState::NeedsOperator
                | RolloutState::Other => true,
            }
    }

    /// Where it is or how it ended, as people read it. An order that could not begin was not rolled back from anything.
    #[must_use]
    pub fn state_text(&self) -> &'static str {
        match self.state {
            RolloutState::RolledBack if !self.began => "refused",
            state => state.as_str(),
        }
    }
}

fn yes() -> bool {
    true
}

/// Where a rollout is or how it ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutState {
    /// It waits for another one.
    Queued,
    /// It runs.
    Running,
    /// Ended: the candidate is the current release.
    Done,
    /// Ended: the release before serves.
    RolledBack,
    /// Ended: a person has to decide.
    NeedsOperator,
    /// Ended before it began: a later order took its place.
    Superseded,
    /// A state of a newer controller.
    #[serde(other)]
    Other,
}

impl RolloutState {
    /// Whether it has ended.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            RolloutState::Queued | RolloutState::Running | RolloutState::Other => false,
            RolloutState::Done | RolloutState::RolledBack | RolloutState::NeedsOperator | RolloutState::Superseded => {
                true
            }
        }
    }

    /// Its name as people read it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            RolloutState::Queued => "queued",
            RolloutState::Running => "running",
            RolloutState::Done => "done",
            RolloutState::RolledBack => "rolled back",
            RolloutState::NeedsOperator => "needs operator",
            RolloutState::Superseded => "superseded",
            RolloutState::Other => "unknown",
        }
    }
}

/// One action of a rollout.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// Its number within the rollout, from 0, without gaps.
    pub seq: u64,
    /// When, in milliseconds since the rollout began.
    pub at_ms: u64,
    /// When, by the controller's wall clock (RFC 3339).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub at: String,
    /// The phase it belongs to.
    #[serde(default)]
    pub phase: Option<String>,
    /// The batch it belongs to.
    #[serde(default)]
    pub batch: Option<Batch>,
    /// What kind of action: `began`, `entered`, `starting`, `ready`, `published`, `applied`, `drained`, `stopped`, … Stable words.
    pub action: String,
    /// The instance it is about.
    #[serde(default)]
    pub instance: Option<String>,
    /// The action in a sentence.
    pub text: String,
    /// How long it took where it ends something that began, in milliseconds.
    #[serde(default)]
    pub took_ms: Option<u64>,
    /// How far the rollout is, in thousandths.
    #[serde(default)]
    pub progress_milli: u16,
    /// In the last event alone: how the rollout ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<RolloutSummary>,
}

/// A batch out of all batches.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Batch {
    /// Which, from 1.
    pub number: u16,
    /// Of how many.
    pub of: u16,
}

/// The releases of a service.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Releases {
    /// The newest first.
    pub releases: Vec<ReleaseSummary>,
}

/// One release in a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct ReleaseSummary {
    /// Its number within the service.
    pub release: u64,
    /// What people call it.
    pub label: String,
    /// The SHA-256 digest of its artefact, in hexadecimal digits.
    pub digest: String,
    /// What it is to the service.
    pub role: ReleaseRole,
    /// How many instances of it run.
    pub instances: u16,
    /// When it was registered (RFC 3339).
    pub registered_at: String,
    /// Bytes of its files, unpacked; not known of releases registered by an older controller.
    #[serde(default)]
    pub bytes: Option<u64>,
}

/// What a release is to its service.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReleaseRole {
    /// It serves.
    Current,
    /// It is being rolled out.
    Candidate,
    /// It is on its way out of load.
    Retiring,
    /// A rollback would go to it.
    Previous,
    /// It is kept to go back to.
    Kept,
}

/// What a rollout would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanAnswer {
    /// The service.
    pub service: String,
    /// From which release; none for a first deploy.
    #[serde(default)]
    pub from: Option<String>,
    /// To which.
    pub to: String,
    /// `rolling`, `blue-green` or `first deploy`.
    pub strategy: String,
    /// The phases in their order.
    pub phases: Vec<PlannedPhase>,
    /// How long it takes when nothing fails, in milliseconds.
    pub expected_ms: u64,
    /// How long it may take at most, in milliseconds.
    pub timeout_ms: u64,
    /// What going back takes once the candidate has all traffic.
    pub rollback: TimeToRollBack,
    /// What would keep its instances from being started on this machine, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
}

/// One phase of a plan.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlannedPhase {
    /// Its name.
    pub phase: String,
    /// Its batch.
    pub batch: Batch,
    /// What is done in it.
    pub what: String,
    /// How long it takes when nothing fails, in milliseconds.
    pub expected_ms: u64,
    /// How long it may take, in milliseconds.
    pub deadline_ms: u64,
    /// What happens after that.
    pub then: String,
}
