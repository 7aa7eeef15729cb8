//! `gapless restart`: replaces every instance of the current release by a fresh one, batch by batch.

use gapless_wire::api::AdjustmentDoc;

use crate::{Context, Exit, Failure};

pub use super::adjust::AdjustArgs as Args;

/// Runs the verb.
///
/// # Errors
/// There is no such service, the order is refused, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    args.give(context, AdjustmentDoc::Restart)
}
