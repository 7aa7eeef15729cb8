//! Keeping the journal bounded: a service at rest is written down whole, in the place of the records that led there.
//!
//! Done after a step, never instead of one, and only when many records have gathered. What else would grow without bound goes with it:
//! releases that nothing refers to any more, and receipts of long ago.

use gapless_journal::{Batch, Sequence, Store, StoreError};
use gapless_model::{ServiceName, Tick};
use gapless_wire::record::{REST_KIND, RestRecord};

use crate::entry::ServiceEntry;
use crate::tables::{RECEIPTS, RELEASES, fact_key};

/// Records of a service after which it is written down whole: some ten rollouts, replayed within milliseconds.
pub const RECORDS_MAX: u64 = 1_000;

/// Receipts of a service that are kept.
const RECEIPTS_MAX: u64 = 1_000;

/// What takes the place of the records up to `upto`; nothing where the service is not at rest or they are few.
///
/// # Errors
/// When the journal cannot be read.
pub fn due<S: Store>(
    store: &mut S,
    service: &ServiceName,
    entry: &ServiceEntry,
    upto: Sequence,
    now: Tick,
) -> Result<Option<Batch>, StoreError> {
    // A service that was removed is written down at once: an earlier program that replayed its records would start it again.
    if entry.records < RECORDS_MAX && entry.is_listed() {
        return Ok(None);
    }
    let Some(rest) = entry.state.at_rest() else { return Ok(None) };
    let mut batch = Batch::new();
    batch.snapshot(service.as_str(), REST_KIND, RestRecord::of(&rest, now).to_bytes(), upto);
    for id in entry.let_go_releases() {
        batch.delete(RELEASES, fact_key(service, id.0));
    }
    let oldest = fact_key(service, rest.last_rollout.0.saturating_sub(RECEIPTS_MAX));
    let first = fact_key(service, 0);
    for key in store.fact_keys(RECEIPTS, &first, &oldest)? {
        batch.delete(RECEIPTS, key);
    }
    Ok(Some(batch))
}
