//! Commands that run once: started as instances are, under keepers of their own, so that they and their outcomes outlive the controller.

use std::sync::Arc;

use gapless_drivers::driver::{Exit, ExitCause, Fence, StartOrder};
use gapless_drivers::logs::{LogSelector, LogStream};
use gapless_model::{EffectNumber, InstanceId, RolloutId, RunSpec};
use gapless_rollout::{Input, OneOff, OneOffEnd};
use gapless_wire::api::in_one_line;

use crate::performer;
use crate::shared::Shared;
use crate::start_order::{release, start_order};

/// How many of the last lines of a command that failed stand in the reason.
const LAST_LINES: usize = 3;
/// The longest of them, in characters.
const LINE_CHARS_MAX: usize = 200;

/// Starts a one-off, or finds it started. How it ends is an event of the driver; that it cannot be started is told here.
pub async fn run(shared: Arc<Shared>, rollout: Option<RolloutId>, one_off: OneOff, number: EffectNumber) {
    let failed = |reason: String| OneOffEnd::Failed { reason };
    let Some(release) = release(&shared, &one_off.id.service, one_off.id.release) else {
        return tell(&shared, &one_off.id, failed("its release is not kept".to_owned())).await;
    };
    let order = StartOrder {
        instance: one_off.id.clone(),
        label: release.label.clone(),
        artefact: release.digest,
        run: run_spec(&release.spec.run, rollout, &one_off),
        port: StartOrder::NO_PORT,
        fence: Fence { epoch: shared.core().epoch(), effect: number },
    };
    if let Err(error) = shared.driver.start(order).await {
        tell(&shared, &one_off.id, failed(in_one_line(&error))).await;
    }
}

/// As the release's instances run, but for the command, and for what it is told.
fn run_spec(of_release: &RunSpec, rollout: Option<RolloutId>, one_off: &OneOff) -> RunSpec {
    let mut run = RunSpec { command: one_off.command.clone(), ..of_release.clone() };
    // A name may hold what stands for a value elsewhere.
    run.environment.insert("GAPLESS_HOOK".to_owned(), one_off.name.replace("${", "$${"));
    if let Some(rollout) = rollout {
        run.environment.insert("GAPLESS_ROLLOUT".to_owned(), rollout.0.to_string());
    }
    run
}

/// Whether the service waits for the end of a one-off of this id.
pub fn is_one_off(shared: &Shared, id: &InstanceId) -> bool {
    let core = shared.core();
    core.service(&id.service).is_some_and(|tended| tended.state.one_offs().any(|known| known.id == *id))
}

/// A one-off ended by itself.
pub async fn ended(shared: &Shared, id: &InstanceId, exit: &Exit) {
    let end = match exit.cause {
        ExitCause::Code(0) => OneOffEnd::Passed,
        _ => OneOffEnd::Failed { reason: format!("{exit}{}", last_words(shared, id).await) },
    };
    tell(shared, id, end).await;
}

/// What is left of it goes only once its end is on record: until then a later controller has to find it, or would run it again.
async fn tell(shared: &Shared, id: &InstanceId, end: OneOffEnd) {
    shared.fact(&id.service, Input::OneOffEnded { one_off: id.clone(), end });
    if !is_one_off(shared, id) {
        performer::forget(shared, id).await;
    }
}

/// What it wrote last, without the secrets of its release: the reason goes into the journal.
async fn last_words(shared: &Shared, id: &InstanceId) -> String {
    let Some(release) = release(shared, &id.service, id.release) else { return String::new() };
    let order = start_order(shared, id, &release, StartOrder::NO_PORT, EffectNumber(0));
    let folder = shared.artefacts.folder(&id.service, &release.digest);
    // Where the secrets cannot be read they cannot be told from other words.
    let Ok(environment) = order.environment(&folder).await else { return String::new() };
    let selector = LogSelector {
        service: id.service.clone(),
        release: None,
        instance: Some(id.clone()),
        since: None,
        tail: LAST_LINES + 2,
    };
    let lines = shared.driver.logs(selector).await.unwrap_or_default();
    let own = lines.iter().filter(|line| line.line.stream != LogStream::System && !line.line.text.trim().is_empty());
    let plain = own.map(|line| order.masked(line.line.text.trim(), &environment));
    let texts: Vec<String> = plain.map(|text| text.chars().take(LINE_CHARS_MAX).collect()).collect();
    let last = &texts[texts.len().saturating_sub(LAST_LINES)..];
    if last.is_empty() { String::new() } else { format!(": {}", last.join(" / ")) }
}
