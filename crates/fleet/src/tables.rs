//! The tables of small facts beside the log, and their keys.

use gapless_model::ServiceName;

/// Releases: `service/number` → `ReleaseRecord`.
pub const RELEASES: &str = "release";
/// Receipts: `service/number` → `Receipt`.
pub const RECEIPTS: &str = "receipt";
/// What the ledgers stood at when a rollout began.
pub const BASELINES: &str = "baseline";
/// Why a baseline is older than its rollout; apart from it, so that an earlier program reads those.
pub const BASELINES_EARLY: &str = "baseline-early";
/// Services of which nothing is deployed and that are shown to nobody: `service` → the number of the last order before.
pub const FORGOTTEN: &str = "forgotten";
/// The table and key of the journal's identity.
pub const IDENTITY: (&str, &str) = ("journal", "identity");
/// The table and key of the clock's mark.
pub(crate) const CLOCK: (&str, &str) = ("clock", "mark");

/// The key of something numbered within a service; sorts as the numbers do.
#[must_use]
pub fn fact_key(service: &ServiceName, number: u64) -> String {
    format!("{service}/{number:020}")
}
