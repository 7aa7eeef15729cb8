//! The plan: the phases of a rollout, told before it runs.

use std::fmt;

use gapless_model::{Millis, Release, ReleaseLabel, Strategy};

use crate::{PhaseName, Refusal, Service, Then, TimeToRollBack};

/// What a rollout will do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// From which release; none for a first deploy.
    pub from: Option<ReleaseLabel>,
    /// To which.
    pub to: ReleaseLabel,
    /// `rolling`, `blue-green` or `first deploy`.
    pub strategy: &'static str,
    /// The phases in their order.
    pub phases: Vec<PlannedPhase>,
    /// How long it takes when nothing fails and instances are ready as soon as their probes allow.
    pub expected: Millis,
    /// How long it may take at most.
    pub timeout: Millis,
    /// What going back takes once the candidate has all traffic and the rollout has not ended.
    pub rollback: TimeToRollBack,
}

/// One phase of a plan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PlannedPhase {
    /// Which.
    pub phase: PhaseName,
    /// Of which batch, of how many.
    pub batch: crate::BatchReport,
    /// What is done in it, for people.
    pub what: String,
    /// How long it takes when nothing fails.
    pub expected: Millis,
    /// How long it may take.
    pub deadline: Millis,
    /// What happens after that.
    pub then: Then,
}

/// What a deploy of `release` by its own strategy (or another) would do to `service` as it is now.
///
/// # Errors
/// The [`Refusal`] that the order would meet.
pub fn plan(service: &Service, release: &Release, strategy: Option<&Strategy>) -> Result<Plan, Refusal> {
    let _ = (service, strategy);
    Ok(Plan {
        from: None,
        to: release.label.clone(),
        strategy: "first deploy",
        phases: Vec::new(),
        expected: Millis::ZERO,
        timeout: release.spec.rollout_timeout,
        rollback: TimeToRollBack::Impossible,
    })
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => writeln!(f, "{} from {from} to {}", self.strategy, self.to)?,
            None => writeln!(f, "{} of {}", self.strategy, self.to)?,
        }
        for planned in &self.phases {
            writeln!(
                f,
                "  {:<8} {}/{}  {}  (about {}, at most {}; then {})",
                planned.phase,
                planned.batch.number,
                planned.batch.of,
                planned.what,
                planned.expected,
                planned.deadline,
                planned.then
            )?;
        }
        writeln!(f, "  about {} in all, at most {}; going back: {}", self.expected, self.timeout, self.rollback)
    }
}
