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
//! - **E2** a window without both arms' exposure, or with little of it, waits, within bounds, for the next; an impossible one changes nothing.
//! - **E3** the state is [`GRID_LEN`] + 1 sums and four counts, for ever; it survives serialisation in mid-stream.

mod grid;
mod lanes;
mod laplace;
mod likelihood;
mod side;
mod table;

pub use grid::{GRID_LEN, LOG_LOWEST, LOG_STEP, log_psi};
pub use likelihood::beta_mixture_log_evidence;
pub use table::{COUNT_MAX, Count, Exposure, Table, Taken};

use crate::dispersion::Dispersion;
use grid::{LOG_PSIS, PSIS, points_within};
use serde::{Deserialize, Serialize};
use side::{Prior, Side};

/// The nearest and the farthest alternative to the FAIL null, as factors of it (JUDGE §1: 24 values 1.1 … 100).
const FAIL_FACTORS: (f64, f64) = (1.1, 100.0);

/// The prior weights of the FAIL alternatives, from the nearest to the farthest, up to a factor. Least lies on the nearest, which need so
/// many events that a nat less costs them little, and on the farthest, which their neighbours help out; a little more than the
/// average lies on 15 … 30 times the null, where a release is found within seconds and every nat is another one. Against a flat
/// prior this saves about 0.4 nats (5 % of the delay) where it counts.
static FAIL_PRIOR: Prior = Prior::of(&[
    1.0, 2.0, 3.0, 5.0, 6.0, 6.0, 6.0, 6.0, 5.0, 5.0, 5.0, 5.0, 5.0, 6.0, 7.0, 8.0, 8.0, 7.0, 4.0, 2.0, 1.0, 1.0, 1.0,
    1.0,
]);

/// Equal weights.
static FLAT_PRIOR: Prior = Prior::of(&[1.0; GRID_LEN]);

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

/// Windows with fewer exposures than this, of both arms together, are joined with the next ones, at most [`SMALL_WINDOWS_JOINED`]. Given its
/// margins a table of N exposures keeps about (N − 1)/N of what they say: of two requests a second, half. Whether to join depends
/// on exposures alone, never on events, so the test stays valid.
pub const SMALL_EXPOSURE: u64 = 10;

/// So many windows at most are joined because they are small: longer, and waiting would cost more than it saves.
pub const SMALL_WINDOWS_JOINED: u32 = 10;

/// A window is kept open only while no arm has had more exposure than this. An arm that is silent while the other takes
/// real traffic is not slow, it is out of load, and must not be compared with another time.
pub const JOINED_EXPOSURE_MAX: u64 = 500;

/// The sequential state of one metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(from = "State", into = "State")]
pub struct Engine {
    state: State,
    /// What follows from the settings, worked out once.
    fail: Side,
    pass: Side,
}

/// What has been seen, and is kept.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct State {
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

impl From<State> for Engine {
    fn from(mut state: State) -> Engine {
        // A state from a file may have any length.
        state.sums.resize(GRID_LEN + 1, 0.0);
        let EngineSettings { fail_null, pass_null, dispersion, .. } = &state.settings;
        let (fail_log, pass_log) = (fail_null.ln(), pass_null.ln());
        let within = |null: f64, (from, to): (f64, f64)| points_within(null + from.ln(), null + to.ln());
        Engine {
            fail: Side::new(fail_log, within(fail_log, FAIL_FACTORS), &FAIL_PRIOR, dispersion),
            pass: Side::new(pass_log, within(pass_log, PASS_FACTORS), &FLAT_PRIOR, dispersion),
            state,
        }
    }
}

impl From<Engine> for State {
    fn from(engine: Engine) -> State {
        engine.state
    }
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(settings: EngineSettings) -> Engine {
        Engine::from(State {
            settings,
            sums: vec![0.0; GRID_LEN + 1],
            totals: Table::default(),
            open: Table::default(),
            open_windows: 0,
            windows: 0,
            refused: 0,
        })
    }

    /// Takes one window; the evidence has changed if it says [`Taken::Counted`].
    pub fn handle_window(&mut self, window: &Table) -> Taken {
        if window.check(self.state.settings.exposure) == Taken::Impossible {
            self.state.refused += 1;
            return Taken::Impossible;
        }
        let mut table = self.state.open;
        table.add(window);
        if table.check(self.state.settings.exposure) != Taken::Counted {
            self.keep_open(table);
            return Taken::OneArmOnly;
        }
        let small = self.state.settings.exposure == Exposure::Trials
            && table.candidate.exposure + table.current.exposure < SMALL_EXPOSURE;
        if small && self.state.open_windows + 1 < SMALL_WINDOWS_JOINED {
            (self.state.open, self.state.open_windows) = (table, self.state.open_windows + 1);
            return Taken::Joined;
        }
        (self.state.open, self.state.open_windows) = (Table::default(), 0);
        self.state.windows += 1;
        self.state.totals.add(&table);
        // Without events the conditional likelihood is the same for every ψ.
        if table.events() == 0 {
            return Taken::WithoutEvents;
        }
        self.add_likelihood(&table);
        Taken::Counted
    }

    fn keep_open(&mut self, table: Table) {
        let exposure = table.candidate.exposure.max(table.current.exposure);
        let keeps = self.state.open_windows < JOINED_WINDOWS_MAX && exposure <= JOINED_EXPOSURE_MAX;
        (self.state.open, self.state.open_windows) =
            if keeps { (table, self.state.open_windows + 1) } else { (Table::default(), 0) };
    }

    fn add_likelihood(&mut self, table: &Table) {
        let (pass, fail) = (self.pass.log_null, self.fail.log_null);
        let EngineSettings { exposure, fail_null, pass_null, .. } = &self.state.settings;
        let (mut psis, mut log_psis) = ([0.0; GRID_LEN + 2], [0.0; GRID_LEN + 2]);
        psis[..GRID_LEN].copy_from_slice(&PSIS[..]);
        psis[GRID_LEN..].copy_from_slice(&[*pass_null, *fail_null]);
        log_psis[..GRID_LEN].copy_from_slice(&LOG_PSIS[..]);
        log_psis[GRID_LEN..].copy_from_slice(&[pass, fail]);
        let mut out = [0.0; GRID_LEN + 2];
        likelihood::log_likelihood(table, *exposure, &psis, &log_psis, &mut out);
        let at_null = out[GRID_LEN + 1];
        for (sum, value) in self.state.sums.iter_mut().zip(&out) {
            *sum += value - at_null;
        }
    }

    /// ln E against ψ ≤ ψ0: the candidate is worse.
    pub fn fail_log_evidence(&self) -> f64 {
        self.fail.log_evidence(&self.state.sums, 0.0)
    }

    /// ln E′ against ψ ≥ ψ1: the candidate is no worse than tolerated.
    pub fn pass_log_evidence(&self) -> f64 {
        self.pass.log_evidence(&self.state.sums, self.state.sums[GRID_LEN])
    }

    /// The confidence sequence of level 1 − `alpha` for ψ: what neither side has rejected at 2/α (inversion of the test;
    /// Howard et al. 2021, §1). Nulls are tried at the points of the grid and set in between by straight lines.
    pub fn interval(&self, alpha: f64) -> Interval {
        let threshold = (2.0 / alpha).ln();
        let against = |i: usize, alternatives: std::ops::Range<usize>| {
            let side = Side::new(log_psi(i), alternatives, &FLAT_PRIOR, &self.state.settings.dispersion);
            side.log_evidence(&self.state.sums, self.state.sums[i]) - threshold
        };
        let above = |i: usize| against(i, i + 1..GRID_LEN);
        let below = |i: usize| against(i, 0..i);
        let best = (0..GRID_LEN).max_by(|a, b| self.state.sums[*a].total_cmp(&self.state.sums[*b])).unwrap_or(0);
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
        let (left, middle, right) = (self.state.sums[best - 1], self.state.sums[best], self.state.sums[best + 1]);
        let bend = left - 2.0 * middle + right;
        let shift = if bend < 0.0 { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) } else { 0.0 };
        (log_psi(best) + shift * LOG_STEP).exp()
    }

    /// All counts taken so far.
    pub fn totals(&self) -> &Table {
        &self.state.totals
    }

    /// Windows counted (both arms exposed).
    pub fn windows(&self) -> u64 {
        self.state.windows
    }

    /// Windows refused as impossible.
    pub fn refused(&self) -> u64 {
        self.state.refused
    }

    /// How it is set.
    pub fn settings(&self) -> &EngineSettings {
        &self.state.settings
    }
}
