//! What an instance is started with: its release, and the order that follows from it.

use std::sync::Arc;

use gapless_drivers::driver::{Fence, StartOrder};
use gapless_model::{EffectNumber, InstanceId, Release, ReleaseId, ServiceName};

use crate::shared::Shared;

/// The order to start an instance; what its probes find in their environment follows from it too.
pub fn start_order(
    shared: &Shared,
    instance: &InstanceId,
    release: &Release,
    port: u16,
    effect: EffectNumber,
) -> StartOrder {
    StartOrder {
        instance: instance.clone(),
        label: release.label.clone(),
        artefact: release.digest,
        run: release.spec.run.clone(),
        port,
        fence: Fence { epoch: shared.core().epoch(), effect },
    }
}

/// A release that is known.
pub fn release(shared: &Shared, service: &ServiceName, id: ReleaseId) -> Option<Arc<Release>> {
    let core = shared.core();
    core.service(service)?.releases.get(&id).map(|known| Arc::clone(&known.release))
}
