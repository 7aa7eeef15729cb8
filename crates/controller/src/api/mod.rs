//! The `/v1` HTTP/JSON API, as `gapless_wire::api` describes it.

mod answer;
mod backup;
mod listener;
mod look;
mod order;
mod stream;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use gapless_wire::api::{ErrorBody, ErrorCode, REQUEST_BYTES_MAX};

use crate::shared::Shared;
pub use answer::Failed;
use gapless_wire as _;
pub use listener::{BindError, OwnUserListener};
pub use order::{accepted, origin};
pub use stream::send;

/// The socket of the API in the state folder.
pub const SOCKET: &str = "api.sock";

/// Serves the API until the controller ends.
pub async fn serve(shared: Arc<Shared>, listener: OwnUserListener) {
    let ending = Arc::clone(&shared);
    let ended = async move { ending.ended().await };
    if let Err(error) = axum::serve(listener, router(shared)).with_graceful_shutdown(ended).await {
        tracing::error!(%error, "the API ended");
    }
}

fn router(shared: Arc<Shared>) -> Router {
    Router::new()
        .route("/v1/status", get(look::status))
        .route("/v1/events", get(stream::service_events))
        .route("/v1/plan", post(order::plan))
        .route("/v1/down", post(order::down))
        .route("/v1/backup", post(backup::backup))
        .route("/v1/services/{service}", get(look::service))
        .route("/v1/services/{service}/releases", get(look::releases).post(order::deploy))
        .route("/v1/services/{service}/rollback", post(order::rollback))
        .route("/v1/services/{service}/abort", post(order::abort))
        .route("/v1/services/{service}/promote", post(order::promote))
        .route("/v1/services/{service}/adjust", post(order::adjust))
        .route("/v1/services/{service}/adjust/plan", post(order::adjust_plan))
        .route("/v1/services/{service}/rollouts", get(look::history))
        .route("/v1/services/{service}/rollouts/{rollout}", get(look::rollout))
        .route("/v1/services/{service}/rollouts/{rollout}/receipt", get(look::receipt))
        .route("/v1/services/{service}/rollouts/{rollout}/events", get(stream::events))
        .route("/v1/services/{service}/logs", get(stream::logs))
        .fallback(|| async { Failed(ErrorBody::new(ErrorCode::NotFound, "there is no such route in the API")) })
        .layer(DefaultBodyLimit::max(REQUEST_BYTES_MAX))
        .with_state(shared)
}
