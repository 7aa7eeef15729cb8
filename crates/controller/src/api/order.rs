//! Orders: every route that changes something.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use gapless_journal::Batch;
use gapless_model::ServiceName;
use gapless_rollout::{Input, Origin, RollbackOrder};
use gapless_wire::api::{
    self, DeployRequest, ErrorBody, ErrorCode, OperatorRequest, OrderAccepted, PlanAnswer, PlanRequest, RollbackRequest,
};

use super::answer::{Failed, no_service, service_name};
use crate::deploy;
use crate::shared::{End, Shared};

type Accepted = Result<(StatusCode, Json<OrderAccepted>), Failed>;

/// An operator's words, bounded: they are kept for good.
const WORDS_CHARS_MAX: usize = 1_000;

pub async fn deploy(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<DeployRequest>,
) -> Accepted {
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
) -> Accepted {
    let name = service_name(&service)?;
    let mut accepted = None;
    shared.act(|core| {
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
        let running = tended.state.rollout();
        let rollout = tended.state.last_rollout().next();
        let origin = origin(&request.by, &request.reason);
        let orders = core.order(&name, Input::RollbackOrdered(RollbackOrder { rollout, to, origin }), Batch::new())?;
        accepted = Some(Ok(taken(core, &name, running.unwrap_or(rollout))));
        Ok(orders)
    })?;
    accepted.unwrap_or_else(|| Err(no_service(&name)))
}

pub async fn abort(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<OperatorRequest>,
) -> Accepted {
    about_running(&shared, &service, Input::AbortOrdered(origin(&request.by, &request.reason)))
}

pub async fn promote(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Json(request): Json<OperatorRequest>,
) -> Accepted {
    about_running(&shared, &service, Input::PromoteOrdered(origin(&request.by, &request.reason)))
}

/// Stops everything: proxies drain, instances stop, then the controller ends. What is deployed stays deployed and starts with the next `up`.
pub async fn down(State(shared): State<Arc<Shared>>) -> StatusCode {
    tokio::spawn(async move {
        crate::down::stop_everything(&shared).await;
        shared.end_with(End::Down);
    });
    StatusCode::ACCEPTED
}

fn about_running(shared: &Shared, service: &str, input: Input) -> Accepted {
    let name = service_name(service)?;
    let mut accepted = None;
    shared.act(|core| {
        let Some(tended) = core.service(&name) else { return Ok(Vec::new()) };
        let rollout = tended.state.rollout().unwrap_or(tended.state.last_rollout());
        let orders = core.order(&name, input, Batch::new())?;
        accepted = Some(taken(core, &name, rollout));
        Ok(orders)
    })?;
    accepted.ok_or_else(|| no_service(&name))
}

fn taken<S: gapless_journal::Store>(
    core: &crate::core::Core<S>,
    name: &ServiceName,
    rollout: gapless_model::RolloutId,
) -> (StatusCode, Json<OrderAccepted>) {
    let summary = core.service(name).and_then(|tended| tended.chronicle.summary(rollout, core.now()));
    let accepted = OrderAccepted {
        service: name.to_string(),
        rollout: rollout.0,
        label: summary.as_ref().map(|summary| summary.to.clone()).filter(|label| !label.is_empty()),
        queued: summary.is_some_and(|summary| summary.state == api::RolloutState::Queued),
        warnings: Vec::new(),
    };
    (StatusCode::ACCEPTED, Json(accepted))
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
