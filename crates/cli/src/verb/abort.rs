//! `gapless abort`: ends the running rollout and goes back to where it came from.

use crate::follow::Wanted;
use crate::{Context, Exit, Failure};

pub use super::order::OrderArgs as Args;

/// Runs the verb.
///
/// # Errors
/// There is nothing to do it to, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    args.give(context, "abort", Wanted::Back)
}
