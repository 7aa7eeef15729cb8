//! How long a window and a verdict take.

use super::chance::Chance;
use gapless_judge::dispersion::Dispersion;
use gapless_judge::engine::Table;
use gapless_judge::{Arms, Judge, MetricId, MetricWindow, Millis, Plan, Settings, Tick, Window};
use serde::Serialize;
use std::hint::black_box;
use std::time::Instant;

/// Metrics of the judge measured: errors in all and per route.
const METRICS: u16 = 50;

/// Windows of one measurement.
const WINDOWS: u64 = 20_000;

#[derive(Serialize)]
struct Speed {
    metrics: u16,
    window_us: f64,
    window_busy_us: f64,
    verdict_us: f64,
}

/// Measures and prints: a usual window (100 req/s, 1 % errors in all, most routes without one), a busy one (every metric with
/// events), and a verdict.
pub fn run(json: bool) -> anyhow::Result<()> {
    let (window_us, judge) = measure(2, 0.01);
    let (window_busy_us, _) = measure(200, 0.1);
    let started = Instant::now();
    let verdicts: u32 = 2_000;
    for second in 0..verdicts {
        black_box(judge.verdict(Tick((WINDOWS + u64::from(second)) * 1_000), Tick(u64::MAX))).word();
    }
    let verdict_us = started.elapsed().as_secs_f64() * 1e6 / f64::from(verdicts);
    eprintln!(
        "{METRICS} metrics: a window {window_us:.1} µs, a busy one {window_busy_us:.1} µs, a verdict {verdict_us:.1} µs"
    );
    if json {
        println!("{}", serde_json::to_string(&Speed { metrics: METRICS, window_us, window_busy_us, verdict_us })?);
    }
    Ok(())
}

fn measure(requests: u64, rate: f64) -> (f64, Judge) {
    let mut plan = Plan::new(Settings::default());
    for route in 0..METRICS {
        plan = plan.with_errors(&format!("errors /{route}"), Dispersion::none(), Default::default());
    }
    let mut judge = Judge::new(&plan);
    let mut chance = Chance::new(7);
    let mut count = |requests| (requests, chance.binomial(requests, rate));
    let windows: Vec<Window> = (0..WINDOWS)
        .map(|second| Window {
            end: Tick((second + 1) * 1_000),
            length: Millis(1_000),
            requests: Arms { candidate: 10, current: 90 },
            reporting: Arms { candidate: true, current: true },
            counts: (0..METRICS)
                .map(|metric| {
                    let table = Table::new(count(requests / 10 + 1), count(requests));
                    MetricWindow { metric: MetricId(metric), table }
                })
                .collect(),
            ..Window::default()
        })
        .collect();
    let started = Instant::now();
    for window in &windows {
        judge.handle_window(window);
    }
    (started.elapsed().as_secs_f64() * 1e6 / WINDOWS as f64, judge)
}
