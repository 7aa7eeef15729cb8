//! How much burstier events come than one by one, estimated from the time before the rollout.
//!
//! Errors come in clusters (a client retries, a connection pool fails at once), so counts vary more than the law of
//! single events says. The engine divides evidence by the dispersion D (quasi-likelihood: Wedderburn 1974; McCullagh &
//! Nelder 1989, §4.5). Three things are added to that, since type-I error is proven and not hoped for:
//!
//! - **Size-biased estimate with a prior.** D is the ratio of sums Σ(x − e)² / Σ e(1 − share) over instances and blocks of
//!   several lengths (the longest-ranging clusters decide), shrunk towards [`PRIOR_DISPERSION`] while few events have been seen.
//!   The mean of per-block X²/df would weigh a lone event as much as a burst.
//! - **From above, but robustly.** One standard error is added, not taken off; of the past's parts the burstiest two of 32 are left out, since
//!   with one instance a single old outage would otherwise make D several hundred and the judge blind.
//! - **Tilt.** Dividing by D makes variances right, not tails: for far alternatives one large cluster could decide. For clusters of
//!   geometric size with dispersion D, [`Dispersion::for_steps`] is the smallest divisor under which
//!   E exp(ℓ/D) ≤ 1 still holds for an alternative so many grid steps away from the null. The reasoning and the numbers are
//!   in docs/design/0301-judge-engine.md.

use crate::engine::{GRID_LEN, LOG_STEP};
use serde::{Deserialize, Serialize};

/// What is believed of D before any event has been seen: errors of web services commonly come in small clusters.
pub const PRIOR_DISPERSION: f64 = 4.0;

/// How many events that belief weighs.
pub const PRIOR_EVENTS: f64 = 3.0;

/// Shrunk estimates up to here count as 1: so little excess is covered by the null's own width (ψ0 = 1.25), and a tilt
/// computed from noise would cost more delay than it protects.
pub const DISPERSION_NEGLIGIBLE: f64 = 1.2;

/// No more than this is ever assumed; beyond it the metric can hardly say anything.
pub const DISPERSION_MAX: f64 = 1_000.0;

/// The lengths of the blocks over which events are summed before their spread is measured, in windows.
pub const BLOCK_WINDOWS: [u64; 4] = [1, 10, 60, 300];

/// Into how many parts the past is cut, at most; once there are more they are put together two by two.
pub const PARTS_MAX: usize = 32;

/// Of so many parts one may be left out as an outlier.
pub const PARTS_PER_OUTLIER: usize = 16;

/// Below this D events are even, if so many have been seen.
const EVEN_MAX: f64 = 0.5;
const EVEN_EVENTS_MIN: f64 = 12.0;

/// The shortest part, in windows.
const PART_WINDOWS_MIN: u64 = 60;

/// Most instances whose counts are kept apart; further ones are added to the last.
pub const INSTANCES_MAX: usize = 64;

/// A dispersion with its divisors for near and far alternatives.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "f64", into = "f64")]
pub struct Dispersion {
    index: f64,
    by_steps: Vec<f64>,
}

impl Default for Dispersion {
    fn default() -> Dispersion {
        Dispersion::none()
    }
}

impl From<f64> for Dispersion {
    fn from(index: f64) -> Dispersion {
        Dispersion::new(index)
    }
}

impl From<Dispersion> for f64 {
    fn from(dispersion: Dispersion) -> f64 {
        dispersion.index
    }
}

impl Dispersion {
    /// Events one by one: D = 1 throughout.
    pub fn none() -> Dispersion {
        Dispersion::new(1.0)
    }

    /// The dispersion of a given index; held within 1 … [`DISPERSION_MAX`], not a number counts as the prior.
    pub fn new(index: f64) -> Dispersion {
        let index = if index.is_nan() { PRIOR_DISPERSION } else { index.clamp(1.0, DISPERSION_MAX) };
        let by_steps = (0..=GRID_LEN).map(|steps| tilted(index, steps as f64 * LOG_STEP)).collect();
        Dispersion { index, by_steps }
    }

    /// D itself.
    pub fn index(&self) -> f64 {
        self.index
    }

    /// A distance ln(ψ/ψ0) from the null in steps of the grid, rounded up.
    pub fn steps_of_distance(&self, log_ratio: f64) -> usize {
        // A hair is taken off so that a distance of exactly n steps is not rounded up to n + 1.
        ((log_ratio.abs() / LOG_STEP) - 1e-9).ceil().max(0.0) as usize
    }

    /// The divisor for an alternative so many steps of the grid away.
    pub fn for_steps(&self, steps: usize) -> f64 {
        self.by_steps[steps.min(GRID_LEN)]
    }
}

/// The smallest divisor d ≥ D with M(t/d) − 1 ≤ (μ/d)(e^t − 1), where M is the moment generating function of a geometric
/// cluster size of mean μ = (D+1)/2 (whose dispersion E S²/E S is D), found by bisection on ln d. It is the condition for
/// E exp(ℓ/d) ≤ 1 under Poisson clusters in the limit of a small candidate share, which is the hardest one.
fn tilted(index: f64, distance: f64) -> f64 {
    if index <= 1.0 || distance <= 0.0 {
        return index;
    }
    let mean = (index + 1.0) / 2.0;
    let (stop, go_on) = (1.0 / mean, 1.0 - 1.0 / mean);
    let holds = |divisor: f64| {
        let growth = (distance / divisor).exp();
        let left = stop * growth / (1.0 - go_on * growth) - 1.0;
        go_on * growth < 1.0 && left <= mean / divisor * distance.exp_m1()
    };
    let (mut low, mut high) = (index, index * 16.0);
    for _ in 0..48 {
        let middle = (low * high).sqrt();
        if holds(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    high
}

/// What the blocks of one part of the past add up to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
struct Part {
    /// Σ (x − e)² and Σ e (1 − share).
    squares: f64,
    expected: f64,
    /// Σ m and Σ 2m(m − 1)/(instances − 1): what the estimate's own variance is made of when events come one by one.
    events: f64,
    scatter: f64,
}

impl Part {
    fn add(&mut self, other: &Part) {
        self.squares += other.squares;
        self.expected += other.expected;
        self.events += other.events;
        self.scatter += other.scatter;
    }

    /// By how much its events spread wider than single ones would.
    fn excess(&self) -> f64 {
        self.squares - self.expected
    }
}

/// Sums over blocks of one length.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Blocks {
    /// Counts per instance of the block being filled: exposure, events.
    filling: Vec<(f64, f64)>,
    windows: u64,
    /// The blocks done, by part of the past; each part but the last has so many windows.
    parts: Vec<Part>,
    part_windows: u64,
    /// Windows so far.
    seen: u64,
    /// The block before, for a single instance, which is compared with its own past.
    before: Option<(f64, f64)>,
}

/// Estimates the dispersion from windows of the current release alone, per instance, before the rollout.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DispersionEstimate {
    blocks: Vec<Blocks>,
    events: f64,
}

impl Default for DispersionEstimate {
    fn default() -> Self {
        DispersionEstimate { blocks: vec![Blocks::default(); BLOCK_WINDOWS.len()], events: 0.0 }
    }
}

impl DispersionEstimate {
    /// Adds one window: (exposure, events) of each instance, always in the same order. Instances that come and go leave
    /// zeros in their place.
    pub fn handle_window(&mut self, per_instance: &[(u64, u64)]) {
        self.events += per_instance.iter().map(|(_, events)| *events as f64).sum::<f64>();
        for (blocks, length) in self.blocks.iter_mut().zip(BLOCK_WINDOWS) {
            blocks.add(per_instance);
            if blocks.windows >= length {
                blocks.close();
            }
        }
    }

    /// Adds `windows` windows in which no instance had an event, each with these exposures: what one call per window
    /// would add, at once.
    pub fn handle_quiet_windows(&mut self, exposures: &[u64], windows: u64) {
        for (blocks, length) in self.blocks.iter_mut().zip(BLOCK_WINDOWS) {
            let to_end = windows.min(length - blocks.windows);
            blocks.add_quiet(exposures, to_end);
            if blocks.windows < length {
                continue;
            }
            blocks.close();
            let rest = windows - to_end;
            if rest >= length {
                // Blocks without events measure nothing: all but the last of them only pass.
                blocks.pass((rest / length - 1) * length);
                blocks.windows = 0;
                blocks.add_quiet(exposures, length);
                blocks.close();
            }
            blocks.add_quiet(exposures, rest % length);
        }
    }

    /// An estimate that has seen so many windows in which nothing was exposed: for what turns up only then.
    pub fn beginning_after(windows: u64) -> DispersionEstimate {
        let mut estimate = DispersionEstimate::default();
        estimate.handle_quiet_windows(&[], windows);
        estimate
    }

    /// Takes what another estimate saw in the same windows of other exposures, compared only with each other: each alone has hardly the events to
    /// tell how they come, together they have.
    pub fn pool(&mut self, other: &DispersionEstimate) {
        self.events += other.events;
        for (mine, theirs) in self.blocks.iter_mut().zip(&other.blocks) {
            mine.pool(theirs);
        }
    }

    /// Events seen so far.
    pub fn events(&self) -> f64 {
        self.events
    }

    /// Whether events come more evenly than one by one: what instances write by the clock.
    pub fn is_even(&self) -> bool {
        self.blocks.iter().filter_map(Blocks::evenness).any(|index| index < EVEN_MAX)
    }

    /// The dispersion to use in a rollout that starts now.
    pub fn dispersion(&self) -> Dispersion {
        let index = self.blocks.iter().filter_map(Blocks::shrunk).reduce(f64::max).unwrap_or(PRIOR_DISPERSION);
        Dispersion::new(if index <= DISPERSION_NEGLIGIBLE { 1.0 } else { index })
    }
}

impl Blocks {
    /// Windows have gone by. Parts grow with the past, so that there are always some tens of them.
    fn pass(&mut self, windows: u64) {
        self.windows += windows;
        self.seen += windows;
        self.part_windows = self.part_windows.max(PART_WINDOWS_MIN);
        while self.seen > self.part_windows * PARTS_MAX as u64 {
            let pairs = self.parts.chunks(2).map(|pair| {
                let mut part = pair[0];
                pair.iter().skip(1).for_each(|other| part.add(other));
                part
            });
            self.parts = pairs.collect();
            self.part_windows *= 2;
        }
    }

    /// Parts of the same time are added; blocks that are being filled are not.
    fn pool(&mut self, other: &Blocks) {
        if self.parts.len() < other.parts.len() {
            self.parts.resize(other.parts.len(), Part::default());
        }
        self.parts.iter_mut().zip(&other.parts).for_each(|(part, other)| part.add(other));
        self.seen = self.seen.max(other.seen);
        self.part_windows = self.part_windows.max(other.part_windows);
    }

    fn add(&mut self, per_instance: &[(u64, u64)]) {
        let kept = per_instance.len().min(INSTANCES_MAX);
        if self.filling.len() < kept {
            self.filling.resize(kept, (0.0, 0.0));
        }
        for (index, (exposure, events)) in per_instance.iter().enumerate() {
            let cell = &mut self.filling[index.min(INSTANCES_MAX - 1)];
            cell.0 += *exposure as f64;
            cell.1 += *events as f64;
        }
        self.pass(1);
    }

    fn add_quiet(&mut self, exposures: &[u64], windows: u64) {
        let kept = exposures.len().min(INSTANCES_MAX);
        if self.filling.len() < kept {
            self.filling.resize(kept, (0.0, 0.0));
        }
        for (index, exposure) in exposures.iter().enumerate() {
            self.filling[index.min(INSTANCES_MAX - 1)].0 += *exposure as f64 * windows as f64;
        }
        self.pass(windows);
    }

    fn close(&mut self) {
        self.windows = 0;
        let active = self.filling.iter().filter(|cell| cell.0 > 0.0).count();
        if active >= 2 {
            let cells: Vec<(f64, f64)> = self.filling.iter().copied().filter(|cell| cell.0 > 0.0).collect();
            self.measure(&cells);
        } else if let Some(alone) = self.filling.iter().copied().find(|cell| cell.0 > 0.0) {
            if let Some(before) = self.before.take() {
                self.measure(&[before, alone]);
            } else {
                self.before = Some(alone);
            }
        }
        self.filling.fill((0.0, 0.0));
    }

    /// One block's contrast between cells that share the base rate of their time.
    fn measure(&mut self, cells: &[(f64, f64)]) {
        let exposure: f64 = cells.iter().map(|cell| cell.0).sum();
        let events: f64 = cells.iter().map(|cell| cell.1).sum();
        if events <= 0.0 || events >= exposure {
            return;
        }
        let mut part = Part { events, ..Part::default() };
        part.scatter = 2.0 * events * (events - 1.0).max(0.0) / (cells.len() as f64 - 1.0);
        // Finite population: given the margins the variance carries (1 − m/n) and a factor for the one event spent.
        let finite = ((exposure - events) / (exposure - 1.0)).max(f64::MIN_POSITIVE);
        for (cell_exposure, cell_events) in cells {
            let share = cell_exposure / exposure;
            let expected = events * share;
            part.squares += (cell_events - expected).powi(2) / finite;
            part.expected += expected * (1.0 - share);
        }
        let place = ((self.seen.max(1) - 1) / self.part_windows.max(1)) as usize;
        if self.parts.len() <= place {
            self.parts.resize(place + 1, Part::default());
        }
        self.parts[place].add(&part);
    }

    /// D without prior or error, where enough was seen to tell it.
    fn evenness(&self) -> Option<f64> {
        let mut sum = Part::default();
        self.parts.iter().for_each(|part| sum.add(part));
        (sum.expected >= EVEN_EVENTS_MIN).then(|| sum.squares / sum.expected)
    }

    /// The estimate of this block length, shrunk towards the prior and with one standard error of its own on top; `None` where
    /// nothing was seen. The parts of the past that are burstiest by far are left out, one in [`PARTS_PER_OUTLIER`]: one old
    /// outage says nothing about every hour, and what it would have guarded against is bounded block by block.
    fn shrunk(&self) -> Option<f64> {
        let mut parts = self.parts.clone();
        parts.sort_by(|a, b| b.excess().total_cmp(&a.excess()));
        let passed = (self.seen / self.part_windows.max(1)) as usize;
        let outliers = (passed.min(PARTS_MAX) / PARTS_PER_OUTLIER).min(parts.len());
        let mut sum = Part::default();
        parts[outliers..].iter().for_each(|part| sum.add(part));
        if sum.events <= 0.0 {
            return parts.first().filter(|part| part.events > 0.0).map(|_| PRIOR_DISPERSION);
        }
        let standard_error = sum.scatter.sqrt() / sum.events;
        // `expected` grows by events × (1 − 1/instances): nearly one per event seen in company.
        let estimate = (PRIOR_DISPERSION * PRIOR_EVENTS + sum.squares) / (PRIOR_EVENTS + sum.expected);
        Some(estimate * (1.0 + standard_error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_one_by_one_have_no_dispersion_and_bursts_on_one_instance_have() {
        let (mut single, mut bursts) = (DispersionEstimate::default(), DispersionEstimate::default());
        for window in 0..20_000_u64 {
            // A low-discrepancy walk over the instances stands in for chance.
            let place = (window * 7_919 / 13 % 4) as usize;
            let mut row = [(25, 0); 4];
            row[place].1 = u64::from(window % 10 == 0);
            single.handle_window(&row);
            row[place].1 = if window % 100 == 0 { 10 } else { 0 };
            bursts.handle_window(&row);
        }
        assert!(single.dispersion().index() < 1.5, "{}", single.dispersion().index());
        assert!(bursts.dispersion().index() > 6.0, "{}", bursts.dispersion().index());
    }

    #[test]
    fn without_a_past_the_prior_is_assumed() {
        assert_eq!(DispersionEstimate::default().dispersion().index(), PRIOR_DISPERSION);
    }

    #[test]
    fn one_old_outage_on_a_single_instance_does_not_blind_the_judge() {
        let mut estimate = DispersionEstimate::default();
        for window in 0..36_000_u64 {
            let errors = match window {
                9_000..9_300 => 60,
                _ => u64::from(window % 10 == 0),
            };
            estimate.handle_window(&[(100, errors)]);
        }
        assert!(estimate.dispersion().index() < 3.0, "{}", estimate.dispersion().index());
    }

    #[test]
    fn routes_pooled_show_what_none_of_them_shows_alone() {
        // Forty errors in an hour over twenty routes, no two on the same route and instance within five minutes; and the same as pairs.
        let hour = |pairs: bool| {
            let mut routes: Vec<DispersionEstimate> = (0..20).map(|_| DispersionEstimate::default()).collect();
            for window in 0..3_600_u64 {
                for (route, estimate) in routes.iter_mut().enumerate() {
                    let turn = window / 90;
                    let fails = window.is_multiple_of(90) && turn * 7 % 20 == route as u64;
                    let mut row = [(5, 0); 4];
                    row[(turn * 3 % 4) as usize].1 = if fails { 1 + u64::from(pairs) } else { 0 };
                    estimate.handle_window(&row);
                }
            }
            let mut pooled = DispersionEstimate::default();
            routes.iter().for_each(|route| pooled.pool(route));
            (routes[0].dispersion().index(), pooled.dispersion().index())
        };
        let ((alone, together), (_, of_pairs)) = (hour(false), hour(true));
        assert!(alone > 2.0 && together < 1.4, "{alone} {together}");
        assert!(of_pairs > 1.9, "{of_pairs}");
    }

    #[test]
    fn quiet_windows_at_once_are_the_same_as_one_by_one() {
        let (mut at_once, mut one_by_one) = (DispersionEstimate::default(), DispersionEstimate::default());
        for quiet in [1, 7, 59, 60, 61, 1_000] {
            at_once.handle_quiet_windows(&[5, 5], quiet);
            (0..quiet).for_each(|_| one_by_one.handle_window(&[(5, 0), (5, 0)]));
            at_once.handle_window(&[(5, 2), (5, 0)]);
            one_by_one.handle_window(&[(5, 2), (5, 0)]);
        }
        assert_eq!(at_once.dispersion(), one_by_one.dispersion());
    }
}
