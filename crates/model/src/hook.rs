//! Commands of the operator's at named points of a rollout.

use std::fmt;
use std::str::FromStr;

use crate::Millis;

/// A command that runs once at a point of a rollout, in the environment of the release it belongs to.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hook {
    /// What people call it; `release command` for that of `[release]`.
    pub name: String,
    /// When it runs.
    pub point: HookPoint,
    /// Program and arguments, at least one; `{release}` is replaced.
    pub command: Vec<String>,
    /// How long it may take; then it is ended, and has failed.
    pub timeout: Millis,
}

/// When a hook runs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum HookPoint {
    /// Before the first instance of the candidate starts, and before anything of the release before is touched.
    BeforeStart,
    /// Behind those: the release command, such as a migration.
    Release,
    /// When the first batch is ready and passed its checks, and nobody is switched to it yet.
    BeforeExpose,
    /// When the candidate has all traffic.
    AfterExpose,
    /// When the release has been gone back from.
    OnRollback,
    /// When the release has become current and its rollout is over.
    OnDone,
}

impl HookPoint {
    /// The points that a configuration names, in the order in which a rollout comes by.
    pub const NAMED: [HookPoint; 5] = [
        HookPoint::BeforeStart,
        HookPoint::BeforeExpose,
        HookPoint::AfterExpose,
        HookPoint::OnRollback,
        HookPoint::OnDone,
    ];

    /// The point as people and files write it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            HookPoint::BeforeStart => "before-start",
            HookPoint::Release => "release",
            HookPoint::BeforeExpose => "before-expose",
            HookPoint::AfterExpose => "after-expose",
            HookPoint::OnRollback => "on-rollback",
            HookPoint::OnDone => "on-done",
        }
    }

    /// Whether the rollout waits for it; the others run when it is over and change nothing of it.
    #[must_use]
    pub fn is_gate(self) -> bool {
        match self {
            HookPoint::BeforeStart | HookPoint::Release | HookPoint::BeforeExpose | HookPoint::AfterExpose => true,
            HookPoint::OnRollback | HookPoint::OnDone => false,
        }
    }
}

/// A text that names no point of a rollout.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no point of a rollout")]
pub struct HookPointInvalid;

impl FromStr for HookPoint {
    type Err = HookPointInvalid;

    fn from_str(text: &str) -> Result<HookPoint, HookPointInvalid> {
        let mut all = HookPoint::NAMED.into_iter().chain([HookPoint::Release]);
        all.find(|point| point.as_str() == text).ok_or(HookPointInvalid)
    }
}

impl fmt::Display for HookPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// `the release command`, `the before-expose hook "smoke"`
impl fmt::Display for Hook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.point {
            HookPoint::Release => f.write_str("the release command"),
            point => write!(f, "the {point} hook {:?}", self.name),
        }
    }
}
