//! Block means of a gauge, candidate against the median of its peers, with an asymptotic confidence sequence.

use gapless_model::{Millis, Tick};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// The length of a block: long against the autocorrelation of CPU and memory samples (JUDGE §3: 60–120 s).
pub const BLOCK: Millis = Millis(60_000);

/// Blocks before anything is said: the sequence is asymptotic, and with fewer its variance is a guess.
pub const BLOCKS_MIN: u64 = 10;

/// Blocks from which a slope is read, at least and at most.
const SLOPE_BLOCKS_MIN: usize = 15;
const SLOPE_BLOCKS: usize = 60;

/// A rise counts from so many standard errors on: it is looked at every minute.
const SLOPE_ERRORS: f64 = 4.0;

/// The second rise is at least so large a part of the first. A cache that fills with a time constant as long as it has been watched for stays below.
const STEADY_MIN: f64 = 0.75;

/// ln of the least growth that matters: 5 % from the first third to the last.
const GROWTH_MIN: f64 = 0.05;

/// Most instances per arm in a block.
const INSTANCES_MAX: usize = 64;

/// The block count at which the sequence is tightest (Waudby-Smith et al. 2021, appendix B.2): one hour of blocks.
const TIGHTEST_AT: f64 = 60.0;

/// What a gauge is held against.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GaugeSettings {
    /// Ratios of candidate to peers up to here do not matter.
    pub ratio: f64,
    /// Error level of the sequence.
    pub alpha: f64,
}

impl Default for GaugeSettings {
    fn default() -> Self {
        GaugeSettings { ratio: 1.25, alpha: 0.01 }
    }
}

/// What is known of a gauge.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct GaugeFinding {
    /// Candidate over median of peers, geometric mean over the blocks.
    pub ratio: f64,
    /// The lower end of the confidence sequence.
    pub lower: f64,
    /// Its upper end.
    pub upper: f64,
    /// Blocks it rests on.
    pub blocks: u64,
    /// Whether the whole sequence lies above what matters.
    pub proven: bool,
    /// By how much it grew against its peers over the last blocks, as a factor, where it grows steadily: a leak.
    #[serde(default)]
    pub grows: Option<f64>,
}

/// Sum and number of one instance's samples in the block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cell {
    instance: String,
    candidate: bool,
    sum: f64,
    samples: f64,
}

/// The state of one gauge.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BlockMeans {
    settings: GaugeSettings,
    block_start_ms: Option<u64>,
    cells: Vec<Cell>,
    blocks: u64,
    mean: f64,
    squares: f64,
    /// The blocks' values, the last [`SLOPE_BLOCKS`] of them.
    #[serde(default)]
    values: VecDeque<f64>,
}

impl BlockMeans {
    /// A gauge that has seen nothing.
    pub fn new(settings: GaugeSettings) -> BlockMeans {
        BlockMeans {
            settings,
            block_start_ms: None,
            cells: Vec::new(),
            blocks: 0,
            mean: 0.0,
            squares: 0.0,
            values: VecDeque::new(),
        }
    }

    /// Takes one sample. Values that are not positive numbers have no logarithm and are left out; a sample of an earlier
    /// block than the one being filled counts in that one.
    pub fn handle_sample(&mut self, now: Tick, arm: crate::Arm, instance: &str, value: f64) {
        if !(value.is_finite() && value > 0.0) {
            return;
        }
        let start = *self.block_start_ms.get_or_insert(now.0);
        if now.since(Tick(start)) >= BLOCK {
            self.close();
            self.block_start_ms = Some(now.0);
        }
        let candidate = arm == crate::Arm::Candidate;
        let place = self.cells.iter().position(|cell| cell.candidate == candidate && cell.instance == instance);
        if let Some(at) = place {
            self.cells[at].sum += value;
            self.cells[at].samples += 1.0;
        } else if self.cells.iter().filter(|cell| cell.candidate == candidate).count() < INSTANCES_MAX {
            self.cells.push(Cell { instance: instance.to_owned(), candidate, sum: value, samples: 1.0 });
        }
    }

    /// Ends a block: one value ln(median of candidates / median of peers); none where an arm is missing. Welford's update.
    fn close(&mut self) {
        let median = |candidate: bool| {
            let mut means: Vec<f64> = self
                .cells
                .iter()
                .filter(|cell| cell.candidate == candidate)
                .map(|cell| cell.sum / cell.samples)
                .collect();
            means.sort_by(f64::total_cmp);
            let middle = means.len() / 2;
            match means.len() {
                0 => None,
                count if count % 2 == 1 => Some(means[middle]),
                _ => Some((means[middle - 1] + means[middle]) / 2.0),
            }
        };
        let pair = median(true).zip(median(false));
        self.cells.clear();
        let Some((candidate, peers)) = pair else { return };
        let value = (candidate / peers).ln();
        if !value.is_finite() {
            return;
        }
        self.blocks += 1;
        let off = value - self.mean;
        self.mean += off / self.blocks as f64;
        self.squares += off * (value - self.mean);
        self.values.push_back(value);
        if self.values.len() > SLOPE_BLOCKS {
            self.values.pop_front();
        }
    }

    /// What is known by now: mean ± σ̂ √(2 (tρ² + 1) / (t²ρ²) · ln(√(tρ² + 1) / α)) (Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas
    /// 2021, "Time-uniform central limit theory", eq. 12). Asymptotic: assumes block means nearly independent with a variance.
    pub fn finding(&self) -> Option<GaugeFinding> {
        if self.blocks < BLOCKS_MIN {
            return None;
        }
        let (t, alpha) = (self.blocks as f64, self.settings.alpha);
        let log_alpha = -2.0 * alpha.ln();
        let rho_squared = (log_alpha + log_alpha.ln() + 1.0) / TIGHTEST_AT;
        let grown = t * rho_squared + 1.0;
        let deviation = (self.squares / (t - 1.0)).max(0.0).sqrt();
        let half = deviation * (2.0 * grown / (t * t * rho_squared) * (grown.sqrt() / alpha).ln()).sqrt();
        let (lower, upper) = ((self.mean - half).exp(), (self.mean + half).exp());
        let proven = lower > self.settings.ratio;
        Some(GaugeFinding {
            ratio: self.mean.exp(),
            lower,
            upper,
            blocks: self.blocks,
            proven,
            grows: self.steady_growth(),
        })
    }

    /// The growth over the blocks kept, where it is steady: their thirds rise, each rise is far beyond its own noise, and the second is nearly as
    /// large as the first. What fills up after a start and then stays (a cache) rises less and less. `None` otherwise. A leak does not
    /// show in a mean for hours, and what matters of it is that it goes on.
    fn steady_growth(&self) -> Option<f64> {
        if self.values.len() < SLOPE_BLOCKS_MIN {
            return None;
        }
        let values: Vec<f64> = self.values.iter().copied().collect();
        let third = values.len() / 3;
        let parts = [&values[..third], &values[third..2 * third], &values[2 * third..]];
        let means = parts.map(|part| part.iter().sum::<f64>() / part.len() as f64);
        let rises = [means[1] - means[0], means[2] - means[1]];
        // The scatter of neighbours' differences, which a slope hardly touches (von Neumann 1941).
        let differences = values.windows(2).map(|pair| (pair[1] - pair[0]).powi(2));
        let noise = (differences.sum::<f64>() / (2.0 * (values.len() - 1) as f64)).sqrt();
        let error = (noise * (2.0 / third as f64).sqrt()).max(1e-4);
        let steady = rises.iter().all(|rise| *rise > SLOPE_ERRORS * error) && rises[1] >= STEADY_MIN * rises[0];
        let growth = means[2] - means[0];
        (steady && growth >= GROWTH_MIN).then(|| growth.exp())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Arm;

    fn run(ratio: f64, minutes: u64) -> Option<GaugeFinding> {
        let mut gauge = BlockMeans::new(GaugeSettings::default());
        for second in 0..minutes * 60 {
            let wave = 1.0 + 0.05 * ((second * 7919) % 13) as f64 / 13.0;
            let now = Tick(second * 1_000);
            gauge.handle_sample(now, Arm::Candidate, "c1", 100.0 * ratio * wave);
            gauge.handle_sample(now, Arm::Current, "b1", 100.0);
            gauge.handle_sample(now, Arm::Current, "b2", 100.0 * (2.0 - wave));
        }
        gauge.finding()
    }

    #[test]
    fn a_gauge_that_is_higher_is_proven_and_an_equal_one_is_not() {
        assert!(run(2.0, 30).unwrap().proven);
        assert!(!run(1.0, 30).unwrap().proven);
    }

    /// Memory of a candidate over an hour, a sample each ten seconds.
    fn memory(of: impl Fn(f64) -> f64) -> Option<f64> {
        let mut gauge = BlockMeans::new(GaugeSettings::default());
        for sample in 0..360_u64 {
            let wave = 1.0 + 0.03 * ((sample * 7919) % 13) as f64 / 13.0;
            let now = Tick(sample * 10_000);
            gauge.handle_sample(now, Arm::Candidate, "c1", of(sample as f64 / 6.0) * wave);
            gauge.handle_sample(now, Arm::Current, "b1", 100.0 * (2.0 - wave));
        }
        gauge.finding().and_then(|finding| finding.grows)
    }

    #[test]
    fn a_leak_is_a_slope_and_a_cache_that_fills_is_none() {
        assert!(memory(|minute| 100.0 * (1.0 + 0.01 * minute)).is_some(), "1 % a minute");
        assert!(memory(|minute| 100.0 * (2.0 - (-minute / 12.0).exp())).is_none(), "a cache");
        assert!(memory(|_| 130.0).is_none() && memory(|_| 100.0).is_none(), "a level");
    }

    #[test]
    fn little_data_says_nothing() {
        assert_eq!(run(2.0, 5), None);
    }

    #[test]
    fn what_is_not_a_positive_number_is_left_out() {
        let mut gauge = BlockMeans::new(GaugeSettings::default());
        for value in [f64::NAN, f64::INFINITY, -1.0, 0.0] {
            gauge.handle_sample(Tick(0), Arm::Candidate, "c1", value);
        }
        assert!(gauge.cells.is_empty());
    }
}
