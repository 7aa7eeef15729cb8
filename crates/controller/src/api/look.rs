//! What stands how: every route that changes nothing.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use gapless_drivers::driver::NotEnforced;
use gapless_model::{InstanceId, RolloutId, ServiceName};
use gapless_wire::api::{
    self, ControllerStatus, ErrorBody, ErrorCode, History, ProxyStatus, Receipt, ReleaseRole, ReleaseSummary, Releases,
    RolloutSummary, ServiceStatus, Status,
};
use serde::Deserialize;

use super::answer::{Failed, no_service, service_name};
use crate::logs;
use crate::proxies::{Member, Role};
use crate::shared::Shared;
use gapless_fleet::{Moment, ServiceEntry, wall};

/// Instances whose last lines are told where they are not well.
const TROUBLED_MAX: usize = 3;

/// Rollouts of a history when no number is asked for.
const HISTORY_DEFAULT: usize = 20;

type Looked<T> = Result<Json<T>, Failed>;

pub async fn status(State(shared): State<Arc<Shared>>) -> Json<Status> {
    let names: Vec<ServiceName> = {
        let core = shared.core();
        let listed = core.services().iter().filter(|(_, tended)| tended.is_listed());
        listed.map(|(name, _)| name.clone()).collect()
    };
    Json(Status {
        controller: controller(&shared),
        proxies: proxies(&shared),
        services: names.iter().filter_map(|name| service_status(&shared, name)).collect(),
    })
}

pub async fn service(State(shared): State<Arc<Shared>>, Path(service): Path<String>) -> Looked<ServiceStatus> {
    let name = service_name(&service)?;
    let mut status = service_status(&shared, &name).ok_or_else(|| no_service(&name))?;
    let instances = status.releases.iter().flat_map(|release| &release.instances);
    let troubled = instances.filter(|instance| instance.reason.is_some()).take(TROUBLED_MAX);
    let troubled: Vec<InstanceId> = troubled.filter_map(|instance| instance.instance.parse().ok()).collect();
    for instance in &troubled {
        status.last_words.extend(logs::last_words(&shared, instance).await);
    }
    Ok(Json(status))
}

pub async fn releases(State(shared): State<Arc<Shared>>, Path(service): Path<String>) -> Looked<Releases> {
    let name = service_name(&service)?;
    let core = shared.core();
    let tended = core.service(&name).ok_or_else(|| no_service(&name))?;
    let current = tended.state.current().map(|release| release.id);
    let candidate = tended.state.candidate().map(|release| release.id);
    let previous = tended.state.previous().map(|release| release.id);
    let instances = |id| {
        let of_it = tended.state.instances().filter(|instance| instance.id.release == id);
        u16::try_from(of_it.count()).unwrap_or(u16::MAX)
    };
    let releases = tended.kept_releases().map(|known| {
        let id = known.release.id;
        ReleaseSummary {
            release: id.0,
            label: known.release.label.to_string(),
            digest: known.release.digest.to_string(),
            role: match Some(id) {
                id if id == candidate => ReleaseRole::Candidate,
                id if id == current => ReleaseRole::Current,
                id if id == previous => ReleaseRole::Previous,
                _ if instances(id) > 0 => ReleaseRole::Retiring,
                _ => ReleaseRole::Kept,
            },
            instances: instances(id),
            registered_at: wall::rfc3339(known.record.registered_wall_ms),
            bytes: known.record.bytes,
        }
    });
    Ok(Json(Releases { releases: releases.collect() }))
}

/// `?limit=N`
#[derive(Debug, Deserialize)]
pub struct Limit {
    limit: Option<usize>,
}

pub async fn history(
    State(shared): State<Arc<Shared>>,
    Path(service): Path<String>,
    Query(Limit { limit }): Query<Limit>,
) -> Looked<History> {
    let name = service_name(&service)?;
    let core = shared.core();
    let tended = core.service(&name).ok_or_else(|| no_service(&name))?;
    let rollouts = tended.chronicle.summaries(shared.now()).take(limit.unwrap_or(HISTORY_DEFAULT)).collect();
    Ok(Json(History { rollouts }))
}

pub async fn rollout(
    State(shared): State<Arc<Shared>>,
    Path((service, rollout)): Path<(String, String)>,
) -> Looked<RolloutSummary> {
    let name = service_name(&service)?;
    let core = shared.core();
    let tended = core.service(&name).ok_or_else(|| no_service(&name))?;
    let number = rollout_number(tended, &rollout, Chronicle::Newest)?;
    tended.chronicle.summary(number, shared.now()).map(Json).ok_or_else(|| no_rollout(&name, &rollout))
}

pub async fn receipt(
    State(shared): State<Arc<Shared>>,
    Path((service, rollout)): Path<(String, String)>,
) -> Looked<Receipt> {
    let name = service_name(&service)?;
    let mut core = shared.core();
    let tended = core.service(&name).ok_or_else(|| no_service(&name))?;
    let number = rollout_number(tended, &rollout, Chronicle::LastEnded)?;
    let known = tended.chronicle.summary(number, shared.now()).is_some();
    let bytes = core
        .receipt(&name, number)
        .map_err(|error| Failed(ErrorBody::new(ErrorCode::Internal, "the receipt cannot be read").because(&error)))?;
    match bytes.map(|bytes| serde_json::from_slice::<Receipt>(&bytes)) {
        // An earlier program counted something to orders that never began.
        Some(Ok(receipt)) if !receipt.rollout.ran() => Ok(Json(Receipt::of_nothing(receipt.rollout, &name))),
        Some(Ok(receipt)) => Ok(Json(receipt)),
        Some(Err(error)) => {
            Err(ErrorBody::new(ErrorCode::Internal, "the receipt cannot be read").because(&error).into())
        }
        None if known => {
            Err(ErrorBody::new(ErrorCode::NotFound, format!("rollout {number} of {name} has no receipt yet"))
                .hint("a receipt is written when its rollout has ended; `gapless status -w` waits for that")
                .into())
        }
        None => Err(no_rollout(&name, &rollout)),
    }
}

/// What `last` means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Chronicle {
    /// The order that was given last.
    Newest,
    /// The rollout that ended last, of those that ran.
    LastEnded,
}

/// A rollout's number from a path: digits or `last`.
pub fn rollout_number(tended: &ServiceEntry, text: &str, last: Chronicle) -> Result<RolloutId, Failed> {
    let number = match (text, last) {
        ("last", Chronicle::Newest) => tended.chronicle.newest(),
        ("last", Chronicle::LastEnded) => tended.chronicle.last_ended(),
        (digits, _) => digits.parse().ok().map(RolloutId),
    };
    number.ok_or_else(|| no_rollout(tended.state.name(), text))
}

pub fn no_rollout(name: &ServiceName, text: &str) -> Failed {
    let shown: String = text.chars().take(40).collect();
    ErrorBody::new(ErrorCode::NotFound, format!("service {name} has no rollout {shown:?}"))
        .hint("`gapless history` lists its rollouts")
        .into()
}

fn controller(shared: &Shared) -> ControllerStatus {
    let (epoch, out_of_room, waits) = {
        let mut core = shared.core();
        (core.epoch().0, core.is_out_of_room(), core.is_full())
    };
    let view = shared.proxies();
    let mut warnings: Vec<String> = view.trouble.iter().map(|trouble| format!("the proxy: {trouble}")).collect();
    for (id, member) in view.all() {
        warnings.extend(member.warnings().into_iter().map(|warning| format!("proxy {id}: {warning}")));
    }
    warnings.extend(shared.remarks.iter().cloned());
    let dropped = gapless_drivers::talk::dropped();
    if dropped > 0 {
        warnings.push(format!("{dropped} lines of the controller's log could not be written"));
    }
    match (out_of_room, waits) {
        (true, true) => {
            warnings.push("the journal cannot be written for want of room: facts wait, orders are refused".to_owned());
        }
        (true, false) => warnings.push(
            "the disk is full: the journal is written in the room that is kept for facts, orders are refused"
                .to_owned(),
        ),
        (false, _) => {}
    }
    ControllerStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        epoch,
        uptime_ms: u64::try_from(shared.began.elapsed().as_millis()).unwrap_or(u64::MAX),
        now: wall::rfc3339(crate::wall::now_ms()),
        state_folder: shared.state.display().to_string(),
        listeners: view.addresses.iter().map(ToString::to_string).collect(),
        warnings,
        not_deciding: shared.journal_failure().map(|failure| failure.reason),
    }
}

/// The proxies, the one that serves first; where none is there yet, one that is not connected.
fn proxies(shared: &Shared) -> Vec<ProxyStatus> {
    let wanted = shared.core().publication.version().to_string();
    let crew = shared.proxies();
    let all = crew.all();
    let none = Member::unheard(Role::Serving, None);
    match all.is_empty() {
        true => vec![proxy("proxy".to_owned(), &none, wanted)],
        false => all.into_iter().map(|(id, member)| proxy(id.to_string(), member, wanted.clone())).collect(),
    }
}

fn proxy(name: String, member: &Member, wanted: String) -> ProxyStatus {
    let last = member.last.as_ref();
    ProxyStatus {
        name,
        pid: member.process.as_ref().map(|process| process.pid),
        connected: member.link.is_some() && !member.is_silent(),
        table_applied: member.applied.map(|version| version.to_string()),
        table_wanted: Some(wanted),
        connections: last.map_or(0, |report| report.connections),
        in_flight: last.map_or(0, |report| report.in_flight.iter().map(|doc| doc.requests).sum()),
        held: last.map_or(0, |report| report.holding),
        tunnels: last.map_or(0, |report| report.tunnels),
        leaving: member.role != Role::Serving,
    }
}

fn service_status(shared: &Shared, name: &ServiceName) -> Option<ServiceStatus> {
    let (mut status, current) = {
        let core = shared.core();
        let tended = core.service(name)?;
        let mut status = api::service_status(&tended.state.report(shared.now()));
        if let Some(release) = tended.state.current().or(tended.state.candidate()) {
            let spec = &release.spec;
            status.routes = spec.routes.iter().map(|route| format!("{}{}", route.host, route.path)).collect();
            let candidate = tended.state.candidate().zip(core.preview_token(name));
            status.preview = candidate.map(|(release, token)| token.header(&release.label));
            status.floor = Some(spec.floor.share_up(spec.instances));
        }
        let now = Moment { tick: shared.now(), wall_ms: crate::wall::now_ms() };
        status.losses = tended.events.losses(&tended.state, now);
        status.last_rollout =
            tended.chronicle.last_ended().and_then(|rollout| tended.chronicle.summary(rollout, shared.now()));
        (status, tended.state.current().map(|release| release.id))
    };
    let in_flight = shared.in_flight();
    let fleet = shared.instances();
    let mut unenforced = NotEnforced::default();
    for instance in status.releases.iter_mut().flat_map(|release| &mut release.instances) {
        instance.in_flight = Some(in_flight.get(&instance.instance).copied().unwrap_or(0));
        let running = instance.instance.parse::<InstanceId>().ok().and_then(|id| fleet.get(&id));
        if let Some(running) = running {
            instance.pid = running.pid;
            instance.memory_bytes = running.resources.map(|(resources, _)| resources.memory_bytes);
            instance.cpu_milli = running.resources.map(|(_, cpu_milli)| cpu_milli);
            unenforced |= running.resources.map(|(resources, _)| resources.not_enforced).unwrap_or_default();
        }
    }
    status.remarks = unenforced.remarks().map(str::to_owned).chain(status.losses.remark(name.as_str())).collect();
    if let Some(reason) = current.and_then(|current| fleet.why_not_started(name, current)) {
        let remark = format!("an instance could not be started, and is tried again while what runs goes on: {reason}");
        status.remarks.push(remark);
    }
    Some(status)
}
