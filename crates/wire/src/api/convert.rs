//! From the machine's own values to what the API says. What only the controller knows (requests in flight, processes, routes, the last
//! rollout) it fills in afterwards.

use gapless_model::{InstanceId, Millis, Tick};
use gapless_rollout::{
    Action, Awaited, BatchReport, Entry, InstanceReport, LoadState, Plan, ReleaseReport, Report, Role, SituationReport,
    Wait,
};

use super::{
    Batch, Event, InstanceLoad, InstanceState, InstanceStatus, Losses, NextDeadline, PlanAnswer, PlannedPhase,
    ReleaseRole, ReleaseStatus, ServiceStatus, Situation, TimeToRollBack, WaitStatus,
};

/// A service's report as the API says it.
#[must_use]
pub fn service_status(report: &Report) -> ServiceStatus {
    let now = report.now;
    ServiceStatus {
        service: report.service.to_string(),
        situation: situation(&report.situation, now),
        releases: report.releases.iter().map(|release| release_status(release, now)).collect(),
        waits: report.waits.iter().map(|wait| wait_status(wait, report)).collect(),
        next: report
            .next
            .as_ref()
            .map(|next| NextDeadline { in_ms: next.at.since(now).0, then: next.then.to_string() }),
        rollback: report.rollback.into(),
        queued: report.queued.map(|rollout| rollout.0),
        routes: Vec::new(),
        floor: None,
        last_rollout: None,
        remarks: Vec::new(),
        last_words: Vec::new(),
        losses: Losses::default(),
        preview: None,
    }
}

/// A line of the timeline as the API says it. `began` is when its rollout began, `phase` and `batch` where the rollout was then.
#[must_use]
pub fn event(
    seq: u64,
    began: Tick,
    entry: &Entry,
    phase: Option<gapless_rollout::PhaseName>,
    batch: Option<BatchReport>,
    progress_milli: u16,
) -> Event {
    let (action, instance) = action_words(&entry.action);
    Event {
        seq,
        at_ms: entry.at.since(began).0,
        at: String::new(),
        phase: phase.map(|phase| phase.to_string()),
        batch: batch.map(Batch::from),
        action: action.to_owned(),
        instance: instance.map(ToString::to_string),
        text: entry.action.to_string(),
        took_ms: match &entry.action {
            Action::Ended { after, .. } => Some(after.0),
            _ => None,
        },
        progress_milli,
        ended: None,
    }
}

/// A plan as the API says it.
#[must_use]
pub fn plan_answer(service: &gapless_model::ServiceName, plan: &Plan) -> PlanAnswer {
    let Millis(expected_ms) = plan.expected;
    PlanAnswer {
        service: service.to_string(),
        from: plan.from.as_ref().map(ToString::to_string),
        to: plan.to.to_string(),
        strategy: plan.strategy.to_owned(),
        phases: plan
            .phases
            .iter()
            .map(|planned| PlannedPhase {
                phase: planned.phase.to_string(),
                batch: planned.batch.into(),
                what: planned.what.clone(),
                expected_ms: planned.expected.0,
                deadline_ms: planned.deadline.0,
                then: planned.then.to_string(),
            })
            .collect(),
        expected_ms,
        timeout_ms: plan.timeout.0,
        rollback: plan.rollback.into(),
        problems: Vec::new(),
    }
}

fn situation(situation: &SituationReport, now: Tick) -> Situation {
    match situation {
        SituationReport::Empty => Situation::Empty,
        SituationReport::Settled { current } => Situation::Settled { current: current.to_string(), stopped: false },
        // A situation of its own would be unreadable to the program before this one.
        SituationReport::Stopped { current } => Situation::Settled { current: current.to_string(), stopped: true },
        SituationReport::Rollout(rollout) => Situation::Rollout {
            rollout: rollout.rollout.0,
            from: rollout.from.as_ref().map(ToString::to_string),
            to: rollout.to.to_string(),
            strategy: rollout.strategy.to_owned(),
            by: rollout.origin.by.clone(),
            reason: rollout.origin.reason.clone(),
            phase: rollout.phase.to_string(),
            phase_age_ms: now.since(rollout.phase_since).0,
            batch: rollout.batch.into(),
            age_ms: now.since(rollout.began).0,
            turned_back: rollout.turned_back.as_ref().map(ToString::to_string),
            progress_milli: rollout.progress_milli,
        },
        SituationReport::NeedsOperator { rollout, reason, since } => {
            Situation::NeedsOperator { rollout: rollout.0, reason: reason.to_string(), age_ms: now.since(*since).0 }
        }
    }
}

fn release_status(release: &ReleaseReport, now: Tick) -> ReleaseStatus {
    ReleaseStatus {
        release: release.release.0,
        label: release.label.to_string(),
        role: match release.role {
            Role::Current => ReleaseRole::Current,
            Role::Candidate => ReleaseRole::Candidate,
            Role::Retiring => ReleaseRole::Retiring,
        },
        weight_bp: release.weight.bp(),
        instances: release.instances.iter().map(|instance| instance_status(instance, now)).collect(),
    }
}

fn instance_status(instance: &InstanceReport, now: Tick) -> InstanceStatus {
    let (state, reason) = match &instance.state {
        gapless_rollout::InstanceState::Starting => (InstanceState::Starting, None),
        gapless_rollout::InstanceState::Warming { failing } => (InstanceState::Warming, failing.clone()),
        gapless_rollout::InstanceState::Ready => (InstanceState::Ready, None),
        gapless_rollout::InstanceState::Unhealthy { reason } => (InstanceState::Unhealthy, Some(reason.clone())),
        gapless_rollout::InstanceState::Stopping => (InstanceState::Stopping, None),
    };
    InstanceStatus {
        instance: instance.instance.to_string(),
        state,
        reason,
        age_ms: now.since(instance.since).0,
        address: instance.address.map(|address| address.to_string()),
        load: match instance.load {
            LoadState::Out => InstanceLoad::Out,
            LoadState::Preview => InstanceLoad::Preview,
            LoadState::Live => InstanceLoad::Live,
            LoadState::Draining => InstanceLoad::Draining,
            LoadState::Drained => InstanceLoad::Drained,
        },
        in_flight: None,
        pid: None,
        cpu_milli: None,
        memory_bytes: None,
    }
}

fn wait_status(wait: &Wait, report: &Report) -> WaitStatus {
    let now = report.now;
    let (awaited, text) = match &wait.awaited {
        Awaited::Started(instance) => ("started", format!("the process of {instance} to start")),
        Awaited::Ready(instance) => match failing(report, instance) {
            Some(reason) => ("ready", format!("{instance} to be ready: {reason}")),
            None => ("ready", format!("{instance} to be ready")),
        },
        Awaited::Applied(number) => ("applied", format!("all proxies to use table {number}")),
        Awaited::Drained(instance) => ("drained", format!("the requests in flight to {instance} to end")),
        Awaited::LastingEnded(instance) => {
            ("lasting", format!("the tunnels and streams through {instance} to end; no rollout waits for them alone"))
        }
        Awaited::Stopped(instance) => ("stopped", format!("{instance} to stop")),
        Awaited::Check(check) => ("check", format!("the check {check:?} to answer")),
        Awaited::Hook(hook) => ("hook", format!("{hook} to end")),
        Awaited::Observed { until } => ("observed", format!("the observation to end, in {}", until.since(now))),
        Awaited::Backoff { release, until } => {
            ("backoff", format!("the next start of an instance of {release}, in {}", until.since(now)))
        }
        Awaited::Floor { ready, floor } => {
            ("floor", format!("more ready instances in load: {ready} are, and the floor is {floor}"))
        }
    };
    WaitStatus { awaited: awaited.to_owned(), text, age_ms: now.since(wait.since).0 }
}

/// What the probes of an instance fail with that is not ready yet.
fn failing<'a>(report: &'a Report, instance: &InstanceId) -> Option<&'a str> {
    let mut instances = report.releases.iter().flat_map(|release| &release.instances);
    match &instances.find(|known| known.instance == *instance)?.state {
        gapless_rollout::InstanceState::Warming { failing } => failing.as_deref(),
        _ => None,
    }
}

/// The stable word of an action, and the instance it is about.
pub(super) fn action_words(action: &Action) -> (&'static str, Option<&InstanceId>) {
    match action {
        Action::Began { .. } => ("began", None),
        Action::Queued { .. } => ("queued", None),
        Action::Entered { .. } => ("entered", None),
        Action::TurnedBack { .. } => ("turned-back", None),
        Action::Ended { .. } => ("ended", None),
        Action::Starting(instance) => ("starting", Some(instance)),
        Action::Ready(instance) => ("ready", Some(instance)),
        Action::NotReady { instance, .. } => ("not-ready", Some(instance)),
        Action::Lost { instance, .. } => ("lost", Some(instance)),
        Action::Unhealthy { instance, .. } => ("unhealthy", Some(instance)),
        Action::Published { .. } => ("published", None),
        Action::Applied { .. } => ("applied", None),
        Action::RequestsEnded(instance) => ("requests-ended", Some(instance)),
        Action::Drained(instance) => ("drained", Some(instance)),
        Action::DrainCut(instance) => ("drain-cut", Some(instance)),
        Action::Stopping(instance) => ("stopping", Some(instance)),
        Action::Stopped(instance) => ("stopped", Some(instance)),
        Action::CheckBegan { .. } => ("check-began", None),
        Action::CheckPassed { .. } => ("check-passed", None),
        Action::OneOffBegan { id, .. } => ("command-began", Some(id)),
        Action::OneOffPassed { id, .. } => ("command-passed", Some(id)),
        Action::OneOffFailed { id, .. } => ("command-failed", Some(id)),
        Action::Mended { .. } => ("mended", None),
        Action::Scaled { .. } => ("scaled", None),
        Action::Promoted { .. } => ("promoted", None),
        Action::ControllerRestarted { .. } => ("controller-restarted", None),
        Action::Notified { .. } => ("notified", None),
    }
}

impl From<BatchReport> for Batch {
    fn from(batch: BatchReport) -> Batch {
        Batch { number: batch.number, of: batch.of }
    }
}

impl From<gapless_rollout::TimeToRollBack> for TimeToRollBack {
    fn from(time: gapless_rollout::TimeToRollBack) -> TimeToRollBack {
        match time {
            gapless_rollout::TimeToRollBack::Impossible => TimeToRollBack::Impossible,
            gapless_rollout::TimeToRollBack::OneTable => TimeToRollBack::OneTable,
            gapless_rollout::TimeToRollBack::Restart { expected } => {
                TimeToRollBack::Restart { expected_ms: expected.0 }
            }
        }
    }
}
