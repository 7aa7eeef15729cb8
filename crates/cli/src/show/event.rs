//! One line per action of a rollout, with its time.

use std::collections::BTreeSet;

use gapless_wire::api::Event;

use super::style::{Paint, Style};

/// The longest text in brackets that may be told each time it comes.
const BRACKETS_CHARS_MAX: usize = 60;

/// The text with each long part in brackets once: where it was told before it is `(...)`.
#[must_use]
pub fn fold(text: &str, told: &mut BTreeSet<String>) -> String {
    let mut folded = String::new();
    let mut rest = text;
    while let Some((before, from)) = rest.split_once('(') {
        let Some((inner, after)) = from.split_once(')') else { break };
        folded.push_str(before);
        let is_long = inner.chars().count() > BRACKETS_CHARS_MAX;
        let shown = if is_long && !told.insert(inner.to_owned()) { "..." } else { inner };
        folded.extend(["(", shown, ")"]);
        rest = after;
    }
    folded.push_str(rest);
    folded
}

/// `  12.3s  Warmup 2/4  shop.r2.i5 is ready`
#[must_use]
pub fn line(event: &Event, style: Style) -> String {
    let tenths = event.at_ms / 100;
    let time = style.paint(Paint::Faint, &format!("{:>7}s", format!("{}.{}", tenths / 10, tenths % 10)));
    let phase = match (&event.phase, event.batch) {
        (Some(phase), Some(batch)) if batch.of > 1 => format!("{phase} {}/{}", batch.number, batch.of),
        (Some(phase), _) => phase.clone(),
        (None, _) => String::new(),
    };
    if event.action == "entered" {
        return format!("{time}  {}", style.paint(Paint::Strong, &event.text));
    }
    let paint = match event.action.as_str() {
        "lost" | "unhealthy" | "not-ready" | "turned-back" | "drain-cut" => Paint::Bad,
        "ready" | "check-passed" | "applied" => Paint::Good,
        "ended" => event.ended.as_ref().map_or(Paint::None, |summary| super::paint_of(summary.state)),
        _ => Paint::None,
    };
    format!("{time}  {phase:<13}  {}", style.paint(paint, &event.text))
}
