//! One engine for everything that can be counted: an anytime-valid test of the candidate's odds against the current
//! release's over the same time.
//!
//! Per window the conditional likelihood of ψ (see [`likelihood`]) is added up at the points of one grid. Evidence against a
//! null is the mixture of the likelihood ratios of the alternatives beyond it (a test supermartingale: Ville 1939; Robbins
//! 1970; Waudby-Smith & Ramdas 2024), so it may be looked at after every window:
//! `P(ever E ≥ 1/α) ≤ α` while the null holds, whatever the base rate does.
//!
//! Invariants:
//! - **E1** E[exp ℓ] ≤ 1 under the null, for every alternative (`expectation_under_the_null_is_at_most_one`, by enumeration).
//! - **E2** a window without both arms' exposure waits, within bounds, for the next; an impossible one changes nothing.
//! - **E3** the state is [`GRID_LEN`] + 1 sums and four counts, for ever; it survives serialisation in mid-stream.

mod grid;
mod likelihood;
mod table;

pub use grid::{GRID_LEN, LOG_LOWEST, LOG_STEP, log_psi};
pub use likelihood::beta_mixture_log_evidence;
pub use table::{COUNT_MAX, Count, Exposure, Table, Taken};

use crate::dispersion::Dispersion;
use grid::{PSIS, points_within};
use serde::{Deserialize, Serialize};

/// The nearest and the farthest alternative to the FAIL null, as factors of it (JUDGE §1: 24 values 1.1 … 100).
const FAIL_FACTORS: (f64, f64) = (1.1, 100.0);

/// The prior weights of the FAIL alternatives, from the nearest to the farthest, up to a factor. Most lies on 2 … 15 times the
/// null: nearer effects need so many events that a nat less costs them little, and so few events decide for farther ones
/// that their neighbours help out. Against a flat prior this saves about 0.4 nats (5 % of the delay) where it counts.
const FAIL_PRIOR: [f64; 24] = [
    1.0, 2.0, 3.0, 5.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 6.0, 5.0, 5.0, 4.0, 4.0, 3.0, 3.0, 2.0, 2.0, 2.0, 1.0, 1.0,
    1.0,
];

/// The farthest and the nearest alternative to the PASS null (JUDGE §1: 0.1 … 0.9).
const PASS_FACTORS: (f64, f64) = (0.1, 0.9);

/// ll(ψ) of one window at one ψ, up to a constant common to all ψ: what the engine adds up, for tests and for looking into
/// a verdict.
pub fn log_likelihood_at(table: &Table, exposure: Exposure, psi: f64) -> f64 {
    let mut out = [0.0];
    likelihood::log_likelihood(table, exposure, &[psi], &[psi.ln()], &mut out);
    out[0]
}

/// How the engine is set before the first window; fixed afterwards (a null chosen by looking proves nothing).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EngineSettings {
    /// What one exposure is.
    pub exposure: Exposure,
    /// ψ0: odds ratios up to here are no reason to roll back (default 1.25).
    pub fail_null: f64,
    /// ψ1: the worst odds ratio tolerated by a PASS (default 2).
    pub pass_null: f64,
    /// How burstily the events come.
    pub dispersion: Dispersion,
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings { exposure: Exposure::Trials, fail_null: 1.25, pass_null: 2.0, dispersion: Dispersion::none() }
    }
}

impl EngineSettings {
    /// Multiplies the FAIL null by the upper bound of the host's own ratio to its peers, and the PASS null by the lower
    /// (JUDGE §1, host effect): what the host may do alone is part of the null on both sides.
    #[must_use]
    pub fn with_host_effect(mut self, host: &crate::host::HostEffect) -> EngineSettings {
        self.fail_null *= host.upper.max(1.0);
        self.pass_null *= host.lower.min(1.0);
        self
    }
}

/// An estimate with its anytime-valid interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The ψ of the highest likelihood, within the grid.
    pub estimate: f64,
    /// ψ below are excluded; 0 where none is.
    pub lower: f64,
    /// ψ above are excluded; `None` where none is.
    pub upper: Option<f64>,
}

/// A window in which one arm had no exposure is kept open and joined with the next ones, at most so many: a candidate with
/// one request in a minute would otherwise never be compared.
pub const JOINED_WINDOWS_MAX: u32 = 300;

/// A window is kept open only while no arm has had more exposure than this. An arm that is silent while the other takes
/// real traffic is not slow, it is out of load, and must not be compared with another time.
pub const JOINED_EXPOSURE_MAX: u64 = 500;

/// The sequential state of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Engine {
    settings: EngineSettings,
    /// Σ ll(ψ_j) − ll(ψ0) over the windows, for the points of the grid and then for ψ1.
    sums: Vec<f64>,
    totals: Table,
    /// Windows waiting for exposure of the other arm, joined.
    open: Table,
    open_windows: u32,
    windows: u64,
    refused: u64,
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(settings: EngineSettings) -> Engine {
        Engine {
            settings,
            sums: vec![0.0; GRID_LEN + 1],
            totals: Table::default(),
            open: Table::default(),
            open_windows: 0,
            windows: 0,
            refused: 0,
        }
    }

    /// Takes one window; the evidence has changed if it says [`Taken::Counted`].
    pub fn handle_window(&mut self, window: &Table) -> Taken {
        if window.check(self.settings.exposure) == Taken::Impossible {
            self.refused += 1;
            return Taken::Impossible;
        }
        let mut table = self.open;
        table.add(window);
        if table.check(self.settings.exposure) != Taken::Counted {
            self.keep_open(table);
            return Taken::OneArmOnly;
        }
        (self.open, self.open_windows) = (Table::default(), 0);
        self.windows += 1;
        self.totals.add(&table);
        // Without events the conditional likelihood is the same for every ψ.
        if table.events() == 0 {
            return Taken::WithoutEvents;
        }
        self.add_likelihood(&table);
        Taken::Counted
    }

    fn keep_open(&mut self, table: Table) {
        let exposure = table.candidate.exposure.max(table.current.exposure);
        let keeps = self.open_windows < JOINED_WINDOWS_MAX && exposure <= JOINED_EXPOSURE_MAX;
        (self.open, self.open_windows) = if keeps { (table, self.open_windows + 1) } else { (Table::default(), 0) };
    }

    fn add_likelihood(&mut self, table: &Table) {
        let (null, pass) = (self.settings.fail_null, self.settings.pass_null);
        let mut psis = [0.0; GRID_LEN + 2];
        let mut log_psis = [0.0; GRID_LEN + 2];
        psis[..GRID_LEN].copy_from_slice(PSIS.as_slice());
        for (index, log) in log_psis[..GRID_LEN].iter_mut().enumerate() {
            *log = log_psi(index);
        }
        (psis[GRID_LEN], log_psis[GRID_LEN]) = (pass, pass.ln());
        (psis[GRID_LEN + 1], log_psis[GRID_LEN + 1]) = (null, null.ln());
        let mut out = [0.0; GRID_LEN + 2];
        likelihood::log_likelihood(table, self.settings.exposure, &psis, &log_psis, &mut out);
        let at_null = out[GRID_LEN + 1];
        for (sum, value) in self.sums.iter_mut().zip(out) {
            *sum += value - at_null;
        }
    }

    /// ln E against ψ ≤ ψ0: the candidate is worse.
    pub fn fail_log_evidence(&self) -> f64 {
        let null = self.settings.fail_null.ln();
        let alternatives = points_within(null + FAIL_FACTORS.0.ln(), null + FAIL_FACTORS.1.ln());
        self.log_evidence(0.0, null, alternatives, |place| FAIL_PRIOR[place.min(FAIL_PRIOR.len() - 1)])
    }

    /// ln E′ against ψ ≥ ψ1: the candidate is no worse than tolerated.
    pub fn pass_log_evidence(&self) -> f64 {
        let null = self.settings.pass_null.ln();
        let alternatives = points_within(null + PASS_FACTORS.0.ln(), null + PASS_FACTORS.1.ln());
        self.log_evidence(self.sums[GRID_LEN], null, alternatives, |_| 1.0)
    }

    /// The mixture's log evidence for alternatives on the grid against one null, given with its own sum. `prior` weighs
    /// the alternatives by their place, counted from the null.
    fn log_evidence(
        &self,
        null_sum: f64,
        log_null: f64,
        alternatives: std::ops::Range<usize>,
        prior: impl Fn(usize) -> f64,
    ) -> f64 {
        if alternatives.is_empty() {
            return 0.0;
        }
        let dispersion = &self.settings.dispersion;
        // Neighbours are one step apart, so only the first distance has to be measured.
        let rises = log_psi(alternatives.start) > log_null;
        let nearest = if rises { alternatives.start } else { alternatives.end - 1 };
        let first = dispersion.steps_of_distance(log_psi(nearest) - log_null);
        let gain = |j: usize| (self.sums[j] - null_sum) / dispersion.for_steps(first + j.abs_diff(nearest));
        let highest = alternatives.clone().map(gain).fold(f64::NEG_INFINITY, f64::max);
        let (mut sum, mut whole) = (0.0, 0.0);
        for j in alternatives {
            let weight = prior(j.abs_diff(nearest));
            whole += weight;
            sum += weight * (gain(j) - highest).exp();
        }
        highest + (sum / whole).ln()
    }

    /// The confidence sequence of level 1 − `alpha` for ψ: what neither side has rejected at 2/α (inversion of the test;
    /// Howard et al. 2021, §1). Nulls are tried at the points of the grid and set in between by straight lines.
    pub fn interval(&self, alpha: f64) -> Interval {
        let threshold = (2.0 / alpha).ln();
        let above = |i: usize| self.log_evidence(self.sums[i], log_psi(i), i + 1..GRID_LEN, |_| 1.0) - threshold;
        let below = |i: usize| self.log_evidence(self.sums[i], log_psi(i), 0..i, |_| 1.0) - threshold;
        let best = (0..GRID_LEN).max_by(|a, b| self.sums[*a].total_cmp(&self.sums[*b])).unwrap_or(0);
        // Evidence against a null falls as the null nears the estimate, so each bound is the one place where it crosses.
        let crossing = |excluded: f64, kept: f64| excluded / (excluded - kept);
        let lower = (0..best)
            .rev()
            .find(|i| above(*i) >= 0.0)
            .map_or(0.0, |i| (log_psi(i) + LOG_STEP * crossing(above(i), above(i + 1)).clamp(0.0, 1.0)).exp());
        let upper = (best + 1..GRID_LEN)
            .find(|i| below(*i) >= 0.0)
            .map(|i| (log_psi(i) - LOG_STEP * crossing(below(i), below(i - 1)).clamp(0.0, 1.0)).exp());
        Interval { estimate: self.peak(best), lower, upper }
    }

    /// The maximum of the parabola through the highest point and its neighbours.
    fn peak(&self, best: usize) -> f64 {
        if best == 0 || best == GRID_LEN - 1 {
            return log_psi(best).exp();
        }
        let (left, middle, right) = (self.sums[best - 1], self.sums[best], self.sums[best + 1]);
        let bend = left - 2.0 * middle + right;
        let shift = if bend < 0.0 { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) } else { 0.0 };
        (log_psi(best) + shift * LOG_STEP).exp()
    }

    /// All counts taken so far.
    pub fn totals(&self) -> &Table {
        &self.totals
    }

    /// Windows counted (both arms exposed).
    pub fn windows(&self) -> u64 {
        self.windows
    }

    /// Windows refused as impossible.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// How it is set.
    pub fn settings(&self) -> &EngineSettings {
        &self.settings
    }
}
