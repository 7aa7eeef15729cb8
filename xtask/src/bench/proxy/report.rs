//! The rounds summed up: medians, ratios, a table, a chart, an object.
//!
//! A ratio to the floor is taken within each round, between two measurements a few seconds apart, and its median over the rounds is told: a
//! machine that gets slower from round to round then slows both sides of each ratio.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use serde_json::{Value, json};

use super::round::Measured;
use crate::bench::median;

/// Rounds by case, then by proxy in the order of entering.
#[derive(Default)]
pub struct Report {
    cases: BTreeMap<usize, Vec<(&'static str, Vec<Measured>)>>,
}

/// One proxy's medians in one case.
struct Row {
    name: &'static str,
    cpu_us: f64,
    cpu_us_least: f64,
    cpu_us_most: f64,
    ratio: f64,
    rps: f64,
    p50_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    rss_kib: u64,
}

impl Report {
    pub fn enter(&mut self, connections: usize, name: &'static str, measured: Measured) {
        let case = self.cases.entry(connections).or_default();
        match case.iter_mut().find(|(known, _)| *known == name) {
            Some((_, rounds)) => rounds.push(measured),
            None => case.push((name, vec![measured])),
        }
    }

    /// A Markdown table, as it goes into the docs.
    pub fn table(&self) -> String {
        let mut text = String::new();
        for (connections, rows) in self.rows() {
            text.push_str(&format!(
                "{connections} keep-alive connections\n\n\
                 | proxy | CPU µs/request (least–most) | × floor | requests/s | p50 ms | p99 ms | p99.9 ms | RSS MiB |\n\
                 |---|---|---|---|---|---|---|---|\n"
            ));
            for row in rows {
                text.push_str(&format!(
                    "| {} | {:.2} ({:.2}–{:.2}) | {:.2} | {:.0} | {:.2} | {:.2} | {:.2} | {:.1} |\n",
                    row.name,
                    row.cpu_us,
                    row.cpu_us_least,
                    row.cpu_us_most,
                    row.ratio,
                    row.rps,
                    row.p50_ms,
                    row.p99_ms,
                    row.p999_ms,
                    row.rss_kib as f64 / 1024.0
                ));
            }
            text.push('\n');
        }
        text
    }

    /// `{ "cases": { "h1-64": { "gapless": { … } } } }`
    pub fn json(&self) -> Value {
        let mut cases = serde_json::Map::new();
        for (connections, rows) in self.rows() {
            let proxies: serde_json::Map<String, Value> =
                rows.iter().map(|row| (row.name.to_owned(), object(row))).collect();
            cases.insert(format!("h1-{connections}"), Value::Object(proxies));
        }
        json!({ "cases": cases })
    }

    /// CPU time per request as bars, one group for each case.
    pub fn write_chart(&self, path: &Path) -> anyhow::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        }
        std::fs::write(path, self.chart()).with_context(|| format!("cannot write {}", path.display()))
    }

    fn chart(&self) -> String {
        const BAR: usize = 22;
        const LEFT: usize = 90;
        const WIDTH: f64 = 480.0;
        let (mut body, mut y) = (String::new(), 20);
        for (connections, rows) in self.rows() {
            let most = rows.iter().map(|row| row.ratio).fold(1.0, f64::max);
            body.push_str(&format!(
                "<text x=\"10\" y=\"{}\" font-weight=\"bold\">{connections} connections: CPU time per request, byte forwarder = 1</text>\n",
                y + 4
            ));
            y += 16;
            for row in rows {
                let width = WIDTH * row.ratio / most;
                let colour = if row.name == "gapless" { "#2a7f62" } else { "#9aa5b1" };
                body.push_str(&format!(
                    "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
                     <rect x=\"{LEFT}\" y=\"{y}\" width=\"{width:.1}\" height=\"{}\" fill=\"{colour}\"/>\
                     <text x=\"{:.1}\" y=\"{}\">{:.2}</text>\n",
                    LEFT - 8,
                    y + 14,
                    row.name,
                    BAR - 5,
                    LEFT as f64 + width + 6.0,
                    y + 14,
                    row.ratio
                ));
                y += BAR;
            }
            y += 20;
        }
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"640\" height=\"{y}\" viewBox=\"0 0 640 {y}\" \
             font-family=\"sans-serif\" font-size=\"13\" fill=\"#4a5568\">\n{body}</svg>\n"
        )
    }

    fn rows(&self) -> Vec<(usize, Vec<Row>)> {
        self.cases.iter().map(|(connections, case)| (*connections, rows(case))).collect()
    }
}

fn rows(case: &[(&'static str, Vec<Measured>)]) -> Vec<Row> {
    let cpu = |rounds: &[Measured]| median(rounds.iter().map(|round| round.cpu_us));
    let floor = case.iter().find(|(name, _)| *name == "floor").map_or(&[][..], |(_, rounds)| rounds);
    let row = |(name, rounds): &(&'static str, Vec<Measured>)| Row {
        name,
        cpu_us: cpu(rounds),
        cpu_us_least: rounds.iter().map(|round| round.cpu_us).fold(f64::INFINITY, f64::min),
        cpu_us_most: rounds.iter().map(|round| round.cpu_us).fold(0.0, f64::max),
        ratio: median(rounds.iter().zip(floor).map(|(round, floor)| round.cpu_us / floor.cpu_us)),
        rps: median(rounds.iter().map(|round| round.rps)),
        p50_ms: median(rounds.iter().map(|round| round.p50_ms)),
        p99_ms: median(rounds.iter().map(|round| round.p99_ms)),
        p999_ms: median(rounds.iter().map(|round| round.p999_ms)),
        rss_kib: median(rounds.iter().map(|round| round.rss_kib as f64)) as u64,
    };
    case.iter().map(row).collect()
}

fn object(row: &Row) -> Value {
    let rounded = |value: f64| (value * 1e3).round() / 1e3;
    json!({
        "cpu_us": rounded(row.cpu_us), "cpu_us_least": rounded(row.cpu_us_least), "cpu_us_most": rounded(row.cpu_us_most),
        "ratio_to_floor": rounded(row.ratio), "rps": row.rps.round(), "p50_ms": rounded(row.p50_ms),
        "p99_ms": rounded(row.p99_ms), "p999_ms": rounded(row.p999_ms), "rss_kib": row.rss_kib,
    })
}

/// The median, not a number where there is nothing.
fn median(values: impl Iterator<Item = f64>) -> f64 {
    median::median(&mut values.collect::<Vec<f64>>()).unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(cpu_us: f64) -> Measured {
        Measured { cpu_us, rps: 1e6 / cpu_us, p50_ms: 1.0, p99_ms: 2.0, p999_ms: 3.0, rss_kib: 2048 }
    }

    #[test]
    fn medians_are_told_and_their_ratio_to_the_floor() {
        let mut report = Report::default();
        for (floor, gapless) in [(9.0, 9.9), (10.0, 11.0), (30.0, 60.0)] {
            report.enter(64, "floor", round(floor));
            report.enter(64, "gapless", round(gapless));
        }
        let object = report.json();
        assert_eq!(object["cases"]["h1-64"]["floor"]["ratio_to_floor"], 1.0);
        assert_eq!(object["cases"]["h1-64"]["gapless"]["ratio_to_floor"], 1.1);
        assert_eq!(object["cases"]["h1-64"]["gapless"]["cpu_us"], 11.0);
        assert!(report.table().contains("| gapless | 11.00 (9.90–60.00) | 1.10 |"), "{}", report.table());
        assert!(report.chart().contains(">1.10</text>"));
    }
}
