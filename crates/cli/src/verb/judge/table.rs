//! A replay as text for the terminal.

use gapless_judge::replay::Replayed;
use std::fmt::Write as _;

/// The summary, then how the verdict came about.
pub fn text(replayed: &Replayed) -> String {
    let mut text = String::new();
    let label = |label: &Option<String>, otherwise: &str| label.clone().unwrap_or_else(|| otherwise.to_owned());
    let (candidate, current) = (label(&replayed.candidate, "candidate"), label(&replayed.current, "current release"));
    let _ =
        writeln!(text, "{candidate} against {current}, {} s after the start: {}", replayed.second, replayed.evidence);
    for log in replayed.evidence.logs.iter().take(10) {
        if let Some(counted) = replayed.log_names.0.get(&log.signature) {
            let reason = replayed.declared_reason(log.signature);
            let reason = reason.map(|reason| format!("  (known: {reason})")).unwrap_or_default();
            let proof = log.proof().map(|proof| format!("  ({proof})")).unwrap_or_default();
            let _ = writeln!(
                text,
                "  {:5} candidate {:5} current  {}{proof}{reason}",
                log.candidate, log.current, counted.signature.template
            );
        }
    }
    if replayed.verdicts.len() > 1 {
        let _ = writeln!(text, "verdict over time:");
        for (second, verdict) in &replayed.verdicts {
            let _ = writeln!(text, "  {second:6} s  {verdict}");
        }
    }
    if replayed.seconds_before == 0 {
        let _ = writeln!(
            text,
            "note: nothing was recorded before the start, so bursts are assumed and latency is not judged"
        );
    }
    for doubt in &replayed.doubts {
        let _ = writeln!(text, "note: {doubt}");
    }
    for (metric, worst) in replayed.evidence.metrics.iter().filter_map(|m| Some((m, m.worst_route.as_ref()?))) {
        if let Some(route) = replayed.routes.get(usize::from(worst.route)).filter(|route| !route.is_empty()) {
            let _ = writeln!(text, "note: {}: route {} is {route}", metric.name, worst.route);
        }
    }
    let refused = &replayed.refused;
    if refused.lines + refused.beyond_bounds > 0 {
        let why = refused.first.as_ref().map(|(line, why)| format!("; line {line}: {why}")).unwrap_or_default();
        let _ = writeln!(text, "note: {} lines refused, {} beyond a bound{why}", refused.lines, refused.beyond_bounds);
    }
    text
}
