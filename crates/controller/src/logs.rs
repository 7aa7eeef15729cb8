//! Instances' logs, as the API gives them.

use std::sync::Arc;

use axum::body::Bytes;
use gapless_model::ServiceName;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::shared::Shared;

/// `?release=LABEL&tail=N&follow=true`
#[derive(Debug, Deserialize)]
pub struct LogQuery {
    /// Of this release alone.
    pub release: Option<String>,
    /// So many of the newest lines.
    pub tail: Option<usize>,
    /// Whether to go on as lines are written.
    #[serde(default)]
    pub follow: bool,
}

/// Writes the lines until they end or nobody reads.
pub async fn write(_shared: Arc<Shared>, _name: ServiceName, _query: LogQuery, _lines: mpsc::Sender<Bytes>) {}
