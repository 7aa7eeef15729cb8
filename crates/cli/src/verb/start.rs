//! `gapless start`: starts what `gapless stop` stopped.

use gapless_wire::api::AdjustmentDoc;

use crate::{Context, Exit, Failure};

pub use super::adjust::AdjustArgs as Args;

/// Runs the verb.
///
/// # Errors
/// There is no such service, the order is refused, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    args.give(context, AdjustmentDoc::Start)
}
