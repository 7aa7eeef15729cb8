//! Answers that go on: JSON lines, written as things happen.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use gapless_model::RolloutId;
use gapless_wire::api::JSON_LINES;
use hyper::body::Frame;
use serde::Deserialize;
use tokio::sync::mpsc;

use super::answer::{Failed, no_service, service_name};
use super::look::{Chronicle, no_rollout, rollout_number};
use crate::happened::newer;
use crate::logs::{self, LogQuery};
use crate::shared::Shared;
use crate::wall;

/// Lines that may wait for a reader; past that the writer waits.
const LINES_MAX: usize = 256;

/// `?from=SEQ`
#[derive(Debug, Deserialize)]
pub struct From {
    from: Option<u64>,
}

pub async fn events(
    State(shared): State<Arc<Shared>>,
    Path((service, rollout)): Path<(String, String)>,
    Query(From { from }): Query<From>,
) -> Result<Response, Failed> {
    let name = service_name(&service)?;
    let number: RolloutId = {
        let core = shared.core();
        let tended = core.service(&name).ok_or_else(|| no_service(&name))?;
        let number = rollout_number(tended, &rollout, Chronicle::Newest)?;
        match tended.chronicle.events(number, 0) {
            None => return Err(no_rollout(&name, &rollout)),
            // Nothing more would come: whoever waits asks the next controller.
            Some((_, true)) => shared.check_deciding()?,
            Some((_, false)) => {}
        }
        number
    };
    let (lines, body) = lines();
    tokio::spawn(async move {
        let mut from = from.unwrap_or(0);
        let mut changed = shared.changed.subscribe();
        loop {
            let told = {
                let core = shared.core();
                core.service(&name).and_then(|tended| tended.chronicle.events(number, from))
            };
            let Some((events, more)) = told else { return };
            for event in &events {
                from = event.seq + 1;
                if send(&lines, event).await.is_err() {
                    return;
                }
            }
            if !more {
                return;
            }
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = shared.ended() => return,
                _failed = shared.journal_to_fail() => return,
                () = lines.closed() => return,
            }
        }
    });
    Ok(body)
}

/// `?service=NAME&age_ms=N&tail=N&follow=true`
#[derive(Debug, Deserialize)]
pub struct Happened {
    /// To this service alone.
    service: Option<String>,
    /// So long ago at most.
    age_ms: Option<u64>,
    /// So many of the past at most.
    tail: Option<usize>,
    /// Whether to go on with what happens from now on.
    #[serde(default)]
    follow: bool,
}

pub async fn service_events(
    State(shared): State<Arc<Shared>>,
    Query(asked): Query<Happened>,
) -> Result<Response, Failed> {
    let only = asked.service.as_deref().map(service_name).transpose()?;
    if let Some(name) = only.as_ref().filter(|name| shared.core().service(name).is_none()) {
        return Err(no_service(name));
    }
    let (lines, body) = lines();
    tokio::spawn(async move {
        let mut changed = shared.changed.subscribe();
        let mut seen = BTreeMap::new();
        let oldest = asked.age_ms.map_or(0, |age| wall::now_ms().saturating_sub(age));
        let mut tail = asked.tail.unwrap_or(usize::MAX);
        loop {
            let mut told = newer(&shared, only.as_ref(), &mut seen);
            told.retain(|event| event.at_ms >= oldest);
            for event in told.iter().skip(told.len().saturating_sub(tail)) {
                if send(&lines, event).await.is_err() {
                    return;
                }
            }
            tail = usize::MAX;
            if !asked.follow {
                return;
            }
            tokio::select! {
                changed = changed.changed() => if changed.is_err() { return },
                () = shared.ended() => return,
                () = lines.closed() => return,
            }
        }
    });
    Ok(body)
}

pub async fn logs(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Query(query): Query<LogQuery>,
) -> Result<Response, Failed> {
    let name = service_name(&service)?;
    if shared.core().service(&name).is_none() {
        return Err(no_service(&name));
    }
    let selector = logs::selector(&name, &query).map_err(|body| Failed(*body))?;
    let (lines, body) = lines();
    tokio::spawn(logs::write(shared, selector, query, lines));
    Ok(body)
}

/// Sends one line; an error means that nobody reads any more.
pub async fn send(lines: &mpsc::Sender<Bytes>, line: &impl serde::Serialize) -> Result<(), ()> {
    let mut bytes = serde_json::to_vec(line).map_err(|_| ())?;
    bytes.push(b'\n');
    lines.send(bytes.into()).await.map_err(|_| ())
}

fn lines() -> (mpsc::Sender<Bytes>, Response) {
    let (sender, receiver) = mpsc::channel(LINES_MAX);
    let response = ([(CONTENT_TYPE, JSON_LINES)], Body::new(Lines(receiver))).into_response();
    (sender, response)
}

/// A body of the lines that come through a channel.
struct Lines(mpsc::Receiver<Bytes>);

impl hyper::body::Body for Lines {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|line| line.map(|line| Ok(Frame::data(line))))
    }
}
