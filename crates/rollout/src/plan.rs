//! The plan: the phases of a rollout, told before it runs. It walks the same course that the rollout will walk.

use std::fmt;

use gapless_model::{Millis, Release, ReleaseLabel, ReleaseSpec, Strategy};

use crate::rollout::Course;
use crate::rollout::advance::{APPLY_TIMEOUT, STOP_SLACK, then};
use crate::rollout::course::Next;
use crate::want::Wants;
use crate::{BatchReport, PhaseName, Refusal, Service, Then, TimeToRollBack};

/// What a rollout will do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// From which release; none for a first deploy.
    pub from: Option<ReleaseLabel>,
    /// To which.
    pub to: ReleaseLabel,
    /// `rolling`, `rolling in place`, `blue-green` or `first deploy`.
    pub strategy: &'static str,
    /// The phases in their order.
    pub phases: Vec<PlannedPhase>,
    /// How long it takes at least: nothing fails, processes start at once, nothing is in flight.
    pub expected: Millis,
    /// How long it may take at most before it turns back.
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
    pub batch: BatchReport,
    /// What is done in it, for people.
    pub what: String,
    /// How long it takes at least.
    pub expected: Millis,
    /// How long it may take.
    pub deadline: Millis,
    /// What happens after that.
    pub then: Then,
}

/// What a deploy of `release` by its own strategy (or another) would do to `service` once no rollout runs.
///
/// # Errors
/// The [`Refusal`] that the order would meet.
pub fn plan(service: &Service, release: &Release, strategy: Option<&Strategy>) -> Result<Plan, Refusal> {
    if release.spec.service != *service.name() {
        let (expected, found) = (service.name().clone(), release.spec.service.clone());
        return Err(Refusal::OtherService { expected, found });
    }
    let from = service.current().map(|current| &**current);
    let course = Course::compile(from, release, strategy.unwrap_or(&release.spec.strategy))?;
    let phases = phases(&course, from, release);
    let warm = phases.iter().any(|planned| planned.phase == PhaseName::Bake) && !course.is_in_place();
    let rollback = match (from, &course) {
        (None, _) => TimeToRollBack::Impossible,
        (Some(_), Course::BlueGreen(_)) if warm => TimeToRollBack::OneTable,
        (Some(from), _) => TimeToRollBack::Restart { expected: readiness(&from.spec) },
    };
    Ok(Plan {
        from: from.map(|from| from.label.clone()),
        to: release.label.clone(),
        strategy: course.name(),
        expected: Millis(phases.iter().map(|planned| planned.expected.0).sum()),
        phases,
        timeout: release.spec.rollout_timeout,
        rollback,
    })
}

/// Walks the course as [`enter`](crate::turn::Turn::enter) does.
fn phases(course: &Course, from: Option<&Release>, to: &Release) -> Vec<PlannedPhase> {
    let mut phases = Vec::new();
    let (mut phase, mut batch) = (course.begin(), 0);
    let mut before = Counts { old: from.map_or(0, |from| from.spec.instances), ..Counts::default() };
    loop {
        if !course.skips(phase, &to.spec, crate::rollout::Tests::Run) {
            let after = Counts::of(&course.wants(phase, batch), course, to);
            phases.push(PlannedPhase {
                phase,
                batch: BatchReport { number: batch + 1, of: course.batches() },
                what: what(phase, &before, &after, from, to, course),
                expected: expected(course, phase, &to.spec),
                deadline: deadline(course, phase, from, &to.spec),
                then: then(course, phase, course.stand(phase, batch)),
            });
            before = after;
        }
        match course.next(phase, batch) {
            Next::Phase(next) => phase = next,
            Next::Batch(next) => (phase, batch) = (next, batch + 1),
            Next::Done => return phases,
        }
    }
}

/// How many instances there are and are in load.
#[derive(Clone, Copy, Default)]
struct Counts {
    old: u16,
    new: u16,
    new_live: u16,
    old_live: u16,
}

impl Counts {
    fn of(wants: &Wants, course: &Course, to: &Release) -> Counts {
        let old = course.from().and_then(|from| wants.get(&from));
        let new = wants.get(&to.id);
        Counts {
            old: old.map_or(0, |want| want.instances),
            old_live: old.map_or(0, |want| want.live),
            new: new.map_or(0, |want| want.instances),
            new_live: new.map_or(0, |want| want.live),
        }
    }
}

fn what(
    phase: PhaseName,
    before: &Counts,
    after: &Counts,
    from: Option<&Release>,
    to: &Release,
    course: &Course,
) -> String {
    let label = &to.label;
    let old = from.map(|from| from.label.to_string()).unwrap_or_default();
    match phase {
        PhaseName::Start => format!("start {} of {label}", plural(after.new.saturating_sub(before.new))),
        PhaseName::Warmup => "wait until all are ready".to_owned(),
        PhaseName::Test => {
            let names: Vec<&str> = to.spec.checks.iter().map(|check| check.name.as_str()).collect();
            format!("run {} through the preview", names.join(", "))
        }
        PhaseName::Expose if after.old_live > 0 => {
            format!("route to {old} × {} and {label} × {}", after.old_live, after.new_live)
        }
        PhaseName::Expose => format!("route to {label} × {}", after.new_live),
        PhaseName::Observe => "watch the batch in load".to_owned(),
        PhaseName::Bake if course.is_in_place() => format!("watch {label} in load"),
        PhaseName::Bake => format!("watch {label} in load, {} of {old} kept warm", plural(after.old)),
        PhaseName::Drain => format!("take {} of {old} out of load", plural(before.old.saturating_sub(after.old))),
        PhaseName::Stop => "stop what is drained".to_owned(),
        PhaseName::Rollback => format!("go back to {old}"),
    }
}

fn plural(number: u16) -> String {
    format!("{number} instance{}", if number == 1 { "" } else { "s" })
}

fn expected(course: &Course, phase: PhaseName, to: &ReleaseSpec) -> Millis {
    match phase {
        PhaseName::Warmup => readiness(to),
        PhaseName::Observe | PhaseName::Bake => course.watch(phase),
        PhaseName::Start
        | PhaseName::Test
        | PhaseName::Expose
        | PhaseName::Drain
        | PhaseName::Stop
        | PhaseName::Rollback => Millis::ZERO,
    }
}

/// How long each phase may take; the same bounds as the phases themselves have.
fn deadline(course: &Course, phase: PhaseName, from: Option<&Release>, to: &ReleaseSpec) -> Millis {
    let leaving = from.map_or(to, |from| &from.spec);
    let sum = |parts: &[Millis]| Millis(parts.iter().fold(0, |sum, part| sum.saturating_add(part.0)));
    match phase {
        PhaseName::Start | PhaseName::Warmup => to.start_timeout,
        PhaseName::Test => {
            to.checks.iter().fold(APPLY_TIMEOUT, |sum, check| Millis(sum.0.saturating_add(check.timeout.0)))
        }
        PhaseName::Expose | PhaseName::Rollback => APPLY_TIMEOUT,
        PhaseName::Observe | PhaseName::Bake => sum(&[course.watch(phase), to.start_timeout.max(APPLY_TIMEOUT)]),
        PhaseName::Drain => sum(&[APPLY_TIMEOUT, leaving.traffic.drain_timeout]),
        PhaseName::Stop if course.is_in_place() => {
            let tunnels = leaving.traffic.drain_timeout.max(leaving.traffic.tunnel_drain_timeout);
            sum(&[tunnels, leaving.run.stop_grace, STOP_SLACK])
        }
        PhaseName::Stop => sum(&[leaving.run.stop_grace, STOP_SLACK]),
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.from {
            Some(from) => writeln!(f, "{} from {from} to {}", self.strategy, self.to)?,
            None => writeln!(f, "{} of {}", self.strategy, self.to)?,
        }
        let several = self.phases.iter().any(|planned| planned.batch.of > 1);
        for planned in &self.phases {
            let batch = match several {
                true => format!("{}/{}", planned.batch.number, planned.batch.of),
                false => String::new(),
            };
            write!(f, "  {:<8} {batch:<5} {}", planned.phase, planned.what)?;
            if planned.expected > Millis::ZERO {
                write!(f, ", at least {}", planned.expected)?;
            }
            writeln!(f, "; after {} {}", planned.deadline, planned.then)?;
        }
        writeln!(f, "  at least {} in all, at most {}; going back: {}", self.expected, self.timeout, self.rollback)
    }
}

/// How long an instance takes from its start to its readiness at least: its probes have to pass so often, and stay so.
pub(crate) fn readiness(spec: &ReleaseSpec) -> Millis {
    let probes = u64::from(spec.probe.rise.max(1)).saturating_mul(spec.probe.interval.0);
    Millis(probes.saturating_add(spec.probe.healthy_min.0))
}
