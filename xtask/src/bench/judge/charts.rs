//! The charts of docs/judge.md.

use super::report::Report;
use super::trial::ALPHA;
use anyhow::Context;
use std::fmt::Write as _;
use std::path::Path;

const WIDTH: f64 = 720.0;
const LEFT: f64 = 110.0;

/// Readable on light and dark pages alike.
const STYLE: &str = "<style>text{font:13px system-ui,sans-serif;fill:#777}.ours{fill:#c2410c}.rival{fill:#6b7fa8}\
 .grid{stroke:#999;stroke-opacity:.4}.limit{stroke:#b91c1c;stroke-dasharray:4 3}</style>";

/// Writes the charts into docs/images, from the root of the repository.
///
/// # Errors
/// A file that cannot be written.
pub fn write(report: &Report) -> anyhow::Result<()> {
    let folder = Path::new("docs/images");
    std::fs::create_dir_all(folder).context("cannot make docs/images")?;
    for (name, chart) in [("judge-false-rollbacks.svg", false_rollbacks(report)), ("judge-delay.svg", delay(report))] {
        let path = folder.join(name);
        std::fs::write(&path, chart).with_context(|| format!("cannot write {}", path.display()))?;
        eprintln!("wrote {}", path.display());
    }
    Ok(())
}

/// Bars: the share of healthy releases rolled back, per rule, over all cells.
fn false_rollbacks(report: &Report) -> String {
    let rules: Vec<(&str, f64)> = std::iter::once(("gapless", report.false_rollback))
        .chain(report.rivals.iter().map(|rival| (rival.rule, rival.false_rollback)))
        .collect();
    let height = 34.0 * rules.len() as f64 + 30.0;
    let scale = (WIDTH - LEFT - 70.0) / rules.iter().map(|(_, share)| *share).fold(0.1, f64::max);
    let mut svg = open(height, "Healthy releases rolled back");
    for (index, (rule, share)) in rules.iter().enumerate() {
        let (y, class) = (10.0 + 34.0 * index as f64, if index == 0 { "ours" } else { "rival" });
        let width = (share * scale).max(1.0);
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{:.0}\" text-anchor=\"end\">{rule}</text><rect class=\"{class}\" x=\"{LEFT}\" y=\"{y:.0}\" width=\"{width:.1}\" height=\"22\"/>\
             <text x=\"{:.0}\" y=\"{:.0}\">{:.2} %</text>",
            LEFT - 8.0,
            y + 16.0,
            LEFT + width + 6.0,
            y + 16.0,
            share * 100.0
        );
    }
    let x = LEFT + ALPHA * scale;
    let _ = writeln!(
        svg,
        "<line class=\"limit\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"4\" y2=\"{:.0}\"/><text x=\"{:.0}\" y=\"{:.0}\">α = 1 %</text></svg>",
        height - 20.0,
        x + 4.0,
        height - 6.0
    );
    svg
}

/// Points: median delay over the delay no test can beat, both logarithmic.
fn delay(report: &Report) -> String {
    let height = 420.0;
    let mut svg = open(height, "Median delay against the bound");
    let place = |seconds: f64| (seconds.clamp(1.0, 3_600.0)).ln() / 3_600_f64.ln();
    let x = |seconds: f64| LEFT + (WIDTH - LEFT - 20.0) * place(seconds);
    let y = |seconds: f64| height - 40.0 - (height - 60.0) * place(seconds);
    for seconds in [1.0, 10.0, 60.0, 600.0, 3_600.0] {
        let (at_x, at_y) = (x(seconds), y(seconds));
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{at_y:.0}\" y2=\"{at_y:.0}\"/><text x=\"{}\" y=\"{:.0}\" text-anchor=\"end\">{seconds} s</text>\
             <text x=\"{at_x:.0}\" y=\"{}\" text-anchor=\"middle\">{seconds} s</text>",
            LEFT - 8.0,
            at_y + 4.0,
            height - 20.0
        );
    }
    let _ = write!(
        svg,
        "<line class=\"grid\" x1=\"{:.0}\" y1=\"{:.0}\" x2=\"{:.0}\" y2=\"{:.0}\"/>\
         <line class=\"limit\" x1=\"{:.0}\" y1=\"{:.0}\" x2=\"{:.0}\" y2=\"{:.0}\"/>",
        x(1.0),
        y(1.0),
        x(3_600.0),
        y(3_600.0),
        x(1.0),
        y(1.5),
        x(2_400.0),
        y(3_600.0)
    );
    for delay in report.delays.iter().filter(|delay| delay.power >= 0.99) {
        let Some(median) = delay.median_s else { continue };
        let class = if delay.cell.starts_with("bursts") { "rival" } else { "ours" };
        let _ = write!(
            svg,
            "<circle class=\"{class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"><title>{} ×{}</title></circle>",
            x(delay.bound_s),
            y(median),
            delay.cell,
            delay.psi
        );
    }
    let _ = writeln!(
        svg,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">bound: any test of this level needs about so long</text>\
         <text x=\"{:.0}\" y=\"30\">dashed: 1.5 × the bound; blue: errors in bursts</text></svg>",
        (WIDTH + LEFT) / 2.0,
        height - 4.0,
        LEFT + 10.0
    );
    svg
}

fn open(height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\"><title>{title}</title>{STYLE}"
    )
}
