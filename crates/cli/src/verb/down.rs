//! `gapless down`: ends everything that `gapless up` started: the proxy drains, the instances stop, the controller ends.

use std::time::{Duration, Instant};

use gapless_controller::leftovers::{self, Leftovers, LeftoversFailed};
use gapless_drivers::talk::say;
use gapless_wire::api::Status;

use crate::client::{Client, block_on};
use crate::{Context, Exit, Failure, hint};

/// How long the end may take: the proxy's drain, then the grace of the slowest instance.
const DOWN_TIMEOUT: Duration = Duration::from_secs(120);

/// How often it is looked whether the controller is gone.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);

/// What `gapless down` is given.
#[derive(clap::Args, Debug)]
pub struct Args {}

/// Runs the verb.
///
/// # Errors
/// It does not end in time; or no controller answers, and what one left behind cannot be ended.
pub fn run(_args: &Args, context: &Context) -> Result<Exit, Failure> {
    let client = Client::new(context);
    block_on(async {
        match client.order("/v1/down").await {
            Err(failure) if failure.unreachable => return end_leftovers(context, failure).await,
            told => told?,
        }
        say("requests in flight end, then the instances stop; what is deployed starts again with `gapless up`");
        let began = Instant::now();
        loop {
            match client.get::<Status>("/v1/status").await {
                Err(failure) if failure.unreachable => return Ok(Exit::Done),
                _ if began.elapsed() > DOWN_TIMEOUT => {
                    return Err(Failure::new("the controller did not end in time").hint(hint::SEE_WHAT_WAITS));
                }
                _ => tokio::time::sleep(LOOK_INTERVAL).await,
            }
        }
    })
}

/// No controller is there to be told: what it left behind is ended from here. Where it left nothing, that it does not answer is the answer.
async fn end_leftovers(context: &Context, unreachable: Failure) -> Result<Exit, Failure> {
    let state = context.state.path();
    if !state.is_dir() {
        return Err(unreachable);
    }
    let gapless =
        std::env::current_exe().map_err(|error| Failure::new("cannot tell where this program is").because(&error))?;
    say("no controller runs: ending what it left behind");
    let ended = leftovers::end(state, &gapless).await.map_err(|error| {
        let failure = Failure::new("what runs was not ended").because(&error);
        match error {
            LeftoversFailed::Controller(_) => failure.hint(hint::LOOK_AT_CONTROLLER),
            LeftoversFailed::Survey(_) | LeftoversFailed::Proxy(_) => failure.hint(hint::ASK_PROXY),
            LeftoversFailed::Driver(_) => failure,
        }
    })?;
    let Leftovers { proxies, instances, left } = &ended;
    let some = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    say(match (proxies.len(), instances.len()) {
        (0, 0) => "nothing ran".to_owned(),
        (proxies, instances) => format!(
            "ended {} and {}; what is deployed starts again with `gapless up`",
            some(proxies, "proxy", "proxies"),
            some(instances, "instance", "instances")
        ),
    });
    match left.as_slice() {
        [] => Ok(Exit::Done),
        left => {
            let failure = Failure::new("not everything ended");
            Err(Failure { caused_by: left.to_vec(), ..failure }.hint(hint::KILL_WHAT_IS_LEFT))
        }
    }
}
