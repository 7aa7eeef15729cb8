//! `gapless down`: ends everything that `gapless up` started: the proxy drains, the instances stop, the controller ends.

use std::time::{Duration, Instant};

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
/// No controller answers, or it does not end in time.
pub fn run(_args: &Args, context: &Context) -> Result<Exit, Failure> {
    let client = Client::new(context);
    block_on(async {
        client.order("/v1/down").await?;
        eprintln!("requests in flight end, then the instances stop; what is deployed starts again with `gapless up`");
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
