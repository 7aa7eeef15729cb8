//! Waiting for a rollout: its actions as they happen, its receipt, and an exit code that says how it ended.

use std::collections::BTreeSet;
use std::io::{IsTerminal, Write as _};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use gapless_drivers::talk::say;
use gapless_wire::api::{Event, OrderAccepted, Receipt, RolloutState, RolloutSummary};
use indicatif::{ProgressBar, ProgressStyle};
use serde::de::DeserializeOwned;

use crate::client::{Client, block_on};
use crate::show::style::Style;
use crate::show::{event, receipt};
use crate::{Context, Exit, Failure, hint};

/// How long a controller that went away is waited for: it comes back within a second or two where something restarts it.
const CONTROLLER_AWAY_MAX: Duration = Duration::from_secs(60);

/// How often it is asked for then.
const CONTROLLER_RETRY_INTERVAL: Duration = Duration::from_millis(250);

/// Which end of the rollout is what the operator wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// The candidate is to become current.
    Forward,
    /// The running rollout, if one runs, is to go back.
    Back,
}

/// Follows a rollout to its end, unless that is not wanted.
///
/// # Errors
/// The controller cannot be reached any more, or answers what is not understood.
pub async fn rollout(
    context: &Context,
    client: &Client,
    order: &OrderAccepted,
    wanted: Wanted,
    detach: bool,
) -> Result<Exit, Failure> {
    for warning in &order.warnings {
        say(format_args!("warning: {warning}"));
    }
    if let (Some(behind), false) = (order.behind, detach) {
        say(format_args!("rollout {} waits for rollout {behind}", order.rollout));
    }
    if let Some(preview) = &order.preview {
        tell!("preview: X-Gapless-Preview: {preview}");
    }
    if detach {
        if context.json {
            print_json(order)?;
        } else {
            let queued = match (order.queued, order.behind) {
                (true, Some(behind)) => format!("; it waits for rollout {behind}"),
                (true, None) => "; it waits for the running one".to_owned(),
                (false, _) => String::new(),
            };
            print_line!("rollout {} of {} is ordered{queued}", order.rollout, order.service)?;
        }
        return Ok(Exit::Done);
    }
    tokio::select! {
        ended = to_the_end(context, client, order) => {
            let summary = ended?;
            let receipt = show_receipt(context, client, order, &summary).await?;
            Ok(exit_of_order(&summary, receipt.as_ref(), wanted))
        }
        _ = tokio::signal::ctrl_c() => {
            say(format_args!("\nrollout {} of {} goes on without you: {}", order.rollout, order.service, hint::WATCH_ROLLOUT));
            Ok(Exit::Interrupted)
        }
    }
}

/// Prints what comes line by line, as `show` has it, until it ends, its reader goes away or Ctrl-C is pressed.
///
/// # Errors
/// The controller refuses, cannot be reached, or answers what is not understood.
pub fn lines<T: DeserializeOwned>(
    context: &Context,
    path: &str,
    mut show: impl FnMut(T) -> String,
) -> Result<Exit, Failure> {
    let client = Client::new(context);
    let print = |value: T| match writeln!(std::io::stdout().lock(), "{}", show(value)) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_) => ControlFlow::Break(()),
    };
    block_on(async {
        tokio::select! {
            ended = client.lines(path, print) => ended.map(|_| Exit::Done),
            _ = tokio::signal::ctrl_c() => Ok(Exit::Done),
        }
    })
}

async fn to_the_end(context: &Context, client: &Client, order: &OrderAccepted) -> Result<RolloutSummary, Failure> {
    let mut screen = Screen::new(context, order);
    let mut next = 0;
    let mut away_since: Option<Instant> = None;
    loop {
        let path = format!("/v1/services/{}/rollouts/{}/events?from={next}", order.service, order.rollout);
        let followed = client
            .lines(&path, |event: Event| {
                // Events may come again after a reconnect.
                if event.seq >= next || event.ended.is_some() {
                    next = event.seq + 1;
                    away_since = None;
                    screen.show(&event);
                }
                event.ended.map_or(ControlFlow::Continue(()), ControlFlow::Break)
            })
            .await;
        match followed {
            Ok(Some(summary)) => return Ok(summary),
            // The stream ended without an end of the rollout: the controller is on its way out or cut a long answer.
            Ok(None) => {}
            Err(failure) if failure.unreachable => {
                let since = *away_since.get_or_insert_with(|| {
                    screen.say("the controller is away; the rollout goes on when it is back");
                    Instant::now()
                });
                if since.elapsed() > CONTROLLER_AWAY_MAX {
                    return Err(failure);
                }
            }
            Err(failure) => return Err(failure),
        }
        tokio::time::sleep(CONTROLLER_RETRY_INTERVAL).await;
    }
}

async fn show_receipt(
    context: &Context,
    client: &Client,
    order: &OrderAccepted,
    summary: &RolloutSummary,
) -> Result<Option<Receipt>, Failure> {
    if !summary.ran() {
        return Ok(None);
    }
    let path = format!("/v1/services/{}/rollouts/{}/receipt", order.service, order.rollout);
    let paid: Receipt = client.get(&path).await?;
    match context.json {
        true => print_json(&paid)?,
        false => print_text(&format!("\n{}", receipt::text(&paid, Style::of_stdout())))?,
    }
    Ok(Some(paid))
}

/// The exit code of an order that was waited for: how its rollout ended, and whether it is known what it cost.
fn exit_of_order(summary: &RolloutSummary, receipt: Option<&Receipt>, wanted: Wanted) -> Exit {
    let exit = exit_of(summary, wanted);
    if exit == Exit::Done && receipt.is_some_and(|receipt| !receipt.complete) {
        say(format_args!("rollout {} is done; what it cost is not known whole: its receipt says why", summary.rollout));
        return Exit::CostUnknown;
    }
    exit
}

/// The exit code for how a rollout ended.
#[must_use]
pub fn exit_of(summary: &RolloutSummary, wanted: Wanted) -> Exit {
    let lost = summary.failed_by_us.is_some_and(|lost| lost > 0);
    match (summary.state, wanted) {
        (RolloutState::Done, _) | (RolloutState::RolledBack, Wanted::Back) if lost => Exit::FailedByUs,
        (RolloutState::Done, _) | (RolloutState::RolledBack, Wanted::Back) => Exit::Done,
        (RolloutState::Queued | RolloutState::Running | RolloutState::Other, _) => Exit::Done,
        (RolloutState::RolledBack, Wanted::Forward) if !summary.began => Exit::Refused,
        (RolloutState::RolledBack, Wanted::Forward) => Exit::RolledBack,
        (RolloutState::NeedsOperator, _) => Exit::NeedsOperator,
        (RolloutState::Superseded, _) => Exit::Superseded,
    }
}

/// Where actions are shown: lines on stdout, and a bar on stderr where a person watches.
struct Screen {
    /// What stood in brackets and is long: it is shown once.
    told: BTreeSet<String>,
    json: bool,
    style: Style,
    bar: ProgressBar,
}

impl Screen {
    fn new(context: &Context, order: &OrderAccepted) -> Screen {
        let person = !context.json && std::io::stderr().is_terminal();
        let bar = if person { ProgressBar::new(1_000) } else { ProgressBar::hidden() };
        if let Ok(style) = ProgressStyle::with_template("{elapsed:>8}  [{bar:40}] {percent}%  {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(format!("{} to {}", order.service, order.label.as_deref().unwrap_or("the release before")));
        bar.enable_steady_tick(Duration::from_millis(500));
        Screen { told: BTreeSet::new(), json: context.json, style: Style::of_stdout(), bar }
    }

    fn show(&mut self, shown: &Event) {
        let line = if self.json { serde_json::to_string(shown).unwrap_or_default() } else { self.line(shown) };
        self.bar.suspend(|| {
            let mut out = std::io::stdout().lock();
            // A reader that went away (`| head`) does not end the waiting: the exit code still counts.
            let _ = writeln!(out, "{line}").and_then(|()| out.flush());
        });
        self.bar.set_position(u64::from(shown.progress_milli));
        if shown.ended.is_some() {
            self.bar.finish_and_clear();
        }
    }

    /// An action in a line. A long text in brackets, such as the value of a variable, is not told again.
    fn line(&mut self, shown: &Event) -> String {
        let text = event::fold(&shown.text, &mut self.told);
        event::line(&Event { text, ..shown.clone() }, self.style)
    }

    fn say(&self, words: &str) {
        self.bar.suspend(|| say(words));
    }
}

/// Prints a value as one line of JSON on stdout.
///
/// # Errors
/// When stdout cannot be written.
pub fn print_json(value: &impl serde::Serialize) -> Result<(), Failure> {
    let line = serde_json::to_string(value).map_err(|error| Failure::new("cannot write JSON").because(&error))?;
    print_text(&format!("{line}\n"))
}

/// Prints text on stdout; a reader that went away is no failure.
///
/// # Errors
/// When stdout cannot be written for another reason.
pub fn print_text(text: &str) -> Result<(), Failure> {
    print_to_reader(text).map(drop)
}

/// Whether anybody still reads stdout.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reader {
    /// As far as is known.
    There,
    /// What is printed goes nowhere: whoever only prints is done.
    Gone,
}

/// Prints text on stdout, and tells whether anybody reads it.
///
/// # Errors
/// When stdout cannot be written for another reason than that nobody reads it.
pub fn print_to_reader(text: &str) -> Result<Reader, Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(Reader::There),
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(Reader::Gone),
        Err(error) => Err(Failure::new("cannot write to stdout").because(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(state: RolloutState, began: bool, failed_by_us: u64) -> RolloutSummary {
        RolloutSummary {
            rollout: 4,
            from: Some("1.0".to_owned()),
            to: "1.1".to_owned(),
            strategy: "rolling".to_owned(),
            state,
            cause: None,
            by: String::new(),
            reason: String::new(),
            ordered_at: String::new(),
            took_ms: 0,
            failed_by_us: Some(failed_by_us),
            began,
        }
    }

    #[test]
    fn a_queued_order_that_had_become_impossible_is_refused_and_not_rolled_back() {
        assert_eq!(exit_of(&ended(RolloutState::RolledBack, false, 0), Wanted::Forward).code(), 5);
        assert_eq!(exit_of(&ended(RolloutState::RolledBack, true, 0), Wanted::Forward).code(), 3);
    }

    #[test]
    fn a_cost_that_is_not_known_is_told_where_nothing_worse_is() {
        let exit = |state, lost, complete| {
            let summary = ended(state, true, lost);
            let service = gapless_model::ServiceName::new("shop").unwrap();
            let receipt = Receipt { complete, ..Receipt::of_nothing(summary.clone(), &service) };
            exit_of_order(&summary, Some(&receipt), Wanted::Forward)
        };
        assert_eq!(exit(RolloutState::Done, 0, true), Exit::Done);
        assert_eq!(exit(RolloutState::Done, 0, false), Exit::CostUnknown);
        assert_eq!(exit(RolloutState::Done, 1, false), Exit::FailedByUs);
        assert_eq!(exit(RolloutState::RolledBack, 0, false), Exit::RolledBack);
    }
}
