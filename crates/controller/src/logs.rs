//! Instances' logs, as the API gives them.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::body::Bytes;
use gapless_drivers::logs::{LogLine, LogSelector, LogStream, Logs};
use gapless_model::{EffectNumber, InstanceId, ReleaseLabel, ServiceName};
use gapless_wire::api::{self, ErrorBody, ErrorCode};
use jiff::Timestamp;
use serde::Deserialize;
use tokio::sync::mpsc;

use crate::api::send;
use crate::shared::Shared;
use crate::start_order::{release, start_order};

/// Lines told when no number is asked for.
const TAIL_DEFAULT: usize = 100;

/// Lines of an instance that are told as its last.
const LAST_LINES: usize = 10;
/// Characters of each of them.
const LINE_CHARS_MAX: usize = 300;

/// `?release=LABEL&instance=ID&since=TIME&tail=N&follow=true`
#[derive(Clone, Debug, Deserialize)]
pub struct LogQuery {
    /// Of this release alone.
    pub release: Option<String>,
    /// Of this instance alone.
    pub instance: Option<String>,
    /// From this time on, in RFC 3339.
    pub since: Option<String>,
    /// So many of the newest lines of each instance.
    pub tail: Option<usize>,
    /// Whether to go on as lines are written.
    #[serde(default)]
    pub follow: bool,
}

impl LogQuery {
    /// Whether nothing but the service was named.
    fn is_of_all(&self) -> bool {
        self.release.is_none() && self.instance.is_none() && self.since.is_none()
    }
}

/// The lines of instances that run; all of them where none does. Whoever follows a service wants to see what it does now, not how those ended that
/// were there before.
fn of_running(shared: &Shared, mut past: Vec<LogLine>) -> Vec<LogLine> {
    let running: BTreeSet<InstanceId> = shared.instances().all().map(|(instance, _)| instance.clone()).collect();
    if past.iter().any(|line| running.contains(&line.instance)) {
        past.retain(|line| running.contains(&line.instance));
    }
    past
}

/// Writes the lines until they end or nobody reads.
pub async fn write(shared: Arc<Shared>, selector: LogSelector, query: LogQuery, lines: mpsc::Sender<Bytes>) {
    let logs = Logs::new(&shared.state);
    let follow = query.follow;
    let read = tokio::task::spawn_blocking(move || logs.follow(&selector)).await;
    let (past, mut next) = match read {
        Ok(Ok((past, next))) if follow && query.is_of_all() => (of_running(&shared, past), next),
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

/// The last lines of an instance, as they may be shown on a terminal and kept in a receipt: without its secrets. None where its log cannot be
/// read, or its secrets cannot.
pub async fn last_words(shared: &Shared, instance: &InstanceId) -> Option<api::LastWords> {
    let selector = LogSelector {
        service: instance.service.clone(),
        release: None,
        instance: Some(instance.clone()),
        since: None,
        tail: LAST_LINES,
    };
    let lines = shared.driver.logs(selector).await.ok()?;
    let label = lines.iter().find_map(|line| line.label.as_ref()).map(ToString::to_string).unwrap_or_default();
    let known = release(shared, &instance.service, instance.release)?;
    let order = start_order(shared, instance, &known, 0, EffectNumber(0));
    let folder = shared.artefacts.folder(&instance.service, &known.digest);
    let lines = lines.into_iter().map(|line| line.line.text).collect();
    let lines = order.without_secrets(lines, &folder).await?;
    let lines = lines.iter().map(|line| plain(line, LINE_CHARS_MAX)).collect();
    Some(api::LastWords { instance: instance.to_string(), release: label, lines })
}

/// Somebody else's words, bounded, without what a terminal would obey.
pub fn plain(text: &str, chars_max: usize) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '?' } else { c }).take(chars_max).collect()
}

/// Which lines are asked for.
pub fn selector(service: &ServiceName, query: &LogQuery) -> Result<LogSelector, Box<ErrorBody>> {
    let wrong = |what: &str, error: &dyn std::error::Error| {
        Box::new(ErrorBody::new(ErrorCode::BadRequest, what).because(error))
    };
    let release = query.release.as_deref().map(ReleaseLabel::new).transpose();
    let instance = query.instance.as_deref().map(str::parse::<InstanceId>).transpose();
    let since = query.since.as_deref().map(str::parse::<Timestamp>).transpose();
    Ok(LogSelector {
        service: service.clone(),
        release: release.map_err(|error| wrong("that is not a label of a release", &error))?,
        instance: instance.map_err(|error| wrong("that is not an instance", &error))?,
        since: since.map_err(|error| wrong("that is not a time", &error))?,
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
