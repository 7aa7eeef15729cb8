//! Effects made real. Each is performed in a task of its own and comes back as a fact; the order between them is the machine's affair.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use gapless_drivers::check::{self, CheckTarget};
use gapless_drivers::driver::DriverError;
use gapless_fleet::TakeError;
use gapless_model::{Check, EffectNumber, InstanceId, Millis, ReleaseId, RolloutId, ServiceName};
use gapless_rollout::{Cause, Effect, Input, NoticeLevel, Outcome};
use gapless_wire::api::in_one_line;
use tokio::sync::mpsc;

use crate::shared::{Order, Shared};
use crate::start_order::{release, start_order};
use crate::{logs, one_off, prober, proxies};

/// Performs orders until the controller ends.
pub async fn perform(shared: Arc<Shared>, mut orders: mpsc::UnboundedReceiver<Order>) {
    while let Some(Order { service, intent }) = orders.recv().await {
        let (shared, number) = (Arc::clone(&shared), intent.number);
        match intent.effect {
            Effect::StartInstance { instance } => {
                tokio::spawn(start(shared, instance, number));
            }
            // The core has put it into the publication already; the proxies' tasks send what is new there.
            Effect::PublishRoutes(_) => {}
            Effect::StopInstance { instance, grace } => {
                tokio::spawn(stop(shared, instance, grace));
            }
            Effect::RunCheck { check, release } => {
                tokio::spawn(run_check(shared, service, number, check, release));
            }
            Effect::RunOneOff(one_off) => {
                tokio::spawn(one_off::run(shared, intent.rollout, one_off, number));
            }
            Effect::Notify { level, message } => match level {
                NoticeLevel::Info => tracing::info!(%service, message, "notice"),
                NoticeLevel::Warning => tracing::warn!(%service, message, "notice"),
                NoticeLevel::Error => tracing::error!(%service, message, "notice"),
            },
            Effect::CloseReceipt { rollout, outcome } => {
                tokio::spawn(close_receipt(shared, service, rollout, outcome));
            }
            Effect::KeepReleases { .. } => {
                tokio::spawn(collect(shared, service));
            }
        }
    }
}

async fn start(shared: Arc<Shared>, instance: InstanceId, number: EffectNumber) {
    let service = instance.service.clone();
    let failed = |reason: String| {
        shared.instances().not_started(&instance, reason.clone());
        shared.fact(&service, Input::InstanceStartFailed { instance: instance.clone(), reason });
    };
    let Some(release) = release(&shared, &service, instance.release) else {
        return failed("its release is not kept".to_owned());
    };
    let port = match shared.instances().port(&instance) {
        Ok(port) => port,
        Err(error) => return failed(error.to_string()),
    };
    let order = start_order(&shared, &instance, &release, port, number);
    match shared.driver.start(order).await {
        Ok(started) => {
            shared.instances().started(&instance, started.address, Some(started.pid));
            shared.fact(&service, Input::InstanceStarted { instance: instance.clone(), address: started.address });
            prober::watch(&shared, &instance, &release);
        }
        Err(error) => failed(in_one_line(&error)),
    }
}

async fn stop(shared: Arc<Shared>, instance: InstanceId, grace: Millis) {
    shared.instances().unprobed(&instance);
    let service = instance.service.clone();
    loop {
        match shared.driver.stop(&instance, grace).await {
            Ok(_) => break,
            // Nothing of it is known: it is gone as ordered.
            Err(DriverError::Unknown(_)) => break,
            Err(error) => {
                tracing::warn!(%instance, %error, "an instance could not be stopped; trying again");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
    shared.fact(&service, Input::InstanceStopped { instance: instance.clone() });
    forget(&shared, &instance).await;
}

/// The instance has ended and that is on the record: its keeper and files may go.
pub async fn forget(shared: &Shared, instance: &InstanceId) {
    shared.instances().gone(instance);
    if let Err(error) = shared.driver.forget(instance).await {
        tracing::debug!(%instance, %error, "an instance that ended could not be forgotten");
    }
}

async fn run_check(
    shared: Arc<Shared>,
    service: ServiceName,
    number: EffectNumber,
    check: Check,
    release_id: ReleaseId,
) {
    let failed = |reason: String| shared.fact(&service, Input::CheckFailed { check: number, reason });
    let Some(release) = release(&shared, &service, release_id) else {
        return failed("its release is not kept".to_owned());
    };
    let Some(proxy) = shared.proxies().reachable_at() else {
        return failed("no proxy is there to ask through".to_owned());
    };
    let token = shared.core().preview_token(&service);
    let route = release.spec.routes.first();
    let target = CheckTarget {
        proxy,
        host: route.map(|route| route.host.as_str().replacen("*.", "preview.", 1)).filter(|host| host != "*"),
        prefix: route.map(|route| route.path.as_str().trim_end_matches('/').to_owned()).unwrap_or_default(),
        preview: release.label.clone(),
        preview_header: token.map_or_else(|| release.label.to_string(), |token| token.header(&release.label)),
        folder: shared.artefacts.folder(&service, &release.digest),
    };
    match check::run(&check, &target).await {
        Ok(()) => shared.fact(&service, Input::CheckPassed { check: number }),
        Err(error) => failed(error.reason),
    }
}

async fn close_receipt(shared: Arc<Shared>, service: ServiceName, rollout: RolloutId, outcome: Outcome) {
    let unknown = proxies::ask_counts(&shared).await;
    let last_words = match outcome.cause().and_then(Cause::instance) {
        Some(instance) => logs::last_words(&shared, instance).await,
        None => None,
    };
    loop {
        let in_flight = shared.in_flight();
        let closed = shared.act(|core, at| {
            let now = at.tick;
            let Some(tended) = core.service(&service) else { return Ok(Vec::new()) };
            let Some(summary) = tended.chronicle.summary(rollout, now) else { return Ok(Vec::new()) };
            let labels: BTreeMap<ReleaseId, _> =
                tended.releases.iter().map(|(id, known)| (*id, known.release.label.clone())).collect();
            let mut receipt = core.ledger.receipt(&service, summary, |id| labels.get(&id).cloned());
            // A rollout ends with instances that drain only where their requests have had their time: what is left are tunnels.
            let left = tended.state.left_behind(rollout);
            receipt.tunnels_draining = left.filter_map(|instance| in_flight.get(&instance.to_string())).sum();
            receipt.complete &= unknown.is_empty();
            receipt.unknown.clone_from(&unknown);
            receipt.last_words.clone_from(&last_words);
            core.close_receipt(&service, rollout, &receipt, at)
        });
        match closed {
            // Room may come back; until then the rollout has no receipt, and says so.
            Err(TakeError::Full(_)) => tokio::time::sleep(Duration::from_secs(1)).await,
            Ok(()) | Err(_) => return,
        }
    }
}

async fn collect(shared: Arc<Shared>, service: ServiceName) {
    let _alone = shared.artefact_gate.write().await;
    let keep: Option<BTreeSet<_>> = {
        let core = shared.core();
        core.service(&service).map(|tended| tended.kept_releases().map(|known| known.release.digest).collect())
    };
    let Some(keep) = keep else { return };
    let artefacts = shared.artefacts.clone();
    let collected = tokio::task::spawn_blocking(move || artefacts.collect(&service, &keep)).await;
    match collected {
        Ok(Ok(gone)) if gone.is_empty() => {}
        Ok(Ok(gone)) => tracing::info!(releases = gone.len(), "deleted artefacts that nothing refers to"),
        Ok(Err(error)) => tracing::warn!(%error, "artefacts that nothing refers to could not be deleted"),
        Err(error) => tracing::error!(%error, "BUG: deleting artefacts ended by itself"),
    }
}
