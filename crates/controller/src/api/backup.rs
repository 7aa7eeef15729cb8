//! A copy of the journal, made while it is in use.

use std::path::Path;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use gapless_journal::{Existing, StoreError};
use gapless_wire::api::{BackupAnswer, BackupRequest, ErrorBody, ErrorCode};

use super::answer::Failed;
use crate::shared::Shared;

pub async fn backup(
    State(shared): State<Arc<Shared>>,
    Json(request): Json<BackupRequest>,
) -> Result<Json<BackupAnswer>, Failed> {
    let to = Path::new(&request.to).to_owned();
    if !to.is_absolute() {
        return Err(ErrorBody::new(ErrorCode::BadRequest, "the file of a backup is named by its absolute path").into());
    }
    let existing = if request.replace { Existing::Replace } else { Existing::Keep };
    let copying = Arc::clone(&shared);
    // Some megabytes are written and synced meanwhile; whoever has a fact to tell waits that long.
    let made = tokio::task::spawn_blocking(move || copying.core().back_up(&to, existing)).await;
    let made =
        made.map_err(|error| ErrorBody::new(ErrorCode::Internal, "the backup ended by itself").because(&error))?;
    let standing = made.map_err(|error| refused(&request.to, &error))?;
    Ok(Json(BackupAnswer {
        to: request.to,
        epoch: standing.position.epoch.0,
        commits: standing.position.commits,
        bytes: standing.bytes,
        sha256: standing.sha256,
    }))
}

fn refused(to: &str, error: &StoreError) -> ErrorBody {
    let shown: String = to.chars().take(400).collect();
    let body = ErrorBody::new(ErrorCode::Refused, format!("the journal is not backed up to {shown}")).because(error);
    match error {
        StoreError::Invalid(_) => body.hint("name a file that is not there yet, or say --replace"),
        StoreError::Full => body.hint("name a file on a disk with more room"),
        _ => body.hint("name a file in a folder that the controller's user may write"),
    }
}
