//! `gapless status`: services, releases, instances and proxies, once or as they change.

use std::io::IsTerminal;
use std::time::{Duration, Instant};

use gapless_wire::api::{ServiceStatus, Situation, Status};

use crate::client::{Client, block_on};
use crate::follow::{Reader, Wanted, exit_of, print_json, print_text, print_to_reader};
use crate::show::status::ready_in_load;
use crate::show::style::Style;
use crate::show::{explain, status};
use crate::{Context, Exit, Failure, hint, project};

/// How often the controller is asked while watching.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// What `gapless status` is given.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Only this service
    pub service: Option<String>,
    /// Go on showing it as it changes; ends with the rollouts that run
    #[arg(short, long)]
    pub watch: bool,
    /// With --watch: give up after so many seconds, with exit code 1
    #[arg(long, value_name = "SECONDS", requires = "watch")]
    pub timeout: Option<u64>,
}

/// Runs the verb. The exit code tells whether what serves is well; of rollouts that were watched, how they ended. The worst counts.
///
/// # Errors
/// There is no such service, or the controller does not answer.
pub fn run(args: &Args, context: &Context) -> Result<Exit, Failure> {
    let client = Client::new(context);
    let name = args.service.as_deref().map(|named| project::service(Some(named))).transpose()?;
    let ask = async || {
        let mut status: Status = client.get("/v1/status").await?;
        if let Some(name) = &name {
            status.services.retain(|service| service.service == name.as_str());
            if status.services.is_empty() {
                return Err(Failure::new(format!("there is no service `{name}`")).hint(hint::NAME_SERVICE));
            }
        }
        Ok(status)
    };
    block_on(async {
        if args.watch {
            return tokio::select! {
                ended = watch(context, args.timeout.map(Duration::from_secs), name.is_some(), ask) => ended,
                _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
            };
        }
        let answer = ask().await?;
        if context.json {
            print_json(&answer)?
        } else {
            print_text(&text_of(&answer, name.is_some(), Style::of_stdout()))?
        }
        refuse_standstill(&answer)?;
        Ok(worst(answer.services.iter().map(wellness)))
    })
}

/// A line per service; of one that was named, everything.
fn text_of(status: &Status, named: bool, style: Style) -> String {
    if named { status::text(status, style) } else { status::overview(status, style) }
}

/// What stands there does not change any more: that is an error, whatever the rollouts before it came to.
fn refuse_standstill(status: &Status) -> Result<(), Failure> {
    let Some(reason) = &status.controller.not_deciding else { return Ok(()) };
    let mut failure =
        Failure::new("the controller decides nothing any more, because its journal failed; traffic goes on");
    failure.caused_by.push(reason.clone());
    Err(failure.hint(hint::AWAIT_JOURNAL))
}

async fn watch(
    context: &Context,
    timeout: Option<Duration>,
    named: bool,
    ask: impl AsyncFn() -> Result<Status, Failure>,
) -> Result<Exit, Failure> {
    let began = Instant::now();
    let redraw = !context.json && std::io::stdout().is_terminal();
    let mut shown = String::new();
    let mut was_busy = false;
    loop {
        match ask().await {
            Ok(answer) => {
                let style = Style::of_stdout();
                let text = match (context.json, redraw) {
                    (true, _) => serde_json::to_string(&answer).map(|line| line + "\n").unwrap_or_default(),
                    (false, true) => text_of(&answer, named, style),
                    (false, false) => answer.services.iter().map(|service| line(service) + "\n").collect(),
                };
                // The cursor goes home, each line is cleared to its end, and what is left below is cleared.
                let screen = format!("\x1b[H{}\x1b[J", text.replace('\n', "\x1b[K\n"));
                if text != shown {
                    let first = if shown.is_empty() { "\x1b[2J" } else { "" };
                    let reader = print_to_reader(&if redraw { format!("{first}{screen}") } else { text.clone() })?;
                    if reader == Reader::Gone {
                        return Ok(Exit::Done);
                    }
                    shown = text;
                }
                refuse_standstill(&answer)?;
                let busy = answer.services.iter().any(is_busy);
                if was_busy && !busy {
                    return Ok(worst(answer.services.iter().map(last_end)));
                }
                was_busy |= busy;
            }
            Err(failure) if failure.unreachable && !shown.is_empty() => {}
            Err(failure) => return Err(failure),
        }
        if timeout.is_some_and(|timeout| began.elapsed() >= timeout) {
            return Err(Failure::new("the rollouts did not end in time").hint(hint::WATCH_ROLLOUT));
        }
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

/// A service in a line for a pipe: without ages, so that it changes when something does.
fn line(service: &ServiceStatus) -> String {
    let text = explain::text(service, Style::Plain);
    let head = text.lines().next().unwrap_or_default().to_owned();
    match &service.situation {
        Situation::Rollout { phase, batch, progress_milli, .. } => {
            format!("{head}: {phase} {}/{}, {}%", batch.number, batch.of, progress_milli / 10)
        }
        _ => head,
    }
}

fn is_busy(service: &ServiceStatus) -> bool {
    matches!(service.situation, Situation::Rollout { .. }) || service.queued.is_some()
}

/// Whether what serves is well: enough instances are ready in load. Nothing is asked of a service that is stopped, or that nothing was ever
/// deployed of.
fn wellness(service: &ServiceStatus) -> Exit {
    let serves = match &service.situation {
        Situation::NeedsOperator { .. } => return Exit::NeedsOperator,
        Situation::Settled { stopped, .. } => !stopped,
        Situation::Rollout { from, .. } => from.is_some(),
        Situation::Empty => false,
    };
    let least = service.floor.map_or(1, |floor| usize::from(floor.max(1)));
    if serves && ready_in_load(service) < least { Exit::Unwell } else { Exit::Done }
}

/// How the last rollout of a service ended.
fn last_end(service: &ServiceStatus) -> Exit {
    match (&service.situation, &service.last_rollout) {
        (Situation::NeedsOperator { .. }, _) => Exit::NeedsOperator,
        (Situation::Settled { .. } | Situation::Empty, Some(last)) if last.strategy != "rollback" => {
            exit_of(last, Wanted::Forward)
        }
        _ => Exit::Done,
    }
}

fn worst(exits: impl Iterator<Item = Exit>) -> Exit {
    let rank = |exit: &Exit| match exit {
        Exit::NeedsOperator => 4,
        Exit::Unwell => 3,
        Exit::RolledBack => 2,
        Exit::FailedByUs => 1,
        _ => 0,
    };
    let exit = exits.max_by_key(rank).unwrap_or(Exit::Done);
    if exit == Exit::Refused { Exit::Done } else { exit }
}
