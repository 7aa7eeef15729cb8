//! Instances' logs, as the API gives them.

use std::sync::Arc;

use axum::body::Bytes;
use gapless_drivers::logs::{LogLine, LogSelector, LogStream, Logs};
use gapless_model::{ReleaseLabel, ServiceName};
use gapless_wire::api;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::api::send;
use crate::shared::Shared;

/// Lines told when no number is asked for.
const TAIL_DEFAULT: usize = 100;

/// `?release=LABEL&tail=N&follow=true`
#[derive(Debug, Deserialize)]
pub struct LogQuery {
    /// Of this release alone.
    pub release: Option<String>,
    /// So many of the newest lines of each instance.
    pub tail: Option<usize>,
    /// Whether to go on as lines are written.
    #[serde(default)]
    pub follow: bool,
}

/// Writes the lines until they end or nobody reads.
pub async fn write(shared: Arc<Shared>, selector: LogSelector, follow: bool, lines: mpsc::Sender<Bytes>) {
    let logs = Logs::new(&shared.state);
    let read = tokio::task::spawn_blocking(move || logs.follow(&selector)).await;
    let (past, mut next) = match read {
        Ok(Ok(read)) => read,
        Ok(Err(error)) => return tracing::warn!(%error, "logs cannot be read"),
        Err(error) => return tracing::error!(%error, "BUG: reading logs ended by itself"),
    };
    if tell(&lines, &past).await.is_err() || !follow {
        return;
    }
    loop {
        tokio::select! {
            written = next.next() => match written {
                Ok(written) => if tell(&lines, &written).await.is_err() { return },
                Err(error) => return tracing::warn!(%error, "logs cannot be read"),
            },
            () = shared.ended() => return,
            () = lines.closed() => return,
        }
    }
}

/// Which lines are asked for.
pub fn selector(service: &ServiceName, query: &LogQuery) -> Result<LogSelector, gapless_model::NameInvalid> {
    Ok(LogSelector {
        service: service.clone(),
        release: query.release.as_deref().map(ReleaseLabel::new).transpose()?,
        instance: None,
        since: None,
        tail: query.tail.unwrap_or(TAIL_DEFAULT),
    })
}

async fn tell(lines: &mpsc::Sender<Bytes>, told: &[LogLine]) -> Result<(), ()> {
    for LogLine { instance, label, line } in told {
        let line = api::LogLine {
            at: format!("{:.3}", line.at),
            instance: instance.to_string(),
            release: label.as_ref().map(ToString::to_string).unwrap_or_default(),
            stream: match line.stream {
                LogStream::Out => api::LogStream::Stdout,
                LogStream::Err => api::LogStream::Stderr,
                LogStream::System => api::LogStream::Keeper,
            },
            text: line.text.clone(),
        };
        send(lines, &line).await?;
    }
    Ok(())
}
