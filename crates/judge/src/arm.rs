//! The two sides of a comparison.

use serde::{Deserialize, Serialize};

/// One side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Arm {
    /// The release being rolled out, arm C.
    Candidate,
    /// The release users are on, arm B.
    Current,
}

/// The same thing of both sides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Arms<T> {
    /// Of the candidate.
    pub candidate: T,
    /// Of the current release.
    pub current: T,
}

impl<T> Arms<T> {
    /// The side of one arm.
    pub fn of(&self, arm: Arm) -> &T {
        match arm {
            Arm::Candidate => &self.candidate,
            Arm::Current => &self.current,
        }
    }

    /// The side of one arm, to change.
    pub fn of_mut(&mut self, arm: Arm) -> &mut T {
        match arm {
            Arm::Candidate => &mut self.candidate,
            Arm::Current => &mut self.current,
        }
    }
}
