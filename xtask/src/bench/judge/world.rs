//! The simulated service: traffic, base rate and how errors come, second by second, for both arms.

use super::chance::Chance;
use gapless_judge::dispersion::{Dispersion, DispersionEstimate};
use gapless_judge::engine::{Exposure, Table};
use gapless_judge::planner::rate_at;

/// Seconds a rollout is watched.
pub const HORIZON_S: usize = 3_600;

/// Mean errors of one incident where errors come in bursts: the client tries again and again.
pub const BURST_MEAN: f64 = 4.0;

/// Mean seconds between an incident and each of its errors.
const BURST_SPREAD_S: f64 = 5.0;

/// Errors of an incident fall within so many seconds.
const BURST_SLOTS: usize = 64;

/// Instances of the current release.
const INSTANCES: usize = 4;

/// The time before the rollout from which dispersion is estimated: a day.
const HISTORY_S: u64 = 86_400;

/// How base rate and traffic go over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// Neither changes.
    Constant,
    /// Both swing by half; a whole day is pressed into the hour.
    Daily,
    /// A dependency fails for three minutes: 30 % of the requests of both arms.
    Outage,
    /// Errors come in bursts that stay on one arm.
    Bursts,
}

impl Shape {
    /// All of them.
    pub const ALL: [Shape; 4] = [Shape::Constant, Shape::Daily, Shape::Outage, Shape::Bursts];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Constant => "constant",
            Shape::Daily => "daily",
            Shape::Outage => "outage",
            Shape::Bursts => "bursts",
        }
    }
}

/// One cell of the grid.
#[derive(Debug, Clone, Copy)]
pub struct Cell {
    /// Requests per second of both arms together.
    pub traffic: f64,
    /// The candidate's share.
    pub share: f64,
    /// Share of the current release's requests that fail.
    pub base: f64,
    /// How it goes over time.
    pub shape: Shape,
}

/// One rollout, second by second.
pub struct World {
    cell: Cell,
    psi: f64,
    chance: Chance,
    second: usize,
    pending: [[u32; BURST_SLOTS]; 2],
}

impl World {
    /// A rollout of a candidate whose odds of an error are `psi` times the current release's.
    pub fn new(cell: Cell, psi: f64, seed: u64) -> World {
        World { cell, psi, chance: Chance::new(seed), second: 0, pending: [[0; BURST_SLOTS]; 2] }
    }

    /// The factor of the traffic, and the current release's error rate, at one second.
    pub fn conditions(&self, second: usize) -> (f64, f64) {
        let base = self.cell.base;
        match self.cell.shape {
            Shape::Daily => {
                let wave = 1.0 + 0.5 * (std::f64::consts::TAU * second as f64 / HORIZON_S as f64).sin();
                (wave, base * wave)
            }
            Shape::Outage if (1_200..1_380).contains(&second) => (1.0, base.max(0.3)),
            _ => (1.0, base),
        }
    }

    /// The counts of the next second.
    pub fn step(&mut self) -> Table {
        let (wave, base) = self.conditions(self.second);
        let Cell { traffic, share, shape, .. } = self.cell;
        let bad = rate_at(base, self.psi, Exposure::Trials);
        let arms = [(traffic * wave * share, bad, 0), (traffic * wave * (1.0 - share), base, 1)];
        let [candidate, current] = arms.map(|(rate, fails, arm)| {
            let requests = self.chance.poisson(rate);
            if shape == Shape::Bursts {
                self.burst(arm, requests, fails)
            } else {
                (requests, self.chance.binomial(requests, fails))
            }
        });
        self.second += 1;
        Table::new(candidate, current)
    }

    /// Incidents start now and give their errors, each a further request, over the next seconds.
    fn burst(&mut self, arm: usize, requests: u64, fails: f64) -> (u64, u64) {
        let incidents = self.chance.binomial(requests, fails / BURST_MEAN);
        for _ in 0..incidents {
            for _ in 0..self.chance.geometric(BURST_MEAN) {
                let later = (self.chance.exponential() * BURST_SPREAD_S) as usize % BURST_SLOTS;
                self.pending[arm][(self.second + later) % BURST_SLOTS] += 1;
            }
        }
        let slot = &mut self.pending[arm][self.second % BURST_SLOTS];
        let errors = u64::from(std::mem::take(slot));
        (requests - incidents.min(requests) + errors, errors)
    }
}

/// The dispersion that a judge would have estimated from the time before this rollout.
pub fn estimated_dispersion(cell: Cell, seed: u64) -> Dispersion {
    let mut chance = Chance::new(seed ^ 0x5EED_BEF0_12E0_0001);
    let mut estimate = DispersionEstimate::default();
    let per_instance = cell.traffic / INSTANCES as f64;
    let incidents_per_s = if cell.shape == Shape::Bursts { cell.base / BURST_MEAN } else { cell.base } * per_instance;
    let mut pending = [[0_u32; BURST_SLOTS]; INSTANCES];
    let exposure = (per_instance * 100.0).round().max(1.0) as u64; // in hundredths of a request: only shares matter
    let (mut second, mut quiet_until) = (0_u64, 0_u64);
    while second < HISTORY_S {
        // Seconds in which nothing happens anywhere are skipped at once.
        if second >= quiet_until && pending.iter().all(|arm| arm.iter().all(|slot| *slot == 0)) {
            let wait = (chance.exponential() / (incidents_per_s * INSTANCES as f64)).min(1e9) as u64;
            let skipped = wait.min(HISTORY_S - second);
            if skipped > 0 {
                estimate.handle_quiet_windows(&[exposure; INSTANCES], skipped);
                second += skipped;
            }
            // The incident that ended the quiet.
            let instance = (chance.bits() % INSTANCES as u64) as usize;
            add_incident(&mut chance, cell, &mut pending[instance], second);
            quiet_until = second + 1;
        } else {
            for instance in &mut pending {
                for _ in 0..chance.poisson(incidents_per_s) {
                    add_incident(&mut chance, cell, instance, second);
                }
            }
        }
        let slot = (second % BURST_SLOTS as u64) as usize;
        let counts = pending.each_mut().map(|instance| (exposure, u64::from(std::mem::take(&mut instance[slot]))));
        estimate.handle_window(&counts);
        second += 1;
    }
    estimate.dispersion()
}

fn add_incident(chance: &mut Chance, cell: Cell, pending: &mut [u32; BURST_SLOTS], second: u64) {
    if cell.shape != Shape::Bursts {
        pending[(second % BURST_SLOTS as u64) as usize] += 1;
        return;
    }
    for _ in 0..chance.geometric(BURST_MEAN) {
        let later = (chance.exponential() * BURST_SPREAD_S) as u64 % BURST_SLOTS as u64;
        pending[((second + later) % BURST_SLOTS as u64) as usize] += 1;
    }
}
