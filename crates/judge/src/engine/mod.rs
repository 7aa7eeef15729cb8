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
//! - **E3** the state is some sums for each point of the grid and a table per stratum, for ever; it survives serialisation in mid-stream.
//! - **E4** no ten seconds multiply the evidence by more than [`BLOCK_GAIN_MAX`] nats, or by more than one event alone would
//!   (`no_ten_seconds_prove_anything_alone`), and the bounded product is still a supermartingale (by enumeration: `a_bounded_block_expects_at_most_one`).

mod block;
mod grid;
mod lanes;
mod laplace;
mod likelihood;
mod sequence;
mod side;
mod strata;
mod table;

pub use block::{BLOCK_GAIN_MAX, BLOCK_MS};
pub use grid::{GRID_LEN, LOG_LOWEST, LOG_STEP, log_psi};
pub use likelihood::beta_mixture_log_evidence;
pub use sequence::{Interval, SIDE_SHARE};
pub use strata::{JOINED_EXPOSURE_MAX, JOINED_WINDOWS_MAX, SMALL_EXPOSURE, SMALL_WINDOWS_JOINED, STRATA_MAX};
pub use table::{COUNT_MAX, Count, Exposure, Table, Taken};

use crate::dispersion::Dispersion;
use block::{Block, Track};
use grid::{LOG_PSIS, PSIS, points_within};
use sequence::Sequence;
use serde::{Deserialize, Serialize};
use side::{Prior, Side};
use strata::Strata;

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
    /// Phases of the rollout, over all of which the error probability is one.
    #[serde(default = "one_phase")]
    pub phases: u16,
}

fn one_phase() -> u16 {
    1
}

impl Default for EngineSettings {
    fn default() -> Self {
        EngineSettings {
            exposure: Exposure::Trials,
            fail_null: 1.25,
            pass_null: 2.0,
            dispersion: Dispersion::none(),
            phases: 1,
        }
    }
}

impl EngineSettings {
    /// Multiplies the FAIL null by the upper bound of the host's own ratio to its peers, and the PASS null by the lower
    /// (JUDGE §1, host effect): what the host may do alone is part of the null on both sides.
    #[must_use]
    pub fn with_host_effect(mut self, host: &crate::host::HostEffect) -> EngineSettings {
        self.fail_null *= host.upper.max(1.0);
        // A host that is at least so much worse by itself leaves as much to a release that is no worse.
        self.pass_null *= host.lower;
        self
    }
}

/// The share of the evidence that a release of several phases has over all of them; the rest is for the phases after the first, each of
/// which is also judged from its own beginning.
const WHOLE_SHARE: f64 = 0.7;

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
    block: Block,
    /// The evidence since the beginning, and since the beginning of the phase, if it is not the first.
    whole: Track,
    phase: Option<Track>,
    sequence: Sequence,
    totals: Table,
    open: Strata,
    clock_ms: u64,
    windows: u64,
    refused: u64,
}

impl From<State> for Engine {
    fn from(mut state: State) -> Engine {
        let (fail, pass) = sides(&state.settings);
        // A state from a file may have any length.
        state.sums.resize(GRID_LEN + 1, 0.0);
        state.whole.fit(&fail, &pass);
        state.phase.iter_mut().for_each(|track| track.fit(&fail, &pass));
        state.sequence.fit();
        Engine { state, fail, pass }
    }
}

impl From<Engine> for State {
    fn from(engine: Engine) -> State {
        engine.state
    }
}

fn sides(settings: &EngineSettings) -> (Side, Side) {
    let (fail_log, pass_log) = (settings.fail_null.ln(), settings.pass_null.ln());
    let within = |null: f64, (from, to): (f64, f64)| points_within(null + from.ln(), null + to.ln());
    let fail = Side::new(fail_log, within(fail_log, FAIL_FACTORS), &FAIL_PRIOR, &settings.dispersion);
    let pass = Side::new(pass_log, within(pass_log, PASS_FACTORS), &FLAT_PRIOR, &settings.dispersion);
    (fail, pass)
}

impl Engine {
    /// An engine that has seen nothing.
    pub fn new(settings: EngineSettings) -> Engine {
        let (fail, pass) = sides(&settings);
        let state = State {
            settings,
            sums: vec![0.0; GRID_LEN + 1],
            block: Block::default(),
            whole: Track::new(&fail, &pass),
            phase: None,
            sequence: Sequence::default(),
            totals: Table::default(),
            open: Strata::default(),
            clock_ms: 0,
            windows: 0,
            refused: 0,
        };
        Engine { state, fail, pass }
    }

    /// Takes one window of a second that has no strata, a second after the last.
    pub fn handle_window(&mut self, window: &Table) -> Taken {
        self.handle_stratum(self.state.clock_ms + 1_000, 0, window)
    }

    /// Takes one stratum of the window that ended at `end_ms`; the evidence has changed if it says [`Taken::Counted`].
    pub fn handle_stratum(&mut self, end_ms: u64, stratum: u16, window: &Table) -> Taken {
        let State { settings, clock_ms, .. } = &mut self.state;
        *clock_ms = end_ms.max(*clock_ms);
        if window.check(settings.exposure) == Taken::Impossible {
            self.state.refused += 1;
            return Taken::Impossible;
        }
        let table = match self.state.open.join(stratum, window, self.state.settings.exposure) {
            Ok(table) => table,
            Err(taken) => return taken,
        };
        self.state.windows += 1;
        self.state.totals.add(&table);
        // Without events the conditional likelihood is the same for every ψ.
        if table.events() == 0 {
            return Taken::WithoutEvents;
        }
        if self.state.block.is_over(self.state.clock_ms) {
            self.close_block();
        }
        let ratio = table.candidate.exposure as f64 / table.current.exposure as f64;
        let gains = self.gains(&table);
        self.state.block.add(self.state.clock_ms, ratio, &gains);
        Taken::Counted
    }

    /// A new phase begins, in which a verdict asks for proof of its own. What was seen before goes on to count.
    pub fn begin_phase(&mut self) {
        self.close_block();
        self.state.phase = Some(Track::new(&self.fail, &self.pass));
    }

    fn close_block(&mut self) {
        let State { block, whole, phase, sequence, sums, settings, .. } = &mut self.state;
        let Some(of_block) = block.sums() else { return };
        whole.close(block, &self.fail, &self.pass);
        phase.iter_mut().for_each(|track| track.close(block, &self.fail, &self.pass));
        sequence.close(block, sums, &settings.dispersion);
        sums.iter_mut().zip(of_block).for_each(|(sum, gain)| *sum += gain);
        block.clear();
    }

    /// ll(ψ) − ll(ψ0) of one table, for the points of the grid and then for ψ1.
    fn gains(&self, table: &Table) -> [f64; GRID_LEN + 1] {
        let (pass, fail) = (self.pass.log_null, self.fail.log_null);
        let EngineSettings { exposure, fail_null, pass_null, .. } = &self.state.settings;
        let (mut psis, mut log_psis) = ([0.0; GRID_LEN + 2], [0.0; GRID_LEN + 2]);
        psis[..GRID_LEN].copy_from_slice(&PSIS[..]);
        psis[GRID_LEN..].copy_from_slice(&[*pass_null, *fail_null]);
        log_psis[..GRID_LEN].copy_from_slice(&LOG_PSIS[..]);
        log_psis[GRID_LEN..].copy_from_slice(&[pass, fail]);
        let mut out = [0.0; GRID_LEN + 2];
        likelihood::log_likelihood(table, *exposure, &psis, &log_psis, &mut out);
        std::array::from_fn(|point| out[point] - out[GRID_LEN + 1])
    }

    /// ln E against ψ ≤ ψ0: the candidate is worse.
    pub fn fail_log_evidence(&self) -> f64 {
        let State { whole, phase, block, settings, .. } = &self.state;
        let of_whole = whole.fail_log_evidence(block, &self.fail);
        if settings.phases <= 1 {
            return of_whole;
        }
        let of_phase = phase.as_ref().map_or(0.0, |track| track.fail_log_evidence(block, &self.fail));
        let share = (1.0 - WHOLE_SHARE) / f64::from(settings.phases - 1);
        crate::special::log_sum_exp([WHOLE_SHARE.ln() + of_whole, share.ln() + of_phase].into_iter())
    }

    /// ln E′ against ψ ≥ ψ1: the candidate is no worse than tolerated, in this phase.
    pub fn pass_log_evidence(&self) -> f64 {
        let State { whole, phase, block, .. } = &self.state;
        phase.as_ref().unwrap_or(whole).pass_log_evidence(block, &self.pass)
    }

    /// The confidence sequence of level 1 − `alpha` for ψ, at every moment. Each side of it errs with [`SIDE_SHARE`] of `alpha`; the rest
    /// is for FAIL's own test, and where that rejects ψ0 the interval begins no lower: it never holds what is called disproven.
    pub fn interval(&self, alpha: f64) -> Interval {
        let State { sums, block, sequence, settings, .. } = &self.state;
        let (mut lower, upper) = sequence.bounds(block, sums, &settings.dispersion, alpha);
        if self.fail_log_evidence() >= -(alpha * (1.0 - 2.0 * SIDE_SHARE)).ln() {
            lower = lower.max(settings.fail_null);
        }
        let mut all = [0.0; GRID_LEN];
        all.copy_from_slice(&sums[..GRID_LEN]);
        if let Some(of_block) = block.sums() {
            all.iter_mut().zip(of_block).for_each(|(sum, gain)| *sum += gain);
        }
        let estimate = peak(&all).max(lower).min(upper.unwrap_or(f64::INFINITY));
        Interval { estimate, lower, upper: upper.map(|upper| upper.max(lower)) }
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

/// The ψ of the maximum of the parabola through the highest point and its neighbours.
fn peak(sums: &[f64; GRID_LEN]) -> f64 {
    let best = (0..GRID_LEN).max_by(|a, b| sums[*a].total_cmp(&sums[*b])).unwrap_or(0);
    if best == 0 || best == GRID_LEN - 1 {
        return log_psi(best).exp();
    }
    let (left, middle, right) = (sums[best - 1], sums[best], sums[best + 1]);
    let bend = left - 2.0 * middle + right;
    let shift = if bend < 0.0 { (0.5 * (left - right) / bend).clamp(-0.5, 0.5) } else { 0.0 };
    (log_psi(best) + shift * LOG_STEP).exp()
}
