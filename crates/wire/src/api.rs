//! The `/v1` HTTP/JSON API between the controller and whoever talks to it (command line, web page, scripts), served over a Unix
//! socket with mode 0600 in the state folder.
//!
//! | method and path | body | answer |
//! |---|---|---|
//! | `GET /v1/status` | | [`Status`] |
//! | `GET /v1/services/{service}` | | [`ServiceStatus`] (also what `explain` prints) |
//! | `POST /v1/services/{service}/releases` | [`DeployRequest`] | 202 [`OrderAccepted`], once the release is unpacked and the order journalled |
//! | `GET /v1/services/{service}/releases` | | [`Releases`] |
//! | `POST /v1/services/{service}/rollback` | [`RollbackRequest`] | 202 [`OrderAccepted`] |
//! | `POST /v1/services/{service}/abort` | [`OperatorRequest`] | 202 [`OrderAccepted`] |
//! | `POST /v1/services/{service}/adjust` | [`AdjustRequest`] | 202 [`OrderAccepted`] |
//! | `POST /v1/services/{service}/adjust/plan` | [`AdjustRequest`] | [`PlanAnswer`]: what the order would do |
//! | `POST /v1/services/{service}/promote` | [`OperatorRequest`] | 202 [`OrderAccepted`] |
//! | `GET /v1/services/{service}/rollouts?limit=N` | | [`History`], the newest first |
//! | `GET /v1/services/{service}/rollouts/{number}` | | [`RolloutSummary`]; `last` is the one ordered last |
//! | `GET /v1/services/{service}/rollouts/{number}/events?from=SEQ` | | JSON lines of [`Event`] from that sequence number on, until the rollout has ended and its receipt is written; the last line has `ended` |
//! | `GET /v1/services/{service}/rollouts/{number}/receipt` | | [`Receipt`]; `last` is the one that ended last, of those that ran |
//! | `GET /v1/services/{service}/logs?release=LABEL&tail=N&follow=true` | | JSON lines of [`LogLine`] |
//! | `GET /v1/events?service=NAME&age_ms=N&tail=N&follow=true` | | JSON lines of [`ServiceEvent`], the oldest first; of all services where none is named |
//! | `POST /v1/backup` | [`BackupRequest`] | [`BackupAnswer`], once the copy is written, read back and verified |
//! | `POST /v1/plan` | [`PlanRequest`] | [`PlanAnswer`] |
//!
//! Every other answer than 2xx has an [`ErrorBody`]. Times of the past are given as ages in milliseconds, so that no reader's clock
//! matters; `*_at` is the controller's wall clock (RFC 3339), for people.
//!
//! **Invariant W-A1**: readers ignore fields they do not know, and every field added later has a default: a program of release n
//! talks with a controller of n − 1 and n + 1 (I17). Tested in `tests`.

mod convert;
mod error;
mod event;
mod log;
mod order;
mod receipt;
mod rollout;
mod status;
#[cfg(test)]
mod tests;

pub use convert::{event, plan_answer, service_status};
pub use error::{ErrorBody, ErrorCode, causes, in_one_line};
pub use event::{Found, Losses, ServiceEvent};
pub use log::{LogLine, LogStream};
pub use order::{
    AdjustRequest, AdjustmentDoc, BackupAnswer, BackupRequest, DeployRequest, OperatorRequest, OrderAccepted,
    PlanRequest, RollbackRequest,
};
pub use receipt::{LastWords, Receipt, ReleaseCounts};
pub use rollout::{
    Batch, Event, History, PlanAnswer, PlannedPhase, ReleaseRole, ReleaseSummary, Releases, RolloutState,
    RolloutSummary,
};
pub use status::{
    ControllerStatus, InstanceLoad, InstanceState, InstanceStatus, NextDeadline, ProxyStatus, ReleaseStatus,
    ServiceStatus, Situation, Status, TimeToRollBack, WaitStatus,
};

/// The media type of answers that are one JSON object per line.
pub const JSON_LINES: &str = "application/jsonl";

/// The largest body of a request, in bytes: a configuration at its bound, escaped, with room around it.
pub const REQUEST_BYTES_MAX: usize = 2 * crate::config::CONFIG_BYTES_MAX + 64 * 1024;
