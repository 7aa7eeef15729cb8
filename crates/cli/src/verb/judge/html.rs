//! A replay as one page that needs nothing else: styles and charts are in it.

use gapless_judge::latency::CdfPoint;
use gapless_judge::replay::{CoursePoint, Replayed};
use std::fmt::Write as _;

const WIDTH: f64 = 820.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const BOTTOM: f64 = 28.0;
const TOP: f64 = 10.0;

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:860px;margin:2em auto;padding:0 1em;color:#1b1f24;background:#fff}\
 table{border-collapse:collapse;width:100%;font-size:14px}td,th{text-align:left;padding:.25em .6em;border-bottom:1px solid #ddd}\
 svg{width:100%;height:auto}.c{stroke:#c2410c;fill:none;stroke-width:2}.b{stroke:#1d4ed8;fill:none;stroke-width:2}\
 .band{fill:#c2410c;opacity:.18}.grid{stroke:#ddd}.limit{stroke:#b91c1c;stroke-dasharray:4 3}text{font:12px system-ui,sans-serif;fill:#555}\
 .n{text-align:right}code{font-size:13px;overflow-wrap:anywhere}\
 @media (prefers-color-scheme:dark){body{background:#14171a;color:#e6e6e6}td,th{border-color:#333}.grid{stroke:#333}text{fill:#aaa}}";

/// The page.
pub fn page(replayed: &Replayed) -> String {
    let evidence = &replayed.evidence;
    let mut page = format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{}</title><style>{STYLE}</style>\n<h1>{}</h1>\n<p>{}</p>\n<pre>{}</pre>\n",
        escape(&title(replayed)),
        escape(&evidence.verdict.to_string()),
        escape(&about(replayed)),
        escape(&evidence.to_string())
    );
    for doubt in &replayed.doubts {
        let _ = writeln!(page, "<p><strong>{}</strong></p>", escape(&doubt.to_string()));
    }
    odds(&mut page, replayed);
    strength(&mut page, replayed);
    latency(&mut page, replayed);
    metrics(&mut page, replayed);
    logs(&mut page, replayed);
    page.push_str("</html>\n");
    page
}

/// What a tab or a bookmark of the page is called.
fn title(replayed: &Replayed) -> String {
    match &replayed.candidate {
        Some(candidate) => format!("{candidate}: {}", replayed.evidence.verdict.word()),
        None => format!("Verdict: {}", replayed.evidence.verdict.word()),
    }
}

/// Who was compared, and when: the releases' names, and the time of the verdict since the start.
fn about(replayed: &Replayed) -> String {
    let name = |label: &Option<String>, otherwise: &str| label.clone().unwrap_or_else(|| otherwise.to_owned());
    let (candidate, current) =
        (name(&replayed.candidate, "the candidate"), name(&replayed.current, "the current release"));
    let start = (replayed.evidence.at_ms / 1_000).saturating_sub(replayed.second);
    format!("{candidate} against {current}, {} s after the rollout's start at {}", replayed.second, date(start))
}

/// A second of the stream as a date, where it is one since 1970, and as it stands otherwise.
fn date(second: u64) -> String {
    if second < 946_684_800 {
        return format!("second {second} of the recording");
    }
    // Days to a civil date (Hinnant 2013, `civil_from_days`).
    let (days, of_day) = (second / 86_400 + 719_468, second % 86_400);
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year + era * 400) } else { (month - 9, year + era * 400 + 1) };
    format!("{year}-{month:02}-{day:02} {:02}:{:02}:{:02} UTC", of_day / 3_600, of_day / 60 % 60, of_day % 60)
}

/// The odds of an error over time, on a logarithmic scale from 0.05 to 230.
fn odds(page: &mut String, replayed: &Replayed) {
    let points: Vec<(&CoursePoint, gapless_judge::engine::Interval)> =
        replayed.course.iter().filter_map(|point| point.errors.map(|interval| (point, interval))).collect();
    if points.is_empty() {
        return;
    }
    let end = points.last().map_or(1, |(point, _)| point.second).max(1) as f64;
    let x = |second: u64| LEFT + (WIDTH - LEFT) * second as f64 / end;
    let y = |psi: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - (psi.clamp(0.05, 230.0) / 0.05).ln() / 4_600_f64.ln());
    let mut band = String::new();
    points.iter().for_each(|(p, i)| write_point(&mut band, x(p.second), y(i.upper.unwrap_or(230.0))));
    points.iter().rev().for_each(|(p, i)| write_point(&mut band, x(p.second), y(i.lower)));
    let mut line = String::new();
    points.iter().for_each(|(p, i)| write_point(&mut line, x(p.second), y(i.estimate)));
    let _ = write!(
        page,
        "<h2>Odds of an error, candidate over current release</h2>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\">"
    );
    for (psi, label) in [(0.1, "×0.1"), (1.0, "×1"), (10.0, "×10"), (100.0, "×100")] {
        grid_line(page, y(psi), label);
    }
    let _ = write!(page, "<polygon class=\"band\" points=\"{band}\"/><polyline class=\"c\" points=\"{line}\"/>");
    time_axis(page, end);
    page.push_str("</svg><p>Line: estimate. Band: what is not excluded at any time with 99 % confidence.</p>\n");
}

/// ln Ē over time against the threshold.
fn strength(page: &mut String, replayed: &Replayed) {
    let (Some(last), threshold) = (replayed.course.last(), (1.0 / replayed.evidence.alpha).ln()) else { return };
    let end = last.second.max(1) as f64;
    let (low, high) = (-6.0, 12.0);
    let y = |log: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - (log.clamp(low, high) - low) / (high - low));
    let mut line = String::new();
    for point in &replayed.course {
        write_point(&mut line, LEFT + (WIDTH - LEFT) * point.second as f64 / end, y(point.log_evidence));
    }
    let _ = write!(page, "<h2>Evidence against the candidate</h2>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\">");
    for (log, label) in [(0.0, "none"), (threshold / 2.0, "suspect"), (threshold, "fail")] {
        grid_line(page, y(log), label);
    }
    let at = y(threshold);
    let _ = write!(page, "<line class=\"limit\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>");
    let _ = write!(page, "<polyline class=\"c\" points=\"{line}\"/>");
    time_axis(page, end);
    page.push_str("</svg>\n");
}

fn latency(page: &mut String, replayed: &Replayed) {
    let curves = [("c", &replayed.latency.candidate), ("b", &replayed.latency.current)];
    let all = || curves.iter().flat_map(|(_, curve)| curve.iter());
    let (Some(low), Some(high)) = (all().map(|p| p.us).min(), all().map(|p| p.us.min(u64::MAX / 2)).max()) else {
        return;
    };
    let (low, high) = ((low.max(1)) as f64, (high.max(2)) as f64 * 1.05);
    let x = |us: u64| LEFT + (WIDTH - LEFT) * ((us.max(1) as f64 / low).ln() / (high / low).ln()).clamp(0.0, 1.0);
    let y = |share: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - share);
    let _ = write!(page, "<h2>Latency, share of requests at most so slow</h2>\n<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\">");
    for (share, label) in [(0.0, "0 %"), (0.5, "50 %"), (0.9, "90 %"), (1.0, "100 %")] {
        grid_line(page, y(share), label);
    }
    for (class, curve) in curves {
        let mut line = String::new();
        curve.iter().for_each(|CdfPoint { us, share }| write_point(&mut line, x(*us), y(*share)));
        let _ = write!(page, "<polyline class=\"{class}\" points=\"{line}\"/>");
    }
    for us in [100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000]
        .into_iter()
        .filter(|us| (low..high).contains(&(*us as f64)))
    {
        let (at, label) = (x(us), gapless_judge::evidence::micros(us));
        let _ = write!(page, "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{label}</text>", HEIGHT - 8.0);
    }
    page.push_str("</svg><p>Orange: candidate. Blue: current release.</p>\n");
}

fn metrics(page: &mut String, replayed: &Replayed) {
    page.push_str("<h2>Metrics</h2>\n<table><tr><th>metric<th>candidate<th>current<th>odds<th>interval<th>evidence<th>could show</tr>\n");
    for metric in &replayed.evidence.metrics {
        let interval = match metric.interval.upper {
            Some(upper) => format!("{:.2}–{upper:.2}", metric.interval.lower),
            None => format!("from {:.2}", metric.interval.lower),
        };
        let visible = metric.visible.ratio.map_or("nothing".to_owned(), |ratio| format!("≥ {ratio:.1}×"));
        let _ = writeln!(
            page,
            "<tr><td>{}<td class=n>{} / {}<td class=n>{} / {}<td class=n>×{:.2}<td class=n>{interval}<td class=n>{}<td class=n>{visible}</tr>",
            escape(&metric.name),
            metric.counts.candidate.events,
            metric.counts.candidate.exposure,
            metric.counts.current.events,
            metric.counts.current.exposure,
            metric.interval.estimate,
            odds_against_chance(metric.log_evidence),
        );
    }
    page.push_str("</table>\n");
}

/// How much likelier what was counted is where the candidate is worse than where it is not, as odds.
fn odds_against_chance(log_evidence: f64) -> String {
    let odds = log_evidence.exp();
    match odds {
        odds if odds >= 1e6 => "over a million : 1".to_owned(),
        odds if odds >= 10.0 => format!("{odds:.0} : 1"),
        odds if odds >= 1.0 => format!("{odds:.1} : 1"),
        _ => "none".to_owned(),
    }
}

fn logs(page: &mut String, replayed: &Replayed) {
    if replayed.evidence.logs.is_empty() {
        return;
    }
    page.push_str(
        "<h2>Log lines that differ</h2>\n<table><tr><th>severity<th>class<th>candidate<th>current<th>line<th>proof</tr>\n",
    );
    for log in &replayed.evidence.logs {
        let template =
            replayed.log_names.0.get(&log.signature).map_or("", |counted| counted.signature.template.as_str());
        let severity = log.severity.map_or("", |severity| severity.as_str());
        let reason = replayed.declared_reason(log.signature);
        let reason = reason.map(|reason| format!("<br>known: {}", escape(reason))).unwrap_or_default();
        let _ = writeln!(
            page,
            "<tr><td>{severity}<td>{:?}<td class=n>{}<td class=n>{}<td><code>{}</code>{reason}<td>{}</tr>",
            log.class,
            log.candidate,
            log.current,
            escape(template),
            log.proof().unwrap_or_default()
        );
    }
    page.push_str("</table>\n");
}

fn write_point(line: &mut String, x: f64, y: f64) {
    let _ = write!(line, "{x:.1},{y:.1} ");
}

fn grid_line(page: &mut String, y: f64, label: &str) {
    let _ = write!(
        page,
        "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>",
        LEFT - 6.0,
        y + 4.0
    );
}

fn time_axis(page: &mut String, end: f64) {
    for part in 0..=4 {
        let (share, y) = (f64::from(part) / 4.0, HEIGHT - 8.0);
        let x = LEFT + (WIDTH - LEFT) * share;
        let anchor = if part == 4 { "end" } else { "middle" };
        let _ = write!(page, "<text x=\"{x:.0}\" y=\"{y}\" text-anchor=\"{anchor}\">{:.0} s</text>", end * share);
    }
}

/// Text that may stand in HTML. What was recorded is never trusted to be harmless.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_is_told_as_odds_and_not_as_a_logarithm() {
        let told = [-2.0, 0.5, 4.6, 9.0, 30.0].map(odds_against_chance);
        assert_eq!(told, ["none", "1.6 : 1", "99 : 1", "8103 : 1", "over a million : 1"]);
    }

    #[test]
    fn seconds_since_1970_are_told_as_dates() {
        assert_eq!(date(1_709_209_845), "2024-02-29 12:30:45 UTC");
        assert_eq!(date(600), "second 600 of the recording");
    }
}
