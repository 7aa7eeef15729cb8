//! Many rollouts of one cell: how often each rule rolls back, and when.

use super::rivals::{Rival, Rivals};
use super::statistics::median;
use super::world::{BURST_MEAN, Cell, HORIZON_S, Shape, World};
use gapless_judge::dispersion::Dispersion;
use gapless_judge::engine::{Engine, EngineSettings, Exposure, Taken};
use gapless_judge::planner::{Traffic, information, rate_at};

/// α of the judge.
pub const ALPHA: f64 = 0.01;

/// The weight of the errors in a plan in which only they are counted, as here: the shares of logs (.20) and resources (.05)
/// are kept back, those of the absent kinds fall to the errors.
pub const WEIGHT: f64 = 0.75;

/// ψ0.
pub const NULL: f64 = 1.25;

/// Below this ln E a healthy rollout is not followed further: by Ville's inequality it comes back to 1/α with a
/// probability below e^−40.
const HOPELESS: f64 = -40.0;

/// What a batch of rollouts does.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// The cell.
    pub cell: Cell,
    /// The candidate's true odds ratio.
    pub psi: f64,
    /// How many rollouts.
    pub rollouts: u64,
    /// How many of them are also judged by the rivals.
    pub rivals: u64,
    /// Seed of the batch; rollout i has seed + i.
    pub seed: u64,
}

/// When the rules rolled back.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Ours: seconds of each roll-back.
    pub ours_s: Vec<f64>,
    /// The rivals' seconds of each roll-back.
    pub rivals_s: [Vec<f64>; Rival::ALL.len()],
    /// Sum of the dispersions estimated.
    pub dispersion_sum: f64,
}

/// Runs a batch; the same batch gives the same outcome. The rollouts take the histories in turn.
pub fn run(batch: &Batch, histories: &[Dispersion]) -> Outcome {
    let mut outcome = Outcome::default();
    for index in 0..batch.rollouts {
        let seed = batch.seed.wrapping_add(index);
        let dispersion = histories[index as usize % histories.len()].clone();
        outcome.dispersion_sum += dispersion.index();
        let mut engine = Engine::new(EngineSettings { fail_null: NULL, dispersion, ..EngineSettings::default() });
        let mut world = World::new(batch.cell, batch.psi, seed);
        let mut rivals = (index < batch.rivals).then(Rivals::default);
        let threshold = (1.0 / (ALPHA * WEIGHT)).ln();
        let mut ours = Watch::Open;
        for second in 0..HORIZON_S {
            let table = world.step();
            if let Some(rivals) = &mut rivals {
                rivals.handle_second(second, &table);
            }
            if ours == Watch::Open && engine.handle_window(&table) == Taken::Counted {
                let evidence = engine.fail_log_evidence();
                if evidence >= threshold {
                    outcome.ours_s.push((second + 1) as f64);
                    ours = Watch::Closed;
                } else if evidence < HOPELESS && batch.psi <= 1.0 {
                    ours = Watch::Closed;
                }
            }
            if ours == Watch::Closed && rivals.is_none() {
                break;
            }
        }
        for (seconds, rolled_back) in outcome.rivals_s.iter_mut().zip(rivals.unwrap_or_default().rolled_back_s) {
            seconds.extend(rolled_back.map(f64::from));
        }
    }
    outcome
}

#[derive(PartialEq, Eq)]
enum Watch {
    Open,
    Closed,
}

/// The median over all rollouts, those never rolled back being the latest; `None` where more than half never were.
pub fn median_delay(seconds: &[f64], rollouts: u64) -> Option<f64> {
    let mut all = seconds.to_vec();
    all.resize(rollouts as usize, f64::INFINITY);
    median(&mut all).filter(|delay| delay.is_finite())
}

/// The seconds any level-α test needs about: until the information reaches ln(1/α), rounded up to whole seconds since no
/// rule looks more often. Clusters are counted as D = 2μ − 1 events carrying the information of one (quasi-likelihood).
pub fn bound_s(cell: Cell, psi: f64) -> Option<f64> {
    let world = World::new(cell, psi, 0);
    let bursts = cell.shape == Shape::Bursts;
    let needed = (1.0 / ALPHA).ln() * if bursts { 2.0 * BURST_MEAN - 1.0 } else { 1.0 };
    // Where clients try again the errors are requests too, which lowers the rate and the odds ratio.
    let seen = |rate: f64| if bursts { rate / (1.0 - rate / BURST_MEAN + rate) } else { rate };
    let mut gathered = 0.0;
    for second in 0..HORIZON_S {
        let (wave, base) = world.conditions(second);
        let (rate, bad) = (seen(base), seen(rate_at(base, psi, Exposure::Trials)));
        let traffic = cell.traffic * wave;
        let traffic = Traffic { candidate: traffic * cell.share, current: traffic * (1.0 - cell.share), rate };
        gathered += information(&traffic, Exposure::Trials, bad / (1.0 - bad) * (1.0 - rate) / rate, NULL);
        if gathered >= needed {
            return Some((second + 1) as f64);
        }
    }
    None
}
