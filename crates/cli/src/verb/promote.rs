//! `gapless promote`: ends the observation that runs, as if its time had passed: an operator vouches for the candidate.

use crate::follow::Wanted;
use crate::{Context, Exit, Failure};

pub use super::order::OrderArgs as Args;

/// Runs the verb.
///
/// # Errors
/// There is nothing to do it to, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    args.give(context, "promote", Wanted::Forward)
}
