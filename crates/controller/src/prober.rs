//! Asking the instances how they are: one task for each, from its start to its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gapless_drivers::driver::{Listener, StartOrder};
use gapless_model::{EffectNumber, InstanceId, Release};
use gapless_probe::{Change, ProbeFailure, ProbeResult, ProbeState, ProbeTarget, ask};
use gapless_rollout::{EndedBy, Input, Listing};
use gapless_wire::api::in_one_line;

use crate::performer::{forget, start_order};
use crate::shared::Shared;

/// The pause before the sources of an environment are read again for a probe's command.
const SOURCES_PAUSE: Duration = Duration::from_secs(5);

/// Begins to ask. Every change of its health becomes a fact.
pub fn watch(shared: &Arc<Shared>, instance: &InstanceId, release: &Arc<Release>) {
    let address = match shared.instances().get(instance).and_then(|running| running.address) {
        Some(address) => address,
        None => return,
    };
    // Only what the instance was given is of interest; no effect is ordered.
    let order = start_order(shared, instance, release, address.port(), EffectNumber(0));
    let task = tokio::spawn(probe(Arc::clone(shared), order, address, Arc::clone(release)));
    shared.instances().probed(instance, task.abort_handle());
}

async fn probe(shared: Arc<Shared>, order: StartOrder, address: SocketAddr, release: Arc<Release>) {
    let (probe, instance) = (&release.spec.probe, &order.instance);
    let target = target(&shared, &order, address, &release).await;
    let mut state = ProbeState::new(probe);
    let mut was_ready = false;
    loop {
        let result = match ask(&probe.kind, &target, probe.timeout).await {
            ProbeResult::Passed => believed(&shared, instance).await,
            failed => failed,
        };
        if let ProbeResult::Failed(ProbeFailure::Foreign(foreign)) = &result
            && !was_ready
            && !is_live(&shared, instance)
        {
            // It will not get its port any more; its successor gets another.
            tokio::spawn(give_up(Arc::clone(&shared), instance.clone(), foreign.to_string()));
            return;
        }
        let now = shared.now();
        match state.observe(result, now) {
            Some(Change::BecameHealthy) => {
                was_ready = true;
                shared.fact(&instance.service, Input::InstanceReady { instance: instance.clone() });
            }
            Some(Change::BecameUnhealthy { failure }) => {
                let reason = order.masked(&failure.to_string(), &target.environment);
                shared.fact(&instance.service, Input::InstanceUnhealthy { instance: instance.clone(), reason });
            }
            None => {}
        }
        tokio::time::sleep(probe.interval.to_duration()).await;
    }
}

/// Whom the probes ask. Where the sources of the environment cannot be read any more nothing is known of the instance's health, and that is no reason
/// to call it ill: they are tried again.
async fn target(shared: &Shared, order: &StartOrder, address: SocketAddr, release: &Release) -> ProbeTarget {
    let folder = shared.artefacts.folder(&order.instance.service, &release.digest);
    loop {
        match order.probe_target(&release.spec.probe.kind, address, &folder).await {
            Ok(target) => return target,
            Err(error) => {
                let reason = in_one_line(&error);
                tracing::warn!(instance = %order.instance, reason, "the environment of a probe's command cannot be read");
            }
        }
        tokio::time::sleep(SOURCES_PAUSE).await;
    }
}

/// A probe that passed proves something only where the instance itself answered it.
async fn believed(shared: &Shared, instance: &InstanceId) -> ProbeResult {
    match shared.driver.listener(instance).await {
        Listener::Foreign(foreign) => ProbeResult::Failed(ProbeFailure::Foreign(foreign)),
        Listener::Own | Listener::Nobody | Listener::Unknown => ProbeResult::Passed,
    }
}

/// Whether clients' requests go to it: then it leaves in order, as any that is unhealthy.
fn is_live(shared: &Shared, instance: &InstanceId) -> bool {
    let core = shared.core();
    let tended = core.service(&instance.service);
    tended.is_some_and(|tended| {
        tended.state.instances().any(|known| known.id == *instance && known.listing == Listing::Live)
    })
}

async fn give_up(shared: Arc<Shared>, instance: InstanceId, status: String) {
    tracing::warn!(%instance, status, "an instance cannot have its port");
    if let Err(error) = shared.driver.kill(&instance).await {
        tracing::warn!(%instance, %error, "an instance that cannot have its port could not be ended");
        return;
    }
    let ended_by = EndedBy::Itself;
    shared.fact(&instance.service, Input::InstanceExited { instance: instance.clone(), status, ended_by });
    forget(&shared, &instance).await;
}
