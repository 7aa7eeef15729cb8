//! Orders about the release that serves: restarted, scaled, stopped, started, removed.

use std::sync::Arc;

use gapless_fleet::ledger::Counted;
use gapless_fleet::{Accepted, Decided, Fleet, KnownRelease, Moment, ServiceEntry, TakeError, With};
use gapless_journal::Store;
use gapless_model::{Release, ServiceName, Tick};
use gapless_rollout::{
    AdjustOrder, Adjustment, DeployOrder, Input, Plan, Refusal, Service, SituationReport, plan_adjustment,
    plan_restart, step,
};
use gapless_wire::api::{self, AdjustRequest, AdjustmentDoc, OrderAccepted, PlanAnswer};
use gapless_wire::record::ReleaseRecord;

use crate::deploy::next_release;

/// What was taken, and the answer to it.
pub type Ordered = (Vec<Decided>, OrderAccepted);

/// Orders it.
///
/// # Errors
/// [`TakeError`].
pub fn order<S: Store>(
    core: &mut Fleet<S>,
    name: &ServiceName,
    request: &AdjustRequest,
    counted: Counted,
    at: Moment,
) -> Result<Ordered, TakeError> {
    let Some(tended) = core.service(name) else { return Err(TakeError::Refused(Refusal::NothingDeployed)) };
    if request.adjustment == AdjustmentDoc::Remove && tended.state.situation() == SituationReport::Empty {
        return forget(core, name);
    }
    let (input, record) = input(tended, request, at)?;
    let Accepted { placed, taken } = match (input, record) {
        (Input::RestartOrdered(order), Some(record)) => core.restart(order, record, counted, at)?,
        (input, _) => core.order(name, input, With { counted, ..With::default() }, at)?,
    };
    Ok((taken, api_answer(core, name, &placed)))
}

/// What the order would do.
///
/// # Errors
/// The [`Refusal`] that it would meet.
pub fn plan(tended: &ServiceEntry, request: &AdjustRequest, now: Tick) -> Result<PlanAnswer, TakeError> {
    let state = &tended.state;
    let (input, _) = input(tended, request, Moment { tick: now, wall_ms: 0 })?;
    let _taken = step(state.clone(), input, now).map_err(|refused| TakeError::Refused(refused.reason))?;
    let plan = planned(state, request.adjustment).map_err(TakeError::Refused)?;
    Ok(api::plan_answer(state.name(), &plan))
}

fn planned(state: &Service, adjustment: AdjustmentDoc) -> Result<Plan, Refusal> {
    match machine_word(adjustment) {
        None => plan_restart(state),
        Some(adjustment) => plan_adjustment(state, adjustment),
    }
}

/// What the machine calls it; a restart is no adjustment to it.
fn machine_word(adjustment: AdjustmentDoc) -> Option<Adjustment> {
    match adjustment {
        AdjustmentDoc::Restart => None,
        AdjustmentDoc::Scale { instances } => Some(Adjustment::Scale { instances }),
        AdjustmentDoc::Stop => Some(Adjustment::Stop),
        AdjustmentDoc::Start => Some(Adjustment::Start),
        AdjustmentDoc::Remove => Some(Adjustment::Remove),
    }
}

fn input(
    tended: &ServiceEntry,
    request: &AdjustRequest,
    at: Moment,
) -> Result<(Input, Option<ReleaseRecord>), TakeError> {
    let rollout = tended.state.last_rollout().next();
    let origin = crate::api::origin(&request.by, &request.reason);
    if let Some(adjustment) = machine_word(request.adjustment) {
        return Ok((Input::AdjustOrdered(AdjustOrder { rollout, adjustment, origin }), None));
    }
    let nothing = || TakeError::Refused(Refusal::NothingDeployed);
    let current = tended.state.current().ok_or_else(nothing)?;
    let KnownRelease { release, record } = tended.releases.get(&current.id).ok_or_else(nothing)?;
    let id = next_release(&tended.releases);
    let record = ReleaseRecord { id: id.0, registered_wall_ms: at.wall_ms, ..record.clone() };
    let release = Arc::new(Release { id, ..Release::clone(release) });
    Ok((Input::RestartOrdered(DeployOrder { rollout, release, strategy: None, origin }), Some(record)))
}

fn forget<S: Store>(core: &mut Fleet<S>, name: &ServiceName) -> Result<Ordered, TakeError> {
    core.forget(name)?;
    let last = core.service(name).map_or(0, |tended| tended.state.last_rollout().0);
    let answer = OrderAccepted {
        preview: None,
        service: name.to_string(),
        rollout: last,
        label: None,
        queued: false,
        behind: None,
        done: true,
        warnings: Vec::new(),
    };
    Ok((Vec::new(), answer))
}

fn api_answer<S: Store>(core: &Fleet<S>, name: &ServiceName, placed: &gapless_rollout::Placed) -> OrderAccepted {
    let release = core.service(name).and_then(|tended| tended.state.current());
    crate::api::accepted(name, placed, release.map(|release| &release.label))
}
