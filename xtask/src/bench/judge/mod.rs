//! What the judge's guarantee is worth: false roll-backs over a grid of services, the delay against the bound no test can
//! beat, and the rules of other systems on the same seconds.
//!
//! Deterministic by seed. Everything is simulated; nothing is measured but how long it takes.

mod chance;
mod charts;
mod report;
mod rivals;
mod speed;
mod statistics;
mod trial;
mod world;

use clap::Args;
use gapless_judge::dispersion::Dispersion;
use report::{CellReport, DelayReport, Report};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use trial::Batch;
use world::{Cell, Shape};

/// Options of `bench judge`.
#[derive(Args)]
pub struct Options {
    /// A quarter of the grid with fewer rollouts, in under a minute.
    #[arg(long)]
    quick: bool,
    /// End with one JSON object on stdout.
    #[arg(long)]
    json: bool,
    /// Measure the time of a window and of a verdict instead.
    #[arg(long)]
    speed: bool,
    /// Write the charts of the documentation into docs/images.
    #[arg(long)]
    charts: bool,
    /// Seed of the whole run.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only cells whose name contains this text, such as `bursts`.
    #[arg(long)]
    only: Option<String>,
}

/// Threads of the simulation: the machine's two cores.
const THREADS: usize = 2;

/// How much is simulated.
struct Extent {
    traffic: &'static [f64],
    shares: &'static [f64],
    bases: &'static [f64],
    /// Healthy rollouts per cell.
    healthy: u64,
    /// Bad rollouts per cell and effect.
    bad: u64,
    /// Of both, how many the rivals judge.
    rivals: u64,
    /// Days before the rollout that are simulated per cell, to estimate the dispersion from.
    histories: u64,
    /// The effects whose delay is measured.
    effects: &'static [f64],
}

/// The grid of JUDGE §6.
const FULL: Extent = Extent {
    traffic: &[1.0, 10.0, 100.0, 1_000.0],
    shares: &[0.01, 0.05, 0.10, 0.50],
    bases: &[1e-4, 1e-3, 1e-2, 0.2],
    healthy: 3_000,
    bad: 300,
    rivals: 100,
    histories: 50,
    effects: &[3.0, 5.0, 10.0, 30.0],
};

/// Its corners and its middle, without the thousand requests per second that take most of the time. Fewer rollouts could not
/// show a bound below 1 %: three hits in 1,000 are 1.001 %.
const QUICK: Extent = Extent {
    traffic: &[1.0, 10.0, 100.0],
    shares: &[0.01, 0.10],
    bases: &[1e-3, 0.2],
    healthy: 1_500,
    bad: 100,
    rivals: 10,
    histories: 4,
    effects: &[3.0, 10.0],
};

/// Runs the benchmark.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.speed {
        return speed::run(options.json);
    }
    let extent = if options.quick { &QUICK } else { &FULL };
    let cells: Vec<Cell> = grid(extent)
        .into_iter()
        .filter(|cell| options.only.as_ref().is_none_or(|only| report::cell_name(cell).contains(only)))
        .collect();
    let report = measure(&cells, extent, options.seed);
    report.print();
    if options.charts {
        charts::write(&report)?;
    }
    if options.json {
        println!("{}", serde_json::to_string(&report)?);
    }
    Ok(())
}

fn grid(extent: &Extent) -> Vec<Cell> {
    let mut cells = Vec::new();
    for shape in Shape::ALL {
        for &traffic in extent.traffic {
            for &share in extent.shares {
                cells.extend(extent.bases.iter().map(|&base| Cell { traffic, share, base, shape }));
            }
        }
    }
    cells
}

/// All cells, shared out between the threads one by one.
fn measure(cells: &[Cell], extent: &Extent, seed: u64) -> Report {
    let next = AtomicUsize::new(0);
    let done = Mutex::new((Vec::new(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(cell) = cells.get(index) else { return };
                    let (healthy, delays) = measure_cell(*cell, extent, seed.wrapping_add((index as u64) << 32));
                    let mut done = done.lock().expect("BUG: a simulation thread panicked");
                    done.0.push((index, healthy));
                    done.1.extend(delays.into_iter().map(|delay| (index, delay)));
                    eprint!("\r{}/{} cells", done.0.len(), cells.len());
                }
            });
        }
    });
    eprintln!();
    let (mut healthy, mut delays) = done.into_inner().expect("BUG: a simulation thread panicked");
    healthy.sort_by_key(|(index, _)| *index);
    delays.sort_by_key(|(index, _)| *index);
    Report::new(
        healthy.into_iter().map(|(_, report)| report).collect(),
        delays.into_iter().map(|(_, report)| report).collect(),
    )
}

fn measure_cell(cell: Cell, extent: &Extent, seed: u64) -> (CellReport, Vec<DelayReport>) {
    let histories: Vec<Dispersion> =
        (0..extent.histories).map(|index| world::estimated_dispersion(cell, seed.wrapping_add(index))).collect();
    let healthy = Batch { cell, psi: 1.0, rollouts: extent.healthy, rivals: extent.rivals, seed };
    let healthy = CellReport::new(&healthy, &trial::run(&healthy, &histories));
    let delays = extent.effects.iter().enumerate().filter_map(|(index, &psi)| {
        // Where even a perfect test would need longer than the rollout lasts there is no delay to measure.
        let bound = trial::bound_s(cell, psi)?;
        let seed = seed.wrapping_add((index as u64 + 1) << 24);
        let batch = Batch { cell, psi, rollouts: extent.bad, rivals: extent.rivals.min(extent.bad), seed };
        Some(DelayReport::new(&batch, bound, &trial::run(&batch, &histories)))
    });
    (healthy, delays.collect())
}
