//! What `restart`, `scale`, `stop`, `start` and `remove` share: an order about the release that serves, or what it would do.

use gapless_wire::api::{AdjustRequest, AdjustmentDoc, OrderAccepted, PlanAnswer};

use super::order::OrderArgs;
use crate::client::{Client, block_on};
use crate::follow::{self, Wanted, print_json};
use crate::show::plan;
use crate::{Context, Exit, Failure, project};

/// What an order about the release that serves is given.
#[derive(clap::Args, Debug)]
pub struct AdjustArgs {
    /// What every order is given.
    #[command(flatten)]
    pub order: OrderArgs,
    /// Only show what it would do
    #[arg(long)]
    pub plan: bool,
}

impl AdjustArgs {
    /// Gives the order and follows it to its end, or shows what it would do.
    pub(super) fn give(&self, context: &Context, adjustment: AdjustmentDoc) -> Result<Exit, Failure> {
        let service = project::service(self.order.service.as_deref())?;
        let request = AdjustRequest { adjustment, by: project::operator(), reason: self.order.reason.clone() };
        let path = format!("/v1/services/{service}/adjust");
        let client = Client::new(context);
        block_on(async {
            if self.plan {
                let answer: PlanAnswer = client.post(&format!("{path}/plan"), &request).await?;
                super::look::print(context, &answer, plan::text)?;
                return Ok(Exit::Done);
            }
            let accepted: OrderAccepted = client.post(&path, &request).await?;
            if accepted.done {
                if context.json {
                    print_json(&accepted)?;
                } else {
                    print_line!("nothing of {service} was deployed; it is forgotten")?;
                }
                return Ok(Exit::Done);
            }
            follow::rollout(context, &client, &accepted, Wanted::Forward, self.order.detach).await
        })
    }
}
