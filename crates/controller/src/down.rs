//! The end of everything on this machine: the proxy drains, then the instances stop.
//!
//! Nothing of it is journalled. What is deployed stays deployed; the next controller finds no instance alive and starts them again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gapless_model::{InstanceId, Millis};

use crate::one_off;
use crate::shared::Shared;

/// How long requests in flight may run on.
pub const DRAIN_WITHIN: Millis = Millis(10_000);

/// Stops it all, bounded in time.
pub async fn stop_everything(shared: &Arc<Shared>) {
    shared.stop_everything();
    let links = shared.proxies().links();
    let gone = async {
        for link in &links {
            let _gone = link.drain(DRAIN_WITHIN).await;
        }
        while !shared.proxies().links().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let _late = tokio::time::timeout(DRAIN_WITHIN.to_duration() + Duration::from_secs(2), gone).await;
    let running: Vec<(InstanceId, Millis)> = {
        let (fleet, core) = (shared.instances(), shared.core());
        let grace = |instance: &InstanceId| {
            let known = core.service(&instance.service).and_then(|tended| tended.releases.get(&instance.release));
            known.map_or(DRAIN_WITHIN, |known| known.release.spec.run.stop_grace)
        };
        let tended = core.services().keys().filter_map(|service| core.service(service));
        let one_offs = tended.flat_map(|tended| tended.state.one_offs()).map(|one_off| &one_off.id);
        let all: BTreeSet<&InstanceId> = fleet.all().map(|(instance, _)| instance).chain(one_offs).collect();
        all.into_iter().map(|instance| (instance.clone(), grace(instance))).collect()
    };
    let mut stops = tokio::task::JoinSet::new();
    for (instance, grace) in running {
        let shared = Arc::clone(shared);
        stops.spawn(async move {
            shared.instances().unprobed(&instance);
            match shared.driver.stop(&instance, grace).await {
                // How it ended is for the next controller to find: it would run it a second time otherwise.
                Ok(_) if one_off::is_one_off(&shared, &instance) => {}
                Ok(_) => crate::performer::forget(&shared, &instance).await,
                Err(error) => tracing::warn!(%instance, %error, "an instance could not be stopped"),
            }
        });
    }
    while stops.join_next().await.is_some() {}
}
