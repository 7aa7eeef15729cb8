//! The tables of the benchmark, for people and as one JSON object.

use super::rivals::Rival;
use super::shapes::ShapesReport;
use super::statistics::clopper_pearson_upper;
use super::trial::{ALPHA, Batch, Outcome, median_delay, median_delay_interval};
use super::world::Cell;
use crate::bench::median::median;
use serde::Serialize;

/// Delays are whole seconds, so a ratio means something only where the bound is at least so many of them; below, the
/// median delay itself is reported.
const BOUND_MIN_S: f64 = 10.0;

/// Evidence grows by blocks of ten seconds, each bounded: where the bound is shorter than this a ratio would tell of blocks alone.
const MINUTE_S: f64 = 60.0;

/// The probability with which a cell's bound may be below the truth.
const BOUND_ERROR: f64 = 0.01;

/// The highest median delay over bound that is wanted.
const RATIO_MAX: f64 = 1.5;

/// `constant 100/s 10 % 0.001`.
pub fn cell_name(cell: &Cell) -> String {
    format!("{} {}/s {} % {}", cell.shape.name(), cell.traffic, cell.share * 100.0, cell.base)
}

/// False roll-backs in one cell.
#[derive(Debug, Clone, Serialize)]
pub struct CellReport {
    /// Which cell.
    pub cell: String,
    /// Healthy rollouts.
    pub rollouts: u64,
    /// How many were rolled back.
    pub false_rollbacks: u64,
    /// The upper Clopper–Pearson bound of their probability, valid in 99 % whichever stage it was read at.
    pub upper_bound: f64,
    /// The mean of the dispersions estimated.
    pub dispersion: f64,
    /// Per rival: the share of healthy rollouts rolled back.
    pub rivals: Vec<f64>,
}

impl CellReport {
    /// From one batch of healthy rollouts, looked at no more often than at `stages` stages fixed beforehand. Each bound may
    /// err with 1 % / stages, so that all together err with 1 % at most (union bound).
    pub fn new(batch: &Batch, outcome: &Outcome, stages: usize) -> CellReport {
        let false_rollbacks = outcome.ours_s.len() as u64;
        CellReport {
            cell: cell_name(&batch.cell),
            rollouts: outcome.rollouts,
            false_rollbacks,
            upper_bound: clopper_pearson_upper(false_rollbacks, outcome.rollouts, BOUND_ERROR / stages as f64),
            dispersion: outcome.dispersion_sum / outcome.rollouts as f64,
            rivals: outcome.rivals_s.iter().map(|seconds| seconds.len() as f64 / outcome.rivals as f64).collect(),
        }
    }

    /// Whether it is shown that no more than α of the healthy rollouts are rolled back.
    pub fn shown(&self) -> bool {
        self.upper_bound <= ALPHA
    }
}

/// Delay in one cell for one effect.
#[derive(Debug, Clone, Serialize)]
pub struct DelayReport {
    /// Which cell.
    pub cell: String,
    /// The candidate's true odds ratio.
    pub psi: f64,
    /// Bad rollouts.
    pub rollouts: u64,
    /// Share of them found within the hour.
    pub power: f64,
    /// Median seconds; `None` where fewer than half were found.
    pub median_s: Option<f64>,
    /// Seconds any level-α test needs about.
    pub bound_s: f64,
    /// Median delay over bound.
    pub ratio: Option<f64>,
    /// The 99 % interval of the ratio, where both ends are within the hour.
    pub ratio_interval: Option<(f64, f64)>,
    /// Per rival: the share found, and the median seconds.
    pub rivals: Vec<(f64, Option<f64>)>,
}

impl DelayReport {
    /// From one batch of bad rollouts.
    pub fn new(batch: &Batch, bound_s: f64, outcome: &Outcome) -> DelayReport {
        let Outcome { rollouts, rivals, .. } = *outcome;
        let median_s = median_delay(&outcome.ours_s, rollouts);
        let interval = median_delay_interval(&outcome.ours_s, rollouts);
        DelayReport {
            cell: cell_name(&batch.cell),
            psi: batch.psi,
            rollouts,
            power: outcome.ours_s.len() as f64 / rollouts as f64,
            median_s,
            bound_s,
            ratio: median_s.map(|median| median / bound_s),
            ratio_interval: interval
                .filter(|(_, upper)| upper.is_finite())
                .map(|(lower, upper)| (lower / bound_s, upper / bound_s)),
            rivals: outcome
                .rivals_s
                .iter()
                .map(|seconds| (seconds.len() as f64 / rivals as f64, median_delay(seconds, rivals)))
                .collect(),
        }
    }

    /// Whether it counts for the ratio: found surely, and the bound is not a matter of a few looks.
    fn counts(&self) -> bool {
        self.power >= 0.99 && self.bound_s >= BOUND_MIN_S
    }

    /// Whether so many rollouts leave it open on which side of what is wanted the ratio lies.
    pub fn is_open(&self) -> bool {
        self.counts() && self.ratio_interval.is_some_and(|(lower, upper)| (lower..=upper).contains(&RATIO_MAX))
    }

    fn in_bursts(&self) -> bool {
        self.cell.starts_with("bursts")
    }
}

/// One rival over all cells.
#[derive(Debug, Clone, Serialize)]
pub struct RivalReport {
    /// Its name.
    pub rule: &'static str,
    /// Share of healthy rollouts rolled back, over all cells.
    pub false_rollback: f64,
    /// The worst cell.
    pub false_rollback_max: f64,
    /// Cells in which more than α of the healthy rollouts were rolled back.
    pub cells_over_alpha: usize,
    /// Share found of the bad rollouts that we find (power ≥ .99), over their cells.
    pub found: f64,
    /// The median of its median delays over ours, where both find half or more.
    pub delay_over_ours_median: Option<f64>,
    /// Per cell: false roll-back.
    pub false_rollback_by_cell: Vec<(String, f64)>,
    /// Per cell and ψ: median delay in seconds.
    pub median_delay_s_by_cell: Vec<(String, f64, Option<f64>)>,
}

/// The whole benchmark.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Cells of the grid.
    pub cells: usize,
    /// Cells whose upper bound of the false-rollback rate is above α after the last stage. Must be 0.
    pub cells_over_alpha: usize,
    /// The highest upper bound.
    pub upper_bound_max: f64,
    /// False roll-backs over all healthy rollouts.
    pub false_rollback: f64,
    /// The highest median delay over bound where power ≥ .99 and events come one by one, which is what the bound assumes.
    /// Must be ≤ 1.5.
    pub delay_over_bound_median_max: f64,
    /// Where the bound is above a minute and events come one by one: the highest median delay over bound. Must be ≤ 1.5.
    pub delay_over_bound_above_minute_max: f64,
    /// Where it is at most a minute: the highest median delay less the bound, in seconds. Must be ≤ 60.
    pub delay_beyond_bound_s_max_below_minute: f64,
    /// The same where errors come in bursts, against D times the bound: the price of not being fooled by one burst.
    pub delay_over_bound_bursts_median_max: f64,
    /// Where the bound is below 10 s: the highest median delay, in seconds.
    pub delay_s_max_where_bound_is_seconds: f64,
    /// The median of those ratios.
    pub delay_over_bound_median: f64,
    /// Per rule of other systems.
    pub rivals: Vec<RivalReport>,
    /// Everyday shapes, healthy, and what is found of bad releases.
    #[serde(flatten)]
    pub everyday: ShapesReport,
    /// Every cell.
    pub healthy: Vec<CellReport>,
    /// Every cell and effect.
    pub delays: Vec<DelayReport>,
}

impl Report {
    /// Puts the cells together.
    pub fn new(healthy: Vec<CellReport>, delays: Vec<DelayReport>, everyday: ShapesReport) -> Report {
        let ratios = |bursts: bool| -> Vec<f64> {
            let counting = delays.iter().filter(|delay| delay.counts() && delay.in_bursts() == bursts);
            counting.filter_map(|delay| delay.ratio).collect()
        };
        let (mut single, bursts) = (ratios(false), ratios(true));
        let highest = |ratios: &[f64]| ratios.iter().copied().fold(0.0, f64::max);
        let rollouts: u64 = healthy.iter().map(|cell| cell.rollouts).sum();
        let false_rollbacks: u64 = healthy.iter().map(|cell| cell.false_rollbacks).sum();
        Report {
            cells: healthy.len(),
            cells_over_alpha: healthy.iter().filter(|cell| !cell.shown()).count(),
            upper_bound_max: healthy.iter().map(|cell| cell.upper_bound).fold(0.0, f64::max),
            false_rollback: false_rollbacks as f64 / rollouts.max(1) as f64,
            delay_over_bound_median_max: highest(&single),
            delay_over_bound_above_minute_max: delays
                .iter()
                .filter(|delay| delay.counts() && delay.bound_s > MINUTE_S && !delay.in_bursts())
                .filter_map(|delay| delay.ratio)
                .fold(0.0, f64::max),
            delay_beyond_bound_s_max_below_minute: delays
                .iter()
                .filter(|delay| delay.power >= 0.99 && delay.bound_s <= MINUTE_S && !delay.in_bursts())
                .filter_map(|delay| Some(delay.median_s? - delay.bound_s))
                .fold(0.0, f64::max),
            delay_over_bound_bursts_median_max: highest(&bursts),
            delay_s_max_where_bound_is_seconds: delays
                .iter()
                .filter(|delay| delay.power >= 0.99 && delay.bound_s < BOUND_MIN_S)
                .filter_map(|delay| delay.median_s)
                .fold(0.0, f64::max),
            delay_over_bound_median: median(&mut single).unwrap_or(0.0),
            rivals: (0..Rival::ALL.len()).map(|index| rival(index, &healthy, &delays)).collect(),
            everyday,
            healthy,
            delays,
        }
    }

    /// The tables, on stderr.
    pub fn print(&self) {
        eprintln!("false roll-backs, cells with any (of {}):", self.cells);
        for cell in self.healthy.iter().filter(|cell| cell.false_rollbacks > 0) {
            let over = if cell.shown() { "" } else { "  OVER ALPHA" };
            let CellReport { cell, false_rollbacks, rollouts, upper_bound, dispersion, .. } = cell;
            eprintln!("  {cell:32} {false_rollbacks:4}/{rollouts}  ≤ {upper_bound:.4}  D {dispersion:5.2}{over}");
        }
        print_slowest(&self.delays, 10);
        eprintln!(
            "{:14} {:>9} {:>9} {:>10} {:>7} {:>13}",
            "rule", "false", "worst", "cells > α", "found", "delay / ours"
        );
        let worst =
            self.healthy.iter().map(|cell| cell.false_rollbacks as f64 / cell.rollouts as f64).fold(0.0, f64::max);
        let over = self.cells_over_alpha;
        eprintln!("{:14} {:9.4} {worst:9.4} {over:10} {:7.3} {:>13}", "gapless", self.false_rollback, 1.0, "1.0");
        for rival in &self.rivals {
            let RivalReport { rule, false_rollback, false_rollback_max, cells_over_alpha, found, .. } = rival;
            let delay = rival.delay_over_ours_median.map_or("–".to_owned(), |ratio| format!("{ratio:.1}"));
            eprintln!(
                "{rule:14} {false_rollback:9.4} {false_rollback_max:9.4} {cells_over_alpha:10} {found:7.3} {delay:>13}"
            );
        }
        eprintln!(
            "delay where the bound is above a minute: at most {:.2} × the bound; below: at most the bound + {:.0} s",
            self.delay_over_bound_above_minute_max, self.delay_beyond_bound_s_max_below_minute
        );
        eprintln!(
            "cells over α: {} of {} (highest bound {:.4}); delay over bound: median {:.2}, highest {:.2}, in bursts {:.2}",
            self.cells_over_alpha,
            self.cells,
            self.upper_bound_max,
            self.delay_over_bound_median,
            self.delay_over_bound_median_max,
            self.delay_over_bound_bursts_median_max
        );
    }
}

/// The cells and effects with the highest delay over the bound, on stderr; then those with the highest delay beyond a short bound.
pub fn print_slowest(delays: &[DelayReport], most: usize) {
    let line = |delay: &DelayReport| {
        let DelayReport { cell, psi, bound_s, .. } = delay;
        let (median, ratio) = (delay.median_s.unwrap_or(f64::NAN), delay.ratio.unwrap_or(f64::NAN));
        eprintln!("  {cell:32} ×{psi:<3} {median:7.1} s / {bound_s:6.0} s = {ratio:.2}");
    };
    eprintln!("delay over bound where power ≥ .99 and the bound is above a minute, the highest:");
    let mut slow: Vec<&DelayReport> =
        delays.iter().filter(|delay| delay.counts() && delay.bound_s > MINUTE_S && !delay.in_bursts()).collect();
    slow.sort_by(|a, b| b.ratio.unwrap_or(0.0).total_cmp(&a.ratio.unwrap_or(0.0)));
    slow.into_iter().take(most).for_each(line);
    eprintln!("delay beyond the bound where that is at most a minute, the highest:");
    let beyond = |delay: &DelayReport| delay.median_s.unwrap_or(f64::INFINITY) - delay.bound_s;
    let mut late: Vec<&DelayReport> =
        delays.iter().filter(|delay| delay.power >= 0.99 && delay.bound_s <= MINUTE_S && !delay.in_bursts()).collect();
    late.sort_by(|a, b| beyond(b).total_cmp(&beyond(a)));
    late.into_iter().take(most).for_each(line);
}

fn rival(index: usize, healthy: &[CellReport], delays: &[DelayReport]) -> RivalReport {
    let shares: Vec<f64> = healthy.iter().map(|cell| cell.rivals[index]).collect();
    let found: Vec<&DelayReport> = delays.iter().filter(|delay| delay.counts()).collect();
    let mut over_ours: Vec<f64> =
        found.iter().filter_map(|delay| Some(delay.rivals[index].1? / delay.median_s?)).collect();
    RivalReport {
        rule: Rival::ALL[index].name(),
        false_rollback: shares.iter().sum::<f64>() / shares.len().max(1) as f64,
        false_rollback_max: shares.iter().copied().fold(0.0, f64::max),
        cells_over_alpha: shares.iter().filter(|share| **share > ALPHA).count(),
        found: found.iter().map(|delay| delay.rivals[index].0).sum::<f64>() / found.len().max(1) as f64,
        delay_over_ours_median: median(&mut over_ours),
        false_rollback_by_cell: healthy.iter().map(|cell| (cell.cell.clone(), cell.rivals[index])).collect(),
        median_delay_s_by_cell: delays
            .iter()
            .map(|delay| (delay.cell.clone(), delay.psi, delay.rivals[index].1))
            .collect(),
    }
}
