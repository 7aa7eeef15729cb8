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

/// Windows of one measurement, and into how many parts it is cut. The fastest part is told: what others do on the machine only ever
/// makes a part slower.
const WINDOWS: u64 = 20_000;
const PARTS: u64 = 40;

#[derive(Serialize)]
struct Speed {
    metrics: u16,
    window_us: f64,
    window_busy_us: f64,
    window_crowded_us: f64,
    verdict_us: f64,
}

/// Measures and prints: a usual window (100 req/s, 1 % errors in all, most routes without one), a busy one (every metric with
/// some twenty events), a crowded one (every metric with a thousand, as where half of the requests are slower than the median), and a verdict.
pub fn run(json: bool) -> anyhow::Result<()> {
    let (window_us, judge) = measure(2, 0.01);
    let (window_busy_us, _) = measure(200, 0.1);
    let (window_crowded_us, _) = measure(2_000, 0.5);
    let now = Tick((WINDOWS + 1) * 1_000);
    let verdict_us = fastest(&[(); 4_000], |()| {
        black_box(judge.verdict(now, Tick(u64::MAX))).word();
    });
    eprintln!(
        "{METRICS} metrics: a window {window_us:.1} µs, a busy one {window_busy_us:.1} µs, a crowded one \
         {window_crowded_us:.1} µs, a verdict {verdict_us:.1} µs"
    );
    if json {
        let speed = Speed { metrics: METRICS, window_us, window_busy_us, window_crowded_us, verdict_us };
        println!("{}", serde_json::to_string(&speed)?);
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
                    MetricWindow { metric: MetricId(metric), stratum: 0, table }
                })
                .collect(),
            ..Window::default()
        })
        .collect();
    let window_us = fastest(&windows, |window| judge.handle_window(window));
    (window_us, judge)
}

/// Microseconds per item in the fastest part.
fn fastest<T>(items: &[T], mut work: impl FnMut(&T)) -> f64 {
    let part = items.len().div_ceil(PARTS as usize);
    let times = items.chunks(part).map(|items| {
        let started = Instant::now();
        items.iter().for_each(&mut work);
        started.elapsed().as_secs_f64() * 1e6 / items.len() as f64
    });
    times.fold(f64::INFINITY, f64::min)
}
