//! Asking the instances how they are: one task for each, from its start to its end.

use std::sync::Arc;

use gapless_drivers::probe::{Change, ProbeState, ProbeTarget, ask};
use gapless_model::{EffectNumber, InstanceId, Release};
use gapless_rollout::Input;

use crate::performer::start_order;
use crate::shared::Shared;

/// Begins to ask. Every change of its health becomes a fact.
pub fn watch(shared: &Arc<Shared>, instance: &InstanceId, release: &Arc<Release>) {
    let address = match shared.fleet().get(instance).and_then(|running| running.address) {
        Some(address) => address,
        None => return,
    };
    // Only what the instance was given is of interest; no effect is ordered.
    let order = start_order(shared, instance, release, address.port(), EffectNumber(0));
    let target = order.probe_target();
    let task = tokio::spawn(probe(Arc::clone(shared), instance.clone(), Arc::clone(release), target));
    shared.fleet().probed(instance, task.abort_handle());
}

async fn probe(shared: Arc<Shared>, instance: InstanceId, release: Arc<Release>, target: ProbeTarget) {
    let probe = &release.spec.probe;
    let mut state = ProbeState::new(probe);
    loop {
        let result = ask(&probe.kind, &target, probe.timeout).await;
        let now = shared.core().now();
        match state.observe(result, now) {
            Some(Change::BecameHealthy) => {
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
