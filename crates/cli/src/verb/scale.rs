//! `gapless scale`: gives the current release another number of instances, without its source folder.

use gapless_wire::api::AdjustmentDoc;

use super::adjust::AdjustArgs;
use crate::{Context, Exit, Failure, hint};

/// The most instances that a service can have, as in its configuration.
const INSTANCES_MAX: u16 = 1_000;

/// What `gapless scale` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// How many instances; the service may stand before it
    #[arg(value_name = "[SERVICE] INSTANCES", num_args = 1..=2, required = true)]
    pub words: Vec<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
    /// Only show what it would do
    #[arg(long)]
    pub plan: bool,
}

/// Runs the verb.
///
/// # Errors
/// That is no number, there is no such service, the order is refused, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let (service, number) = match args.words.as_slice() {
        [number] => (None, number),
        [service, number] => (Some(service.clone()), number),
        _ => return Err(Failure::new("`scale` takes a number of instances").hint(hint::NAME_NUMBER).exit(Exit::Usage)),
    };
    let instances = number.parse().ok().filter(|number| (1..=INSTANCES_MAX).contains(number)).ok_or_else(|| {
        let what = format!("`{number}` is not a number of instances from 1 to {INSTANCES_MAX}");
        Failure::new(what).hint(hint::NAME_NUMBER).exit(Exit::Usage)
    })?;
    let order = super::order::OrderArgs { service, reason: args.reason.clone(), detach: args.detach };
    AdjustArgs { order, plan: args.plan }.give(context, AdjustmentDoc::Scale { instances })
}
