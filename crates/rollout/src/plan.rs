//! The plan: the phases of a rollout, told before it runs. It reads the list of steps that the rollout will take.

use std::fmt;
use std::sync::Arc;

use gapless_model::{Hook, HookPoint, Millis, Release, ReleaseLabel, ReleaseSpec, Strategy};

use crate::rollout::compiled::{Gate, PlanStep};
use crate::rollout::{CompiledPlan, Purpose, Tests, adjust};
use crate::service::resized;
use crate::{Adjustment, BatchReport, PhaseName, Refusal, Service, Then, TimeToRollBack};

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
    let from = service.replaceable().map(|current| &**current);
    let strategy = strategy.unwrap_or(&release.spec.strategy);
    let compiled = CompiledPlan::compile(from, release, strategy, Tests::Run)?;
    Ok(told(&compiled, from, release, 0))
}

/// What replacing every instance of the current release by a fresh one would do.
///
/// # Errors
/// The [`Refusal`] that the order would meet.
pub fn plan_restart(service: &Service) -> Result<Plan, Refusal> {
    let from = service.replaceable().ok_or(Refusal::NothingDeployed)?;
    let compiled = CompiledPlan::compile(Some(from), from, &adjust::restart_strategy(from), Tests::Skip)?;
    Ok(told(&compiled.with_purpose(Purpose::Restart), Some(from), from, 0))
}

/// What an adjustment of the current release would do.
///
/// # Errors
/// [`Refusal::NothingDeployed`].
pub fn plan_adjustment(service: &Service, adjustment: Adjustment) -> Result<Plan, Refusal> {
    let release = service.current().ok_or(Refusal::NothingDeployed)?;
    let before = release.spec.instances;
    let wanted = match adjustment {
        Adjustment::Scale { instances } => resized(release, instances),
        Adjustment::Stop | Adjustment::Start | Adjustment::Remove => Arc::clone(release),
    };
    let running = if adjustment == Adjustment::Start { 0 } else { before };
    Ok(told(&adjust::compile(&wanted, before, adjustment), None, &wanted, running))
}

/// The plan in words; of the release it is to, so many instances run already.
fn told(compiled: &CompiledPlan, from: Option<&Release>, release: &Release, running: u16) -> Plan {
    let phases = phases(compiled, from, release, running);
    Plan {
        from: from.map(|from| from.label.clone()),
        to: release.label.clone(),
        strategy: compiled.name(),
        expected: phases.iter().fold(Millis::ZERO, |sum, planned| sum.plus(planned.expected)),
        phases,
        timeout: release.spec.rollout_timeout,
        rollback: compiled.time_to_roll_back(from.map(|from| &from.spec)),
    }
}

fn phases(plan: &CompiledPlan, from: Option<&Release>, to: &Release, running: u16) -> Vec<PlannedPhase> {
    let mut before = Counts { old: from.map_or(0, |from| from.spec.instances), new: running };
    let mut phases = Vec::with_capacity(plan.steps().len());
    for step in plan.steps() {
        phases.push(PlannedPhase {
            phase: step.phase,
            batch: BatchReport { number: step.batch + 1, of: plan.batches },
            what: what(step, &before, from, to),
            expected: step.expected(&to.spec),
            deadline: step.limit.time(),
            then: step.late.into(),
        });
        before = Counts { old: step.old.instances, new: step.new.instances };
    }
    for hook in to.spec.hooks.iter().filter(|hook| hook.point == HookPoint::OnDone) {
        phases.push(PlannedPhase {
            phase: PhaseName::Hook,
            batch: BatchReport { number: plan.batches, of: plan.batches },
            what: format!("{}, when the rollout is done", run_words(hook)),
            expected: Millis::ZERO,
            deadline: hook.timeout,
            then: Then::EndCommand,
        });
    }
    phases
}

/// How many instances there were before a step.
struct Counts {
    old: u16,
    new: u16,
}

fn what(step: &PlanStep, before: &Counts, from: Option<&Release>, to: &Release) -> String {
    let label = &to.label;
    let old = from.map(|from| from.label.to_string()).unwrap_or_default();
    match step.phase {
        PhaseName::Hook => hook_words(step, to),
        PhaseName::Start => format!("start {} of {label}", plural(step.new.instances.saturating_sub(before.new))),
        PhaseName::Warmup => "wait until all are ready".to_owned(),
        PhaseName::Test => {
            let names: Vec<&str> = to.spec.checks.iter().map(|check| check.name.as_str()).collect();
            format!("run {} through the preview", names.join(", "))
        }
        PhaseName::Expose if step.old.live > 0 => {
            format!("route to {old} × {} and {label} × {}", step.old.live, step.new.live)
        }
        PhaseName::Expose => format!("route to {label} × {}", step.new.live),
        PhaseName::Observe => "watch the batch in load".to_owned(),
        PhaseName::Bake if step.old.instances == 0 => format!("watch {label} in load"),
        PhaseName::Bake => format!("watch {label} in load, {} of {old} kept warm", plural(step.old.instances)),
        PhaseName::Drain if from.is_none() => {
            format!("take {} of {label} out of load", plural(before.new.saturating_sub(step.new.instances)))
        }
        PhaseName::Drain => {
            format!("take {} of {old} out of load", plural(before.old.saturating_sub(step.old.instances)))
        }
        PhaseName::Stop => "stop what is drained".to_owned(),
        PhaseName::Rollback => format!("go back to {old}"),
    }
}

fn hook_words(step: &PlanStep, to: &Release) -> String {
    let Gate::Hook(index) = step.gate else { return String::new() };
    to.spec.hooks.get(usize::from(index)).map_or_else(String::new, run_words)
}

/// The command may have secrets in its arguments: its program stands for it.
fn run_words(hook: &Hook) -> String {
    let program = hook.command.first().map_or("", String::as_str);
    format!("run {hook}: {program}")
}

pub(crate) fn plural(number: u16) -> String {
    format!("{number} instance{}", if number == 1 { "" } else { "s" })
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
