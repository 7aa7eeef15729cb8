//! Many rollouts of one cell: how often each rule rolls back, and when.

use super::rivals::{Rival, Rivals};
use super::statistics::median_interval;
use super::world::{BURST_MEAN, Cell, Course, HORIZON_S, Shape, World};
use crate::bench::median::median;
use gapless_judge::dispersion::Dispersion;
use gapless_judge::engine::{Engine, EngineSettings, Exposure, Table, Taken};
use gapless_judge::planner::{Traffic, information, rate_at};

/// α of the judge.
pub const ALPHA: f64 = 0.01;

/// The weight of the errors in a plan in which only they are counted, as here: the shares of logs (.20) and resources (.05)
/// are kept back, those of the absent kinds fall to the errors.
pub const WEIGHT: f64 = 0.75;

/// ψ0.
pub const NULL: f64 = 1.25;

/// Below this ln E a healthy rollout is not followed further: by Ville's inequality it comes back to the threshold with a
/// probability below e^−19; that of a dispersion estimated at half its value would make it e^−9, still 1 % of α.
const HOPELESS: f64 = -15.0;

/// What a batch of rollouts does.
#[derive(Debug, Clone, Copy)]
pub struct Batch {
    /// The cell.
    pub cell: Cell,
    /// The candidate's true odds ratio.
    pub psi: f64,
    /// How many of the first rollouts are also judged by the rivals.
    pub rivals: u64,
    /// Seed of the batch; rollout i has seed + i.
    pub seed: u64,
}

/// When the rules rolled back.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Rollouts so far.
    pub rollouts: u64,
    /// Rollouts so far that the rivals judged too.
    pub rivals: u64,
    /// Ours: seconds of each roll-back.
    pub ours_s: Vec<f64>,
    /// The rivals' seconds of each roll-back.
    pub rivals_s: [Vec<f64>; Rival::ALL.len()],
    /// Sum of the dispersions estimated.
    pub dispersion_sum: f64,
}

/// Goes on with a batch until it has `rollouts` of them; the same batch gives the same outcome, whatever the steps. The
/// rollouts take the histories in turn.
pub fn run(batch: &Batch, histories: &[Dispersion], rollouts: u64, outcome: &mut Outcome) {
    let course = Course::new(batch.cell, batch.psi);
    for index in outcome.rollouts..rollouts {
        let dispersion = histories[index as usize % histories.len()].clone();
        outcome.rollouts += 1;
        outcome.dispersion_sum += dispersion.index();
        let mut world = World::new(&course, batch.seed.wrapping_add(index));
        let mut rivals = (index < batch.rivals).then(Rivals::default);
        let mut ours = Ours::new(dispersion, batch.psi <= 1.0);
        for second in 0..HORIZON_S {
            if let Some(rivals) = &mut rivals {
                let table = world.step();
                rivals.handle_second(second, &table);
                ours.handle_second(second, &table);
            } else if let Some(table) = world.step_for_engine() {
                ours.handle_second(second, &table);
            }
            if ours.closed && rivals.is_none() {
                break;
            }
        }
        outcome.ours_s.extend(ours.rolled_back_s);
        if let Some(rivals) = rivals {
            outcome.rivals += 1;
            for (seconds, rolled_back) in outcome.rivals_s.iter_mut().zip(rivals.rolled_back_s) {
                seconds.extend(rolled_back.map(f64::from));
            }
        }
    }
}

/// One rollout under our rule.
struct Ours {
    engine: Engine,
    threshold: f64,
    healthy: bool,
    closed: bool,
    rolled_back_s: Option<f64>,
}

impl Ours {
    fn new(dispersion: Dispersion, healthy: bool) -> Ours {
        let engine = Engine::new(EngineSettings { fail_null: NULL, dispersion, ..EngineSettings::default() });
        Ours { engine, threshold: (1.0 / (ALPHA * WEIGHT)).ln(), healthy, closed: false, rolled_back_s: None }
    }

    fn handle_second(&mut self, second: usize, table: &Table) {
        // Seconds that say nothing are left out, so the engine's clock has to be told: its blocks are of ten seconds.
        let end_ms = (second as u64 + 1) * 1_000;
        if self.closed || self.engine.handle_stratum(end_ms, 0, table) != Taken::Counted {
            return;
        }
        let evidence = self.engine.fail_log_evidence();
        if evidence >= self.threshold {
            self.rolled_back_s = Some((second + 1) as f64);
            self.closed = true;
        } else if evidence < HOPELESS && self.healthy {
            self.closed = true;
        }
    }
}

/// The median over all rollouts, those never rolled back being the latest; `None` where more than half never were.
pub fn median_delay(seconds: &[f64], rollouts: u64) -> Option<f64> {
    median(&mut delays(seconds, rollouts)).filter(|delay| delay.is_finite())
}

/// The 99 % interval of that median; infinite where it is not known to be within the rollout.
pub fn median_delay_interval(seconds: &[f64], rollouts: u64) -> Option<(f64, f64)> {
    let mut delays = delays(seconds, rollouts);
    delays.sort_by(f64::total_cmp);
    median_interval(&delays)
}

fn delays(seconds: &[f64], rollouts: u64) -> Vec<f64> {
    let mut delays = seconds.to_vec();
    delays.resize(rollouts as usize, f64::INFINITY);
    delays
}

/// The seconds any level-α test needs about: until the information reaches ln(1/α), rounded up to whole seconds since no
/// rule looks more often. Clusters are counted as D = 2μ − 1 events carrying the information of one (quasi-likelihood).
pub fn bound_s(cell: Cell, psi: f64) -> Option<f64> {
    let bursts = cell.shape == Shape::Bursts;
    let needed = (1.0 / ALPHA).ln() * if bursts { 2.0 * BURST_MEAN - 1.0 } else { 1.0 };
    // Where clients try again the errors are requests too, which lowers the rate and the odds ratio.
    let seen = |rate: f64| if bursts { rate / (1.0 - rate / BURST_MEAN + rate) } else { rate };
    let mut gathered = 0.0;
    for second in 0..HORIZON_S {
        let (wave, base) = cell.conditions(second);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_in_steps_is_the_batch_in_one() {
        let cell = Cell { traffic: 100.0, share: 0.5, base: 0.01, shape: Shape::Constant };
        let batch = Batch { cell, psi: 3.0, rivals: 3, seed: 5 };
        let histories = [Dispersion::none()];
        let (mut steps, mut once) = (Outcome::default(), Outcome::default());
        run(&batch, &histories, 4, &mut steps);
        run(&batch, &histories, 10, &mut steps);
        run(&batch, &histories, 10, &mut once);
        assert_eq!((steps.rollouts, steps.rivals), (10, 3));
        assert_eq!(steps.ours_s, once.ours_s);
        assert_eq!(steps.rivals_s, once.rivals_s);
        assert_eq!(once.ours_s.len(), 10, "three times the errors of 100 requests a second are found");
    }
}
