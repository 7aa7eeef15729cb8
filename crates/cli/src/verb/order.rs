//! What the verbs that order something share: their arguments, and giving an order and following the rollout that it is about.

use std::time::Duration;

use gapless_drivers::talk::say;
use gapless_wire::api::{OperatorRequest, OrderAccepted};
use serde::Serialize;

use crate::client::{Client, block_on};
use crate::follow::{self, Wanted};
use crate::{Context, Exit, Failure, project};

/// What every order about a service that has a release is given.
#[derive(clap::Args, Debug)]
pub struct OrderArgs {
    /// The service [default: the one in ./gapless.toml]
    pub service: Option<String>,
    /// Why, for the record
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub reason: String,
    /// Do not wait for the end
    #[arg(long)]
    pub detach: bool,
}

impl OrderArgs {
    /// Gives the order of that name, which takes nothing but who orders and why.
    pub(super) fn give(&self, context: &Context, name: &str, wanted: Wanted) -> Result<Exit, Failure> {
        let request = OperatorRequest { by: project::operator(), reason: self.reason.clone() };
        self.order(name, &request, wanted)?.give(context)
    }

    /// The order of that name with a request of its own.
    pub(super) fn order<'r, R: Serialize>(
        &self,
        name: &str,
        request: &'r R,
        wanted: Wanted,
    ) -> Result<Order<'r, R>, Failure> {
        let service = project::service(self.service.as_deref())?;
        Ok(Order { path: format!("/v1/services/{service}/{name}"), request, wanted, detach: self.detach })
    }
}

/// An order that is followed to the end of its rollout.
pub(super) struct Order<'r, R> {
    /// Where it is given.
    pub(super) path: String,
    /// What is asked for.
    pub(super) request: &'r R,
    /// Which end of the rollout is the wanted one.
    pub(super) wanted: Wanted,
    /// Whether the end is not waited for.
    pub(super) detach: bool,
}

impl<R: Serialize> Order<'_, R> {
    pub(super) fn give(&self, context: &Context) -> Result<Exit, Failure> {
        let client = Client::new(context);
        block_on(async {
            let accepted: OrderAccepted = awaited(context, client.post(&self.path, self.request)).await?;
            follow::rollout(context, &client, &accepted, self.wanted, self.detach).await
        })
    }
}

/// How long an answer may take before a person is told that it is awaited.
const SILENCE_MAX: Duration = Duration::from_secs(1);

/// Awaits the answer to an order. A large folder is read, copied and made durable before it is answered: whoever waits sees that it goes on.
async fn awaited<T>(context: &Context, answer: impl Future<Output = T>) -> T {
    tokio::pin!(answer);
    tokio::select! {
        answered = &mut answer => return answered,
        () = tokio::time::sleep(SILENCE_MAX) => {}
    }
    if context.json {
        return answer.await;
    }
    let what = "the controller takes the release in";
    let bar = indicatif::ProgressBar::new_spinner();
    if bar.is_hidden() {
        say(format_args!("{what} …"));
    }
    bar.set_message(what);
    bar.set_style(indicatif::ProgressStyle::with_template("{spinner} {msg}, for {elapsed}").expect("BUG: a template"));
    bar.enable_steady_tick(Duration::from_millis(200));
    let answered = answer.await;
    bar.finish_and_clear();
    answered
}
