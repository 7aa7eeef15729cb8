//! `gapless remove`: takes a service out of the routing table for good: its instances end, its releases are deleted.

use gapless_wire::api::AdjustmentDoc;

use crate::{Context, Exit, Failure};

pub use super::adjust::AdjustArgs as Args;

/// Runs the verb.
///
/// # Errors
/// There is no such service, the order is refused, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    args.give(context, AdjustmentDoc::Remove)
}
