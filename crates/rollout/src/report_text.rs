//! The report as text, for `gapless explain`, the web page and the log.

use std::fmt;

use gapless_model::Tick;

use crate::{Awaited, InstanceState, LoadState, ReleaseReport, Report, Role, RolloutReport, SituationReport};

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.situation {
            SituationReport::Empty => writeln!(f, "{}: nothing is deployed", self.service)?,
            SituationReport::Settled { current } => writeln!(f, "{}: {current} serves", self.service)?,
            SituationReport::Stopped { current } => writeln!(f, "{}: {current} is stopped", self.service)?,
            SituationReport::Rollout(rollout) => {
                writeln!(f, "{}: {}", self.service, RolloutLine { rollout, now: self.now })?;
            }
            SituationReport::NeedsOperator { rollout, reason, since } => {
                let for_how_long = self.now.since(*since);
                writeln!(f, "{}: rollout {rollout} needs an operator for {for_how_long}: {reason}", self.service)?;
            }
        }
        self.releases.iter().try_for_each(|release| writeln!(f, "  {release}"))?;
        for wait in &self.waits {
            writeln!(
                f,
                "  waits for {}, for {}",
                AwaitedAt { awaited: &wait.awaited, now: self.now },
                self.now.since(wait.since)
            )?;
        }
        if let Some(next) = &self.next {
            writeln!(f, "  at the latest in {}: {}", next.at.since(self.now), next.then)?;
        }
        if let Some(queued) = self.queued {
            writeln!(f, "  rollout {queued} begins after this one")?;
        }
        writeln!(f, "  rolling back: {}", self.rollback)
    }
}

struct RolloutLine<'a> {
    rollout: &'a RolloutReport,
    now: Tick,
}

impl fmt::Display for RolloutLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let RolloutReport { rollout, from, to, strategy, phase, phase_since, batch, turned_back, .. } = self.rollout;
        write!(f, "rollout {rollout}, {strategy}")?;
        if let Some(from) = from {
            write!(f, " from {from} to {to}")?;
        } else {
            write!(f, " of {to}")?;
        }
        write!(f, ", in {phase}")?;
        if batch.of > 1 {
            write!(f, " of batch {} of {}", batch.number, batch.of)?;
        }
        write!(f, " for {}", self.now.since(*phase_since))?;
        turned_back.iter().try_for_each(|cause| write!(f, ", because {cause}"))
    }
}

/// `1.1 (candidate, 25%): 2 ready, 1 draining`
impl fmt::Display for ReleaseReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let role = match self.role {
            Role::Current => "current",
            Role::Candidate => "candidate",
            Role::Retiring => "retiring",
        };
        write!(f, "{} ({role}, {} of the traffic):", self.label, self.weight)?;
        let count = |what: &dyn Fn(&crate::InstanceReport) -> bool| self.instances.iter().filter(|i| what(i)).count();
        let live = count(&|i| i.load == LoadState::Live && i.state != InstanceState::Stopping);
        let ready = count(&|i| i.state == InstanceState::Ready && i.load != LoadState::Live);
        let rows = [
            (live, "in load"),
            (ready, "ready and not in load"),
            (count(&|i| i.state == InstanceState::Starting), "starting"),
            (count(&|i| matches!(i.state, InstanceState::Warming { .. }) && i.load != LoadState::Live), "warming"),
            (count(&|i| matches!(i.state, InstanceState::Unhealthy { .. })), "unhealthy"),
            (count(&|i| i.state == InstanceState::Stopping), "stopping"),
        ];
        let mut shown = rows.iter().filter(|(number, _)| *number > 0).peekable();
        if shown.peek().is_none() {
            return f.write_str(" no instance");
        }
        shown
            .enumerate()
            .try_for_each(|(at, (number, what))| write!(f, "{} {number} {what}", if at == 0 { "" } else { "," }))
    }
}

struct AwaitedAt<'a> {
    awaited: &'a Awaited,
    now: Tick,
}

impl fmt::Display for AwaitedAt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.awaited {
            Awaited::Started(instance) => write!(f, "the process of {instance}"),
            Awaited::Ready(instance) => write!(f, "{instance} to be ready"),
            Awaited::Applied(routes) => write!(f, "every proxy to use table {routes}"),
            Awaited::Drained(instance) => write!(f, "the requests in flight to {instance}"),
            Awaited::LastingEnded(instance) => write!(f, "the tunnels and streams through {instance}"),
            Awaited::Stopped(instance) => write!(f, "{instance} to be gone"),
            Awaited::Check(check) => write!(f, "check {check:?}"),
            Awaited::Hook(hook) => write!(f, "{hook} to end"),
            Awaited::Observed { until } => {
                write!(f, "what clients see of it, {} more", until.since(self.now))
            }
            Awaited::Backoff { release, until } => {
                write!(f, "the next try to start {release}, {} more", until.since(self.now))
            }
            Awaited::Floor { ready, floor } => {
                write!(f, "ready instances in load: {ready} of at least {floor}")
            }
        }
    }
}
