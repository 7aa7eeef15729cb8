//! What a rollout cost its clients, counted.

use std::fmt::Write as _;

use gapless_wire::api::{LastWords, Receipt};

use super::length;
use super::paint_of;
use super::style::{Paint, Style};
use super::table::{Cell, Table};

/// The receipt: one line about the rollout, then the counts.
#[must_use]
pub fn text(receipt: &Receipt, style: Style) -> String {
    let rollout = &receipt.rollout;
    if !rollout.ran() {
        return never_ran(receipt, style);
    }
    let way = match &rollout.from {
        Some(from) => format!("{from} to {}", rollout.to),
        None => rollout.to.clone(),
    };
    let mut text = format!(
        "receipt of rollout {} of {}: {way} by {}, {} after {}\n",
        rollout.rollout,
        style.paint(Paint::Strong, &receipt.service),
        rollout.strategy,
        style.paint(paint_of(rollout.state), rollout.state.as_str()),
        length(rollout.took_ms),
    );
    if let Some(cause) = &rollout.cause {
        let _ = writeln!(text, "  because: {cause}");
    }
    let mut table = Table::new(&["", "REQUESTS", ""]);
    for release in &receipt.releases {
        let classes: Vec<String> = release.by_class.iter().map(|(class, count)| format!("{class} {count}")).collect();
        let mut note = classes.join(", ");
        if release.failed > 0 && release.failed > release.by_class.get("5xx").copied().unwrap_or(0) {
            let _ = write!(note, "; {} failed", release.failed);
        }
        if let (Some(p50), Some(p99)) = (release.p50_us, release.p99_us) {
            let _ = write!(note, "; half within {}, 99% within {}", microseconds(p50), microseconds(p99));
        }
        let label = format!("answered by {}", release.label);
        table.row(vec![label.into(), release.answered.to_string().into(), note.into()]);
    }
    let mut row = |name: &str, count: u64, note: String, paint: Paint| {
        table.row(vec![name.into(), Cell::painted(count.to_string(), paint), note.into()]);
    };
    row("answered by Gapless", receipt.answered_by_us, String::new(), Paint::None);
    row("client left", receipt.client_left, String::new(), Paint::None);
    row("cut", receipt.cut, String::new(), if receipt.cut > 0 { Paint::Busy } else { Paint::None });
    row("retried", receipt.retried, String::new(), Paint::None);
    row("replayed", receipt.replayed, String::new(), Paint::None);
    let wait =
        if receipt.held > 0 { format!("longest wait {}", length(receipt.longest_wait_ms)) } else { String::new() };
    row("held", receipt.held, wait, Paint::None);
    row(
        "failed by the service",
        receipt.failed_by_service + receipt.server_errors,
        if receipt.server_errors > 0 {
            format!("{} of them answered 5xx", receipt.server_errors)
        } else {
            String::new()
        },
        if receipt.failed_by_service + receipt.server_errors > 0 { Paint::Busy } else { Paint::None },
    );
    row(
        "failed by us",
        receipt.failed_by_us,
        if receipt.unknown.is_empty() { String::new() } else { "at least".to_owned() },
        match (receipt.failed_by_us, receipt.unknown.is_empty()) {
            (0, true) => Paint::Good,
            (0, false) => Paint::Busy,
            _ => Paint::Bad,
        },
    );
    text.push_str(&table.text("  ", style));
    if !receipt.reasons.is_empty() {
        let reasons: Vec<String> = receipt.reasons.iter().map(|(reason, count)| format!("{reason} {count}")).collect();
        let _ = writeln!(text, "  ends without a release's answer: {}", reasons.join(", "));
    }
    if receipt.tunnels_draining > 0 {
        let _ = writeln!(
            text,
            "  {} tunnels of instances out of load were still open: they drain on, and are on no receipt",
            receipt.tunnels_draining
        );
    }
    if let Some(words) = &receipt.last_words {
        last_words(&mut text, &receipt.service, words);
    }
    for early in &receipt.counted_before {
        let _ = writeln!(text, "  counted from a little before: {early}");
    }
    for unknown in &receipt.unknown {
        let _ = writeln!(text, "  not counted: {unknown}");
    }
    if !receipt.complete && receipt.unknown.is_empty() {
        text.push_str("  a proxy ended meanwhile: the counts of its last second are not known\n");
    }
    text
}

/// The last lines of an instance, and the command for more.
pub fn last_words(text: &mut String, service: &str, words: &LastWords) {
    let (instance, release) = (&words.instance, &words.release);
    if words.lines.is_empty() {
        let _ = writeln!(text, "  {instance} wrote nothing");
        return;
    }
    let _ = writeln!(text, "  the last lines of {instance}:");
    for line in &words.lines {
        let _ = writeln!(text, "    {line}");
    }
    let of_release = if release.is_empty() { String::new() } else { format!(" --release {release}") };
    let _ = writeln!(text, "  more: gapless logs {service}{of_release}");
}

/// There is nothing to count to an order that did nothing.
fn never_ran(receipt: &Receipt, style: Style) -> String {
    let rollout = &receipt.rollout;
    let why = rollout.cause.as_deref().unwrap_or_default();
    let (service, state) = (style.paint(Paint::Strong, &receipt.service), rollout.state_text());
    format!("rollout {} of {service} to {} never ran: {state}\n  because: {why}\n", rollout.rollout, rollout.to)
}

fn microseconds(us: u64) -> String {
    if us < 1_000 {
        format!("{us}µs")
    } else if us < 10_000 {
        format!("{:.1}ms", us as f64 / 1_000.0)
    } else {
        length(us / 1_000)
    }
}
