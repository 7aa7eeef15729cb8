//! What happened to the services, looked at by whoever follows it.

use std::collections::BTreeMap;

use gapless_model::ServiceName;
use gapless_wire::api::ServiceEvent;

use crate::shared::Shared;

/// The number from which on events of each service were not looked at yet; from the first on where it is not named.
pub type Seen = BTreeMap<ServiceName, u64>;

/// Everything that happened until now counts as seen.
pub fn all_seen(shared: &Shared) -> Seen {
    shared.core().services().iter().map(|(name, tended)| (name.clone(), tended.events.next())).collect()
}

/// What happened since it was looked at last, over the services in the order of time.
pub fn newer(shared: &Shared, only: Option<&ServiceName>, seen: &mut Seen) -> Vec<ServiceEvent> {
    let core = shared.core();
    let mut told = Vec::new();
    for (name, tended) in core.services().iter().filter(|(name, _)| only.is_none_or(|only| only == *name)) {
        let from = seen.get(name).copied().unwrap_or(0);
        let before = told.len();
        told.extend(tended.events.from(from).cloned());
        if let Some(last) = told[before..].last() {
            seen.insert(name.clone(), last.seq + 1);
        }
    }
    told.sort_by_key(|event: &ServiceEvent| event.at_ms);
    told
}
