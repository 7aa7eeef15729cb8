//! Asking the instances how they are: one task for each, from its start to its end.

use std::sync::Arc;

use gapless_drivers::driver::Listener;
use gapless_model::{EffectNumber, InstanceId, Release};
use gapless_probe::{Change, ProbeFailure, ProbeResult, ProbeState, ProbeTarget, ask};
use gapless_rollout::{EndedBy, Input, Listing};

use crate::performer::{forget, start_order};
use crate::shared::Shared;

/// Begins to ask. Every change of its health becomes a fact.
pub fn watch(shared: &Arc<Shared>, instance: &InstanceId, release: &Arc<Release>) {
    let address = match shared.instances().get(instance).and_then(|running| running.address) {
        Some(address) => address,
        None => return,
    };
    // Only what the instance was given is of interest; no effect is ordered.
    let order = start_order(shared, instance, release, address.port(), EffectNumber(0));
    let target = order.probe_target(address, &shared.artefacts.folder(&instance.service, &release.digest));
    let task = tokio::spawn(probe(Arc::clone(shared), instance.clone(), Arc::clone(release), target));
    shared.instances().probed(instance, task.abort_handle());
}

async fn probe(shared: Arc<Shared>, instance: InstanceId, release: Arc<Release>, target: ProbeTarget) {
    let probe = &release.spec.probe;
    let mut state = ProbeState::new(probe);
    let mut was_ready = false;
    loop {
        let result = match ask(&probe.kind, &target, probe.timeout).await {
            ProbeResult::Passed => believed(&shared, &instance).await,
            failed => failed,
        };
        if let ProbeResult::Failed(ProbeFailure::Foreign(foreign)) = &result
            && !was_ready
            && !is_live(&shared, &instance)
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
                let reason = failure.to_string();
                shared.fact(&instance.service, Input::InstanceUnhealthy { instance: instance.clone(), reason });
            }
            None => {}
        }
        tokio::time::sleep(probe.interval.to_duration()).await;
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
