//! What a service waits for, since when, and what happens next: the machine's own report.

use std::fmt::Write as _;

use gapless_wire::api::{ServiceStatus, Situation};

use super::receipt::last_words;
use super::style::{Paint, Style};
use super::{going_back, length};

/// The report in lines.
#[must_use]
pub fn text(service: &ServiceStatus, style: Style) -> String {
    let mut text = format!("{}: {}\n", style.paint(Paint::Strong, &service.service), situation(&service.situation));
    if let Situation::Rollout { by, reason, phase, phase_age_ms, batch, age_ms, turned_back, progress_milli, .. } =
        &service.situation
    {
        if !by.is_empty() {
            let why = if reason.is_empty() { String::new() } else { format!(" ({reason})") };
            line(&mut text, "ordered", &format!("by {by}{why}"));
        }
        let batch = if batch.of > 1 { format!(" {}/{}", batch.number, batch.of) } else { String::new() };
        let phase =
            format!("{phase}{batch}, for {}; {}% in {}", length(*phase_age_ms), progress_milli / 10, length(*age_ms));
        line(&mut text, "phase", &phase);
        if let Some(cause) = turned_back {
            line(&mut text, "turned back", &style.paint(Paint::Bad, cause));
        }
    }
    if service.waits.is_empty() {
        line(&mut text, "waits for", "nothing");
    }
    for (nth, wait) in service.waits.iter().enumerate() {
        let name = if nth == 0 { "waits for" } else { "" };
        line(&mut text, name, &format!("{}, for {}", wait.text, length(wait.age_ms)));
    }
    for remark in &service.remarks {
        line(&mut text, "remark", &style.paint(Paint::Busy, remark));
    }
    if let Some(next) = &service.next {
        line(&mut text, "next", &format!("in {}: {}", length(next.in_ms), next.then));
    }
    if let Some(queued) = service.queued {
        let behind = match &service.situation {
            Situation::Rollout { rollout, .. } => format!(" waits for rollout {rollout}"),
            _ => String::new(),
        };
        line(&mut text, "queued", &format!("rollout {queued}{behind}"));
    }
    if let Some(preview) = &service.preview {
        line(&mut text, "preview", &format!("X-Gapless-Preview: {preview}"));
    }
    line(&mut text, "going back", &going_back(service.rollback));
    if let Some(last) =
        service.last_rollout.as_ref().filter(|_| !matches!(service.situation, Situation::Rollout { .. }))
    {
        let cause = last.cause.as_ref().map(|cause| format!(": {cause}")).unwrap_or_default();
        let state = style.paint(super::paint_of(last.state), last.state_text());
        line(&mut text, "last rollout", &format!("{} to {} {state}{cause}", last.rollout, last.to));
    }
    if let Some(remark) = service.losses.remark(&service.service) {
        line(&mut text, "losses", &style.paint(Paint::Bad, &remark));
    }
    for words in &service.last_words {
        last_words(&mut text, &service.service, words);
    }
    text
}

fn line(text: &mut String, name: &str, value: &str) {
    let _ = writeln!(text, "  {name:<12}  {value}");
}

/// What a service is doing, in a clause.
pub(super) fn situation(situation: &Situation) -> String {
    match situation {
        Situation::Empty => "nothing is deployed".to_owned(),
        Situation::Settled { current, stopped: true } => format!("{current} is stopped: requests are refused"),
        Situation::Settled { current, stopped: false } => format!("{current} serves"),
        Situation::Rollout { rollout, from: Some(from), to, strategy, .. } => {
            format!("rollout {rollout}, {strategy} from {from} to {to}")
        }
        Situation::Rollout { rollout, from: None, to, strategy, .. } => {
            format!("rollout {rollout}, {strategy} of {to}")
        }
        Situation::NeedsOperator { rollout, reason, age_ms } => {
            format!("rollout {rollout} needs an operator, for {}: {reason}", length(*age_ms))
        }
    }
}
