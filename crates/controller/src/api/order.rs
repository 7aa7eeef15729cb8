//! Orders: every route that changes something.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gapless_fleet::{Accepted, Fleet, With};
use gapless_model::{ReleaseLabel, ServiceName};
use gapless_rollout::{Input, Origin, Place, Placed, RollbackOrder};
use gapless_wire::api::{
    AdjustRequest, DeployRequest, ErrorBody, ErrorCode, OperatorRequest, OrderAccepted, PlanAnswer, PlanRequest,
    RollbackRequest,
};

use super::answer::{Failed, no_service, service_name};
use crate::adjust;
use crate::deploy;
use crate::proxies;
use crate::shared::{End, Shared};

type Answer = Result<(StatusCode, Json<OrderAccepted>), Failed>;

/// An operator's words, bounded: they are kept for good.
const WORDS_CHARS_MAX: usize = 1_000;

pub async fn deploy(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<DeployRequest>,
) -> Answer {
    let name = service_name(&service)?;
    let accepted = deploy::deploy(&shared, &name, request).await?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

pub async fn plan(
    State(shared): State<Arc<Shared>>,
    Json(request): Json<PlanRequest>,
) -> Result<Json<PlanAnswer>, Failed> {
    Ok(Json(deploy::plan(&shared, &request)?))
}

pub async fn rollback(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<RollbackRequest>,
) -> Answer {
    let name = service_name(&service)?;
    let counted = proxies::counts_before(&shared).await;
    let mut accepted = None;
    shared.act(|core, at| {
        let Some(tended) = core.service(&name) else { return Ok(Vec::new()) };
        let to = match &request.to {
            Some(label) => match tended.kept_with_label(label) {
                Some(known) => Some(known.release.id),
                None => {
                    accepted = Some(Err(no_release(&name, label)));
                    return Ok(Vec::new());
                }
            },
            None => None,
        };
        let rollout = tended.state.last_rollout().next();
        let origin = origin(&request.by, &request.reason);
        let order = RollbackOrder { rollout, to, origin };
        let with = With { counted, ..With::default() };
        let Accepted { placed, taken: told } = core.order(&name, Input::RollbackOrdered(order), with, at)?;
        accepted = Some(Ok(taken(core, &name, &placed)));
        Ok(told)
    })?;
    accepted.unwrap_or_else(|| Err(no_service(&name)))
}

pub async fn abort(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<OperatorRequest>,
) -> Answer {
    about_running(&shared, &service, Input::AbortOrdered(origin(&request.by, &request.reason)))
}

pub async fn promote(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<OperatorRequest>,
) -> Answer {
    about_running(&shared, &service, Input::PromoteOrdered(origin(&request.by, &request.reason)))
}

pub async fn adjust(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<AdjustRequest>,
) -> Answer {
    let name = service_name(&service)?;
    listed(&shared, &name)?;
    let counted = proxies::counts_before(&shared).await;
    let mut accepted = None;
    shared.act(|core, at| {
        let (told, answer) = adjust::order(core, &name, &request, counted, at)?;
        accepted = Some(answer);
        Ok(told)
    })?;
    let accepted = accepted.ok_or_else(|| no_service(&name))?;
    Ok((StatusCode::ACCEPTED, Json(accepted)))
}

pub async fn adjust_plan(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<AdjustRequest>,
) -> Result<Json<PlanAnswer>, Failed> {
    let name = service_name(&service)?;
    listed(&shared, &name)?;
    let now = shared.now();
    let core = shared.core();
    let tended = core.service(&name).ok_or_else(|| no_service(&name))?;
    Ok(Json(adjust::plan(tended, &request, now)?))
}

/// Refuses what is about a service that is not there, or was removed.
fn listed(shared: &Shared, name: &ServiceName) -> Result<(), Failed> {
    let there = shared.core().service(name).is_some_and(gapless_fleet::ServiceEntry::is_listed);
    if there { Ok(()) } else { Err(no_service(name)) }
}

/// Stops everything: proxies drain, instances stop, then the controller ends. What is deployed stays deployed and starts with the next `up`.
pub async fn down(State(shared): State<Arc<Shared>>) -> StatusCode {
    tokio::spawn(async move {
        crate::down::stop_everything(&shared).await;
        shared.end_with(End::Down);
    });
    StatusCode::ACCEPTED
}

fn about_running(shared: &Shared, service: &str, input: Input) -> Answer {
    let name = service_name(service)?;
    let mut accepted = None;
    shared.act(|core, at| {
        if core.service(&name).is_none() {
            return Ok(Vec::new());
        }
        let Accepted { placed, taken: told } = core.order(&name, input, With::default(), at)?;
        accepted = Some(taken(core, &name, &placed));
        Ok(told)
    })?;
    accepted.ok_or_else(|| no_service(&name))
}

fn taken<S: gapless_journal::Store>(
    core: &Fleet<S>,
    name: &ServiceName,
    placed: &Placed,
) -> (StatusCode, Json<OrderAccepted>) {
    let release = core.service(name).and_then(|tended| match placed {
        Placed::Own(_) => tended.state.candidate(),
        Placed::OfRunning(_) => tended.state.current(),
    });
    let accepted = accepted(name, placed, release.map(|release| &release.label));
    (StatusCode::ACCEPTED, Json(accepted))
}

/// What is answered to an order that was taken.
pub fn accepted(name: &ServiceName, placed: &Placed, to: Option<&ReleaseLabel>) -> OrderAccepted {
    let own = match placed {
        Placed::Own(own) => Some(own),
        Placed::OfRunning(_) => None,
    };
    let behind = own.and_then(|own| match own.place {
        Place::Queued { behind } => Some(behind.0),
        Place::Running => None,
    });
    OrderAccepted {
        preview: None,
        service: name.to_string(),
        rollout: placed.rollout().0,
        label: own.map(|own| &own.to).or(to).map(ToString::to_string),
        queued: behind.is_some(),
        behind,
        done: false,
        warnings: Vec::new(),
    }
}

fn no_release(name: &ServiceName, label: &str) -> Failed {
    let shown: String = label.chars().take(80).collect();
    ErrorBody::new(ErrorCode::NotFound, format!("service {name} keeps no release {shown:?}"))
        .hint("`gapless releases` lists the releases that are kept")
        .into()
}

/// Who and why, as they are kept.
pub fn origin(by: &str, reason: &str) -> Origin {
    let bounded = |text: &str| text.chars().take(WORDS_CHARS_MAX).collect();
    Origin { by: bounded(by), reason: bounded(reason) }
}
