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

impl Cell {
    /// The factor of the traffic, and the current release's error rate, at one second.
    pub fn conditions(&self, second: usize) -> (f64, f64) {
        let base = self.base;
        match self.shape {
            Shape::Daily => {
                let wave = 1.0 + 0.5 * (std::f64::consts::TAU * second as f64 / HORIZON_S as f64).sin();
                (wave, base * wave)
            }
            Shape::Outage if (1_200..1_380).contains(&second) => (1.0, base.max(0.3)),
            _ => (1.0, base),
        }
    }

    /// What the time before the rollout looks like: neither the share nor what happens during the rollout.
    pub fn past(&self) -> Past {
        Past { traffic: self.traffic, base: self.base, bursts: self.shape == Shape::Bursts }
    }
}

/// What a cell's time before the rollout depends on; many cells have the same.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Past {
    /// Requests per second.
    pub traffic: f64,
    /// Share that fails.
    pub base: f64,
    /// Errors come in bursts.
    pub bursts: bool,
}

/// The means of one arm in one second. Requests are Poisson and each fails by itself, so those that fail and those that do
/// not are independent Poisson counts (thinning), and either may be drawn alone.
#[derive(Debug, Clone, Copy)]
struct Means {
    /// Failed requests, or the incidents from which bursts of them come.
    incidents: f64,
    /// The other requests.
    others: f64,
}

/// From this mean on an arm is taken to have requests in every second: it is without any with a probability below 1e-13.
const SURE_MEAN: f64 = 30.0;

/// The means of every second of a cell's rollouts: candidate, then current release.
pub struct Course {
    means: Vec<[Means; 2]>,
    bursts: bool,
    /// Both arms have requests in every second, so that seconds without an error say nothing and need not be drawn.
    sure: bool,
}

impl Course {
    /// Of a candidate whose odds of an error are `psi` times the current release's.
    pub fn new(cell: Cell, psi: f64) -> Course {
        let bursts = cell.shape == Shape::Bursts;
        let means: Vec<[Means; 2]> = (0..HORIZON_S)
            .map(|second| {
                let (wave, base) = cell.conditions(second);
                let bad = rate_at(base, psi, Exposure::Trials);
                [(cell.share, bad), (1.0 - cell.share, base)].map(|(share, fails)| {
                    let requests = cell.traffic * wave * share;
                    let incidents = requests * if bursts { fails / BURST_MEAN } else { fails };
                    Means { incidents, others: requests - incidents }
                })
            })
            .collect();
        let sure = means.iter().flatten().all(|arm| arm.others >= SURE_MEAN);
        Course { means, bursts, sure }
    }
}

/// One rollout, second by second.
pub struct World<'a> {
    course: &'a Course,
    chance: Chance,
    second: usize,
    pending: [[u32; BURST_SLOTS]; 2],
}

impl<'a> World<'a> {
    /// A rollout along this course.
    pub fn new(course: &'a Course, seed: u64) -> World<'a> {
        World { course, chance: Chance::new(seed), second: 0, pending: [[0; BURST_SLOTS]; 2] }
    }

    /// The counts of the next second.
    pub fn step(&mut self) -> Table {
        let (means, errors) = self.draw_errors();
        self.with_others(means, errors)
    }

    /// The same for an engine alone: `None` for a second that cannot change its evidence.
    pub fn step_for_engine(&mut self) -> Option<Table> {
        let (means, errors) = self.draw_errors();
        (!self.course.sure || errors != [0, 0]).then(|| self.with_others(means, errors))
    }

    fn draw_errors(&mut self) -> ([Means; 2], [u64; 2]) {
        let means = self.course.means[self.second];
        let errors = std::array::from_fn(|arm| {
            let incidents = self.chance.poisson(means[arm].incidents);
            if self.course.bursts { self.burst(arm, incidents) } else { incidents }
        });
        self.second += 1;
        (means, errors)
    }

    fn with_others(&mut self, means: [Means; 2], errors: [u64; 2]) -> Table {
        let [candidate, current] =
            std::array::from_fn(|arm| (self.chance.poisson(means[arm].others) + errors[arm], errors[arm]));
        Table::new(candidate, current)
    }

    /// Incidents start now and give their errors, each a further request, over the next seconds. What is due now.
    fn burst(&mut self, arm: usize, incidents: u64) -> u64 {
        for _ in 0..incidents {
            for _ in 0..self.chance.geometric(BURST_MEAN) {
                let later = (self.chance.exponential() * BURST_SPREAD_S) as usize % BURST_SLOTS;
                self.pending[arm][(self.second + later) % BURST_SLOTS] += 1;
            }
        }
        u64::from(std::mem::take(&mut self.pending[arm][self.second % BURST_SLOTS]))
    }
}

/// The dispersion that a judge would have estimated from a time before the rollout.
pub fn estimated_dispersion(past: Past, seed: u64) -> Dispersion {
    let mut chance = Chance::new(seed ^ 0x5EED_BEF0_12E0_0001);
    let mut estimate = DispersionEstimate::default();
    let per_instance = past.traffic / INSTANCES as f64;
    let incidents_per_s = if past.bursts { past.base / BURST_MEAN } else { past.base } * per_instance;
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
            add_incident(&mut chance, past, &mut pending[instance], second);
            quiet_until = second + 1;
        } else {
            for instance in &mut pending {
                for _ in 0..chance.poisson(incidents_per_s) {
                    add_incident(&mut chance, past, instance, second);
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

fn add_incident(chance: &mut Chance, past: Past, pending: &mut [u32; BURST_SLOTS], second: u64) {
    if !past.bursts {
        pending[(second % BURST_SLOTS as u64) as usize] += 1;
        return;
    }
    for _ in 0..chance.geometric(BURST_MEAN) {
        let later = (chance.exponential() * BURST_SPREAD_S) as u64 % BURST_SLOTS as u64;
        pending[((second + later) % BURST_SLOTS as u64) as usize] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_left_out_for_the_engine_are_those_without_errors() {
        let cell = Cell { traffic: 200.0, share: 0.5, base: 0.001, shape: Shape::Constant };
        let course = Course::new(cell, 5.0);
        let mut total = Table::default();
        let (mut taken, mut world) = (0, World::new(&course, 1));
        for _ in 0..HORIZON_S {
            if let Some(table) = world.step_for_engine() {
                assert!(table.events() > 0);
                total.add(&table);
                taken += 1;
            }
        }
        // 0.1 and 0.498 errors per second: e^−0.598 of the seconds have none.
        let share = f64::from(taken) / HORIZON_S as f64;
        assert!((share - (1.0 - (-0.598_f64).exp())).abs() < 0.03, "{share}");
        assert!((total.candidate.events as f64 / 1_793.0 - 1.0).abs() < 0.08, "{total:?}");
    }

    #[test]
    fn an_arm_with_little_traffic_is_drawn_every_second() {
        for shape in Shape::ALL {
            let course = Course::new(Cell { traffic: 100.0, share: 0.1, base: 0.01, shape }, 1.0);
            let mut world = World::new(&course, 2);
            assert!((0..HORIZON_S).all(|_| world.step_for_engine().is_some()));
        }
    }

    #[test]
    fn bursts_have_the_mean_rate_of_single_errors() {
        let course = Course::new(Cell { traffic: 100.0, share: 0.5, base: 0.02, shape: Shape::Bursts }, 1.0);
        let (mut world, mut total) = (World::new(&course, 3), Table::default());
        for _ in 0..HORIZON_S {
            total.add(&world.step());
        }
        let events = total.events() as f64 / (100.0 * 0.02 * HORIZON_S as f64);
        assert!((events - 1.0).abs() < 0.1, "{events}");
    }
}
