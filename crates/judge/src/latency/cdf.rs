//! Both arms' distribution functions with bands that hold at all times, for the report and for shifts of the body.

use super::{LatencyWindow, bucket_high_us};
use serde::{Deserialize, Serialize};

/// Most points of a curve that are handed out: more cannot be told apart in a chart.
const POINTS_MAX: usize = 400;

/// The half-width of the time-uniform band around an empirical distribution function of n values:
/// `0.85 √((ln(1 + ln n) + 0.8 ln(1612/α)) / n)` (Howard & Ramdas 2022, "Sequential estimation of quantiles", eq. 6), 1 when
/// nothing was seen. Assumed: values of one arm are alike over the time compared.
pub fn band(count: u64, alpha: f64) -> f64 {
    if count == 0 {
        return 1.0;
    }
    let n = count as f64;
    (0.85 * (((1.0 + n.ln()).ln() + 0.8 * (1612.0 / alpha).ln()) / n).sqrt()).min(1.0)
}

/// One point of an arm's distribution function.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CdfPoint {
    /// Latency in microseconds.
    pub us: u64,
    /// Share of the requests that were at most so slow.
    pub share: f64,
}

/// The distribution function at the filled buckets (thinned to a few hundred). Unanswered requests are counted in the whole and never reached.
pub fn cdf_points(window: &LatencyWindow) -> Vec<CdfPoint> {
    let total = window.requests();
    if total == 0 {
        return Vec::new();
    }
    let mut seen = 0;
    let all: Vec<CdfPoint> = window
        .answered
        .filled()
        .map(|(bucket, count)| {
            seen += count;
            CdfPoint { us: bucket_high_us(bucket), share: seen as f64 / total as f64 }
        })
        .collect();
    let every = all.len().div_ceil(POINTS_MAX).max(1);
    let last = all.len().saturating_sub(1);
    all.into_iter().enumerate().filter(|(i, _)| i % every == 0 || *i == last).map(|(_, point)| point).collect()
}

/// The place where the candidate is proven slower by the most requests.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BodyShift {
    /// The latency at which the two functions differ most, in microseconds.
    pub us: u64,
    /// Share of the current release's requests at most so slow.
    pub current: f64,
    /// The same of the candidate.
    pub candidate: f64,
    /// What is left of the difference after both bands: shown above 0.
    pub proven: f64,
}

/// Whether the candidate's distribution is proven slower somewhere: the bands (each at α/2) do not touch. For the report;
/// the verdict rests on the thresholds, which stay valid when traffic changes over the day.
pub fn body_shift(candidate: &LatencyWindow, current: &LatencyWindow, alpha: f64) -> Option<BodyShift> {
    let margin = band(candidate.requests(), alpha / 2.0) + band(current.requests(), alpha / 2.0);
    let (total_candidate, total_current) = (candidate.requests() as f64, current.requests() as f64);
    if total_candidate == 0.0 || total_current == 0.0 {
        return None;
    }
    let mut best: Option<BodyShift> = None;
    for (bucket, _) in current.answered.filled() {
        let share = |window: &LatencyWindow, total: f64| {
            1.0 - (window.answered.above(bucket) + window.unanswered) as f64 / total
        };
        let (of_candidate, of_current) = (share(candidate, total_candidate), share(current, total_current));
        let proven = of_current - of_candidate - margin;
        if proven > best.map_or(0.0, |shift| shift.proven) {
            best = Some(BodyShift { us: bucket_high_us(bucket), current: of_current, candidate: of_candidate, proven });
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn uniform(low: u64, high: u64) -> LatencyWindow {
        let mut window = LatencyWindow::default();
        (low..high).for_each(|us| window.answered.record_us(us));
        window
    }

    #[test]
    fn a_shifted_body_is_proven_and_an_equal_one_is_not() {
        assert!(body_shift(&uniform(1_000, 9_000), &uniform(1_000, 9_000), 0.01).is_none());
        let shift = body_shift(&uniform(2_000, 10_000), &uniform(1_000, 9_000), 0.01).unwrap();
        assert!(shift.proven > 0.0 && shift.candidate < shift.current);
    }

    #[test]
    fn a_faster_candidate_is_no_shift() {
        assert!(body_shift(&uniform(500, 5_000), &uniform(1_000, 9_000), 0.01).is_none());
    }

    #[test]
    fn the_band_shrinks_and_is_whole_without_data() {
        assert_eq!(band(0, 0.01), 1.0);
        assert!(band(10_000, 0.01) < band(1_000, 0.01));
        // By hand: ln(1 + ln 10000) = 2.3233, 0.8 ln(161200) = 9.5923; 0.85 √(11.9156 / 10000) = 0.02934.
        assert!((band(10_000, 0.01) - 0.029_34).abs() < 1e-5);
    }
}
