//! Orders and their acceptance.

use serde::{Deserialize, Serialize};

/// Deploy a release.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DeployRequest {
    /// What people call the release.
    pub label: String,
    /// The artefact on the controller's machine: an absolute path of a folder or an archive. The controller reads it as itself; only
    /// its own user and root can reach the socket.
    pub from: String,
    /// The text of the service's configuration, with the strategy it is to be deployed with.
    pub config: String,
    /// How errors call the configuration.
    pub config_name: String,
    /// Who orders it.
    #[serde(default)]
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Go back.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RollbackRequest {
    /// The label of the release to go back to; the previous one when none is given. A running rollout goes back to where it came from.
    #[serde(default)]
    pub to: Option<String>,
    /// Who orders it.
    #[serde(default)]
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// An order about the running rollout.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct OperatorRequest {
    /// Who orders it.
    #[serde(default)]
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// Run the current release in another way, or replace its instances by fresh ones.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AdjustRequest {
    /// What is wanted.
    #[serde(flatten)]
    pub adjustment: AdjustmentDoc,
    /// Who orders it.
    #[serde(default)]
    pub by: String,
    /// Why.
    #[serde(default)]
    pub reason: String,
}

/// What is wanted of the current release.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "adjustment", rename_all = "kebab-case")]
pub enum AdjustmentDoc {
    /// Fresh instances, batch by batch.
    Restart,
    /// So many instances instead of those of its configuration.
    Scale {
        /// How many; at least 1.
        instances: u16,
    },
    /// No instance; requests are refused.
    Stop,
    /// Its instances again.
    Start,
    /// Neither instances nor routes nor releases.
    Remove,
}

/// The order is journalled and will be carried out.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OrderAccepted {
    /// The value of `X-Gapless-Preview` that reaches the candidate while its rollout runs, where it is there before it serves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview: Option<String>,
    /// The service.
    pub service: String,
    /// The rollout that carries it out.
    pub rollout: u64,
    /// The label of the release it goes to, where that is known.
    #[serde(default)]
    pub label: Option<String>,
    /// Whether it waits for a running rollout.
    #[serde(default)]
    pub queued: bool,
    /// The rollout that it waits for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behind: Option<u64>,
    /// Whether nothing is left to be waited for.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
    /// What the operator should know although the order was taken.
    #[serde(default)]
    pub warnings: Vec<String>,
}

/// Tell what a deploy would do.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PlanRequest {
    /// What people would call the release.
    pub label: String,
    /// The text of the service's configuration, with the strategy.
    pub config: String,
    /// How errors call the configuration.
    pub config_name: String,
    /// The artefact on the controller's machine, as an absolute path: what it lacks is told. A folder is looked into, an archive is not.
    #[serde(default)]
    pub from: Option<String>,
}

/// Write a copy of the journal.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackupRequest {
    /// The file on the controller's machine, as an absolute path. The controller writes it as itself, with mode 0600.
    pub to: String,
    /// Whether a file that is there already makes way.
    #[serde(default)]
    pub replace: bool,
}

/// The copy is written, read back and verified.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct BackupAnswer {
    /// The file.
    pub to: String,
    /// The term to which it had come.
    pub epoch: u64,
    /// The commits that it holds.
    pub commits: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// Its SHA-256 in hexadecimal digits.
    pub sha256: String,
}
