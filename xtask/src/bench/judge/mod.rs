//! What the judge's guarantee is worth: false roll-backs over a grid of services, the delay against the bound no test can
//! beat, and the rules of other systems on the same seconds.
//!
//! Deterministic by seed. Everything is simulated; nothing is measured but how long it takes.

mod chance;
mod charts;
mod report;
mod rivals;
mod shapes;
mod speed;
mod statistics;
mod trial;
mod world;

use clap::Args;
use gapless_judge::dispersion::Dispersion;
use report::{CellReport, DelayReport, Report};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use trial::{ALPHA, Batch, Outcome};
use world::{Cell, Past, Shape};

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
    /// Only cells and shapes whose name contains this text, such as `bursts`.
    #[arg(long)]
    only: Option<String>,
    /// Only the everyday shapes, not the grid.
    #[arg(long)]
    shapes: bool,
    /// Only how long bad releases of the grid go unnoticed.
    #[arg(long)]
    delays: bool,
    /// Also the table of what is found of what is wrong with bad releases.
    #[arg(long)]
    found: bool,
    /// Which half of the shapes' parameters: the one on which rules may be chosen, or the one kept apart.
    #[arg(long, value_enum, default_value = "tuned")]
    half: shapes::Half,
}

/// Threads of the simulation: the machine's two cores.
const THREADS: usize = 2;

/// How much is simulated.
struct Extent {
    traffic: &'static [f64],
    shares: &'static [f64],
    bases: &'static [f64],
    /// Bad rollouts per cell and effect, and in all where these leave open on which side of the wanted delay it lies.
    bad: [u64; 2],
    /// Of healthy and of bad rollouts, how many the rivals judge.
    rivals: u64,
    /// Days before the rollout that are simulated, to estimate the dispersion from.
    histories: u64,
    /// The effects whose delay is measured.
    effects: &'static [f64],
}

/// Healthy rollouts of a cell after each stage. A cell whose bound is above α goes on to the next; one that is above after the
/// last counts as over α. Fixed beforehand, with an equal part of the bound's error for each stage: the first is the
/// least at which no hit shows α (568, rounded up), the last shows it nearly surely for any true rate up to 0.5 %.
const STAGES: [u64; 3] = [600, 2_400, 9_600];

/// The grid of JUDGE §6.
const FULL: Extent = Extent {
    traffic: &[1.0, 10.0, 100.0, 1_000.0],
    shares: &[0.01, 0.05, 0.10, 0.50],
    bases: &[1e-4, 1e-3, 1e-2, 0.2],
    bad: [200, 2_000],
    rivals: 50,
    histories: 40,
    effects: &[3.0, 5.0, 10.0, 30.0],
};

/// Its corners and its middle, without the thousand requests per second.
const QUICK: Extent = Extent {
    traffic: &[1.0, 10.0, 100.0],
    shares: &[0.01, 0.10],
    bases: &[1e-3, 0.2],
    bad: [100, 800],
    rivals: 10,
    histories: 10,
    effects: &[3.0, 10.0],
};

/// Runs the benchmark.
pub fn run(options: &Options) -> anyhow::Result<()> {
    if options.speed {
        return speed::run(options.json);
    }
    let extent = if options.quick { &QUICK } else { &FULL };
    let named = |cell: &Cell| options.only.as_ref().is_none_or(|only| report::cell_name(cell).contains(only));
    let cells: Vec<Cell> = grid(extent).into_iter().filter(named).collect();
    if options.delays {
        let delays = measure_delays(&cells, &Extent { rivals: 0, ..*extent }, options.seed);
        report::print_slowest(&delays, 40);
        return Ok(());
    }
    let shapes = shapes::measure(options.seed, options.quick, options.half, options.only.as_deref(), options.found);
    shapes.print();
    if options.shapes {
        if options.json {
            println!("{}", serde_json::to_string(&shapes)?);
        }
        return Ok(());
    }
    let report = measure(&cells, extent, options.seed, shapes);
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

/// All cells, after the pasts they share.
fn measure(cells: &[Cell], extent: &Extent, seed: u64, shapes: shapes::ShapesReport) -> Report {
    let reports = each_cell(cells, extent, seed, |cell, histories, seed| {
        let healthy = measure_healthy(&Batch { cell, psi: 1.0, rivals: extent.rivals, seed }, histories);
        (healthy, delays_of_cell(cell, extent, histories, seed))
    });
    let (healthy, delays): (Vec<CellReport>, Vec<Vec<DelayReport>>) = reports.into_iter().unzip();
    Report::new(healthy, delays.into_iter().flatten().collect(), shapes)
}

/// The delays alone, of the same rollouts.
fn measure_delays(cells: &[Cell], extent: &Extent, seed: u64) -> Vec<DelayReport> {
    let delays = each_cell(cells, extent, seed, |cell, histories, seed| delays_of_cell(cell, extent, histories, seed));
    delays.into_iter().flatten().collect()
}

/// Does something with each cell, the dispersions that its pasts gave, and its seed.
fn each_cell<R: Send>(
    cells: &[Cell],
    extent: &Extent,
    seed: u64,
    work: impl Fn(Cell, &[Dispersion], u64) -> R + Sync,
) -> Vec<R> {
    let pasts = pasts_of(cells);
    let histories = in_parallel("pasts", &pasts, |index, past| {
        let seed = seed.wrapping_add((index as u64) << 32);
        let days = (0..extent.histories).map(|day| world::estimated_dispersion(*past, seed.wrapping_add(day)));
        days.collect::<Vec<Dispersion>>()
    });
    in_parallel("cells", cells, |index, cell| {
        let past = pasts.iter().position(|past| *past == cell.past()).expect("BUG: a cell without its past");
        work(*cell, &histories[past], seed.wrapping_add((index as u64) << 32))
    })
}

/// The pasts of these cells, each once.
fn pasts_of(cells: &[Cell]) -> Vec<Past> {
    let mut pasts = Vec::new();
    for past in cells.iter().map(Cell::past) {
        if !pasts.contains(&past) {
            pasts.push(past);
        }
    }
    pasts
}

/// Shares items out between the threads one by one; the results are in the items' order.
fn in_parallel<T: Sync, R: Send>(what: &str, items: &[T], work: impl Fn(usize, &T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let done = Mutex::new(Vec::with_capacity(items.len()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    let result = work(index, item);
                    let mut done = done.lock().expect("BUG: a simulation thread panicked");
                    done.push((index, result));
                    eprint!("\r{}/{} {what} ", done.len(), items.len());
                }
            });
        }
    });
    eprintln!();
    let mut done = done.into_inner().expect("BUG: a simulation thread panicked");
    done.sort_by_key(|(index, _)| *index);
    done.into_iter().map(|(_, result)| result).collect()
}

fn delays_of_cell(cell: Cell, extent: &Extent, histories: &[Dispersion], seed: u64) -> Vec<DelayReport> {
    let delays = extent.effects.iter().enumerate().filter_map(|(index, &psi)| {
        // Where even a perfect test would need longer than the rollout lasts there is no delay to measure.
        let bound = trial::bound_s(cell, psi)?;
        let seed = seed.wrapping_add((index as u64 + 1) << 24);
        Some(measure_delay(&Batch { cell, psi, rivals: extent.rivals, seed }, bound, histories, extent.bad))
    });
    delays.collect()
}

/// Stage after stage until the bound is at α or below.
fn measure_healthy(batch: &Batch, histories: &[Dispersion]) -> CellReport {
    let mut outcome = Outcome::default();
    let mut report = None;
    for rollouts in STAGES {
        trial::run(batch, histories, rollouts, &mut outcome);
        let stage = report.insert(CellReport::new(batch, &outcome, STAGES.len()));
        // More hits than α of the last stage: no further rollout could show it.
        let beyond = outcome.ours_s.len() as f64 > ALPHA * STAGES[STAGES.len() - 1] as f64;
        if stage.shown() || beyond {
            break;
        }
    }
    report.expect("BUG: no stages")
}

/// A median so near to what is wanted that chance decides is measured again over more rollouts, whichever side it was on.
fn measure_delay(batch: &Batch, bound: f64, histories: &[Dispersion], rollouts: [u64; 2]) -> DelayReport {
    let mut outcome = Outcome::default();
    trial::run(batch, histories, rollouts[0], &mut outcome);
    let report = DelayReport::new(batch, bound, &outcome);
    if !report.is_open() {
        return report;
    }
    trial::run(batch, histories, rollouts[1], &mut outcome);
    DelayReport::new(batch, bound, &outcome)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(base: f64) -> Cell {
        Cell { traffic: 100.0, share: 0.1, base, shape: Shape::Constant }
    }

    #[test]
    fn a_quiet_cell_is_shown_at_the_first_stage() {
        let batch = Batch { cell: cell(1e-4), psi: 1.0, rivals: 1, seed: 1 };
        let report = measure_healthy(&batch, &[Dispersion::none()]);
        assert!(report.shown(), "{report:?}");
        assert!(report.rollouts <= STAGES[1], "{report:?}");
    }

    #[test]
    fn a_judge_that_rolls_healthy_releases_back_is_over_alpha() {
        // A candidate three times as bad, taken for a healthy one: nearly every rollout counts as a false alarm.
        let batch = Batch { cell: cell(1e-2), psi: 3.0, rivals: 1, seed: 1 };
        let report = measure_healthy(&batch, &[Dispersion::none()]);
        assert!(!report.shown() && report.upper_bound > 0.9, "{report:?}");
        assert_eq!(report.rollouts, STAGES[0], "no further stage could show it");
    }

    #[test]
    fn the_full_grid_has_all_cells_and_few_pasts() {
        assert_eq!(grid(&FULL).len(), 256);
        assert_eq!(pasts_of(&grid(&FULL)).len(), 32);
    }
}
