//! The numbers at the end of the demo.

use gapless_load::Sums;
use gapless_routing::{Blame, Terminal};
use serde::Serialize;
use serde_json::Value;

use super::story::{Teller, Told};
use super::world::{SERVICE, World};
use crate::Failure;

/// What the demo found.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Requests sent.
    pub requests: u64,
    /// Those that were not answered whole and right, by the client's own ledger, and did not end with an instance that crashed or was killed.
    pub lost: u64,
    /// Those that were in flight to an instance when it crashed or was killed, and could not be repeated, or no further: their answer had
    /// begun, or they had been sent as often as they may be.
    pub ended_with_instances: u64,
    /// Those that were executed more than once.
    pub duplicated: u64,
    /// WebSocket sessions that were cut without a Close.
    pub websockets_cut: u64,
    /// The rollouts, the first one first.
    pub rollouts: Vec<Rollout>,
    /// Whether the controller was killed in the middle of a rollout.
    pub controller_killed: bool,
    /// The slowest answer of a hundred and of a thousand, in milliseconds, counted from when the request was due.
    pub latency_ms: Value,
    /// Lost requests, word for word, the first of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub incidents: Vec<Value>,
}

/// One rollout.
#[derive(Clone, Debug, Serialize)]
pub struct Rollout {
    /// The label of its release.
    pub label: String,
    /// How.
    pub strategy: String,
    /// How it ended.
    pub outcome: String,
    /// How long it took.
    pub seconds: f64,
    /// Requests that ended meanwhile, by the proxy's ledger.
    pub requests: u64,
    /// Attempts that were made again.
    pub retried: u64,
    /// Requests that Gapless itself lost.
    pub failed_by_us: u64,
}

impl Summary {
    /// From the clients' ledgers and the service's history.
    pub fn of(world: &World, told: &Told) -> Result<Summary, Failure> {
        let sums = &told.sums;
        let history = world.ask(&["history", SERVICE, "--json"])?;
        let mut rollouts = Vec::new();
        for rollout in history["rollouts"].as_array().into_iter().flatten().rev() {
            let number = rollout["rollout"].to_string();
            let receipt = world.ask(&["receipt", SERVICE, "--rollout", &number, "--json"])?;
            rollouts.push(Rollout {
                label: text(&rollout["to"]),
                strategy: text(&rollout["strategy"]),
                outcome: text(&rollout["state"]),
                seconds: rollout["took_ms"].as_f64().unwrap_or(0.0) / 1_000.0,
                requests: receipt["requests"].as_u64().unwrap_or(0),
                retried: receipt["retried"].as_u64().unwrap_or(0) + receipt["replayed"].as_u64().unwrap_or(0),
                failed_by_us: receipt["failed_by_us"].as_u64().unwrap_or(0),
            });
        }
        let sum = |count: fn(&Sums) -> u64| sums.iter().map(count).sum();
        Ok(Summary {
            requests: sum(|sums| sums.ended),
            lost: sum(|sums| sums.lost).saturating_sub(told.toll),
            ended_with_instances: told.toll,
            duplicated: sum(|sums| sums.duplicated),
            websockets_cut: sum(|sums| sums.websockets.cut),
            rollouts,
            controller_killed: told.controller_killed,
            latency_ms: sums.first().and_then(|sums| serde_json::to_value(sums.latency).ok()).unwrap_or_default(),
            incidents: sums
                .iter()
                .flat_map(|sums| &sums.incidents)
                .filter_map(|incident| serde_json::to_value(incident).ok())
                .take(20)
                .collect(),
        })
    }

    /// Whether nothing was lost and everything that was to be shown was.
    pub fn is_flawless(&self) -> bool {
        self.lost == 0 && self.controller_killed && self.rollouts.iter().all(|rollout| rollout.failed_by_us == 0)
    }
}

/// How many lost requests an instance explains: the proxy says of its own answer that the instance refused, closed or stalled, or an answer
/// that had begun did not reach its end. Only where the demo itself makes instances end are these not lost by Gapless; its own receipts say
/// the same, or `failed_by_us` is not 0.
pub fn ended_with_instances(sums: &Sums) -> u64 {
    let by_instance = |reason: &str| {
        Terminal::from_key(&format!("by_us.{reason}")).is_some_and(|terminal| terminal.blame() == Blame::Service)
    };
    let answered = sums.lost_by_reason.iter().filter(|(reason, _)| by_instance(reason)).map(|(_, count)| count);
    answered.sum::<u64>() + sums.lost_by.get("cut").copied().unwrap_or(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// Prints it: a table for people, one object for programs.
pub fn show(summary: &Summary, teller: &Teller, json: bool) -> Result<(), Failure> {
    teller.print("");
    teller.print("release  strategy       outcome        seconds  requests  retried  lost by us");
    for rollout in &summary.rollouts {
        teller.print(&format!(
            "{:<7}  {:<13}  {:<13}  {:>7.1}  {:>8}  {:>7}  {:>10}",
            rollout.label,
            rollout.strategy,
            rollout.outcome,
            rollout.seconds,
            rollout.requests,
            rollout.retried,
            rollout.failed_by_us
        ));
    }
    teller.print("");
    teller.print(&format!(
        "{} requests sent, {} lost, {} executed twice; the controller was {}killed in the middle of a rollout",
        summary.requests,
        summary.lost,
        summary.duplicated,
        if summary.controller_killed { "" } else { "not " }
    ));
    if summary.ended_with_instances > 0 {
        teller.print(&format!(
            "{} requests ended with the instance that they were in flight to, when it crashed (1.4) or was killed: their answer had begun,",
            summary.ended_with_instances
        ));
        teller.print("  or they had been repeated as often as `retries` allows and met the next crash. Those the service lost, and Gapless says so:");
    }
    for incident in &summary.incidents {
        teller.print(&format!("  {incident}"));
    }
    if json {
        let object =
            serde_json::to_string(summary).map_err(|error| Failure::new("cannot print the summary").because(&error))?;
        print_line!("{object}")?;
    }
    Ok(())
}
