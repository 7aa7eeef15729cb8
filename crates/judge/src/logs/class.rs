//! The five classes of a signature in a comparison of the candidate with the current release.

use serde::{Deserialize, Serialize};

/// What a signature is, once both sides and the history have been looked at. History says known or new; only the
/// concurrent instances say whose fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// Known, and no more or less often than on the current release.
    KnownSame,
    /// Known, but more often on the candidate.
    KnownRateUp,
    /// Known, but less often on the candidate: a lost success line is a finding.
    KnownRateDown,
    /// Never seen before and written by the candidate alone.
    NewCandidateOnly,
    /// Never seen before, and both write it: the environment changed; alert, do not roll back.
    NewOnBoth,
}

/// What is known of one signature when it is classified.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sighting {
    /// Seen on the current release in the kept history, its start-ups included.
    pub known: bool,
    /// Lines of the current release in the compared time.
    pub current: u64,
    /// Lines of the candidate in the compared time.
    pub candidate: u64,
    /// Exposure of the current release (requests, lines or instance-seconds; the same unit as the candidate's).
    pub exposure_current: f64,
    /// Exposure of the candidate.
    pub exposure_candidate: f64,
}

/// How far apart two rates must be to be called different in a table.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateRule {
    /// The least ratio of the two rates that matters in practice.
    pub ratio: f64,
    /// The least |z| of the square-root-transformed counts.
    pub z: f64,
}

impl Default for RateRule {
    /// Ratio 1.5 (the judge's ψ0 for logs) and z = 3.29 (two-sided 0.1 %, since a table holds hundreds of rows).
    fn default() -> Self {
        RateRule { ratio: 1.5, z: 3.29 }
    }
}

/// Which way a rate moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shift {
    /// Not by enough to say so.
    Same,
    /// More often in the second.
    Up,
    /// Less often in the second.
    Down,
}

/// Compares two Poisson counts with their exposures: the ratio must matter, and the variance-stabilised difference
/// (Anscombe 1948: 2√(x + 3/8) has variance ≈ 1) must be significant. A table's rule, for one fixed look; it is not the
/// judge's sequential test and must not be used for one.
pub fn rate_shift(old: u64, exposure_old: f64, new: u64, exposure_new: f64, rule: RateRule) -> Shift {
    if !(exposure_old > 0.0 && exposure_new > 0.0 && exposure_old.is_finite() && exposure_new.is_finite()) {
        return Shift::Same;
    }
    let rate_old = (old as f64 + 0.375) / exposure_old;
    let rate_new = (new as f64 + 0.375) / exposure_new;
    let ratio = rate_new / rate_old;
    // Var(√rate) ≈ 1 / (4 exposure) on each side.
    let z = 2.0 * (rate_new.sqrt() - rate_old.sqrt()) / (1.0 / exposure_old + 1.0 / exposure_new).sqrt();
    if ratio >= rule.ratio && z >= rule.z {
        Shift::Up
    } else if ratio <= 1.0 / rule.ratio && z <= -rule.z {
        Shift::Down
    } else {
        Shift::Same
    }
}

/// The class of one signature. A signature with no line on either side and none in the history is `KnownSame`: there is
/// nothing to say of it.
pub fn classify(sighting: &Sighting, rule: RateRule) -> Class {
    if !sighting.known && sighting.candidate > 0 {
        return if sighting.current > 0 { Class::NewOnBoth } else { Class::NewCandidateOnly };
    }
    let Sighting { current, candidate, exposure_current, exposure_candidate, .. } = *sighting;
    match rate_shift(current, exposure_current, candidate, exposure_candidate, rule) {
        Shift::Same => Class::KnownSame,
        Shift::Up => Class::KnownRateUp,
        Shift::Down => Class::KnownRateDown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(known: bool, current: u64, candidate: u64) -> Class {
        let sighting = Sighting { known, current, candidate, exposure_current: 10_000.0, exposure_candidate: 1_000.0 };
        classify(&sighting, RateRule::default())
    }

    #[test]
    fn all_five_classes_are_told_apart() {
        assert_eq!(class(true, 1_000, 100), Class::KnownSame);
        assert_eq!(class(true, 1_000, 300), Class::KnownRateUp);
        assert_eq!(class(true, 1_000, 10), Class::KnownRateDown);
        assert_eq!(class(false, 0, 1), Class::NewCandidateOnly);
        assert_eq!(class(false, 3, 1), Class::NewOnBoth);
    }

    #[test]
    fn few_lines_are_no_shift() {
        assert_eq!(class(true, 3, 1), Class::KnownSame);
        assert_eq!(class(true, 0, 0), Class::KnownSame);
    }

    #[test]
    fn no_exposure_is_no_shift() {
        assert_eq!(rate_shift(5, 0.0, 500, 1.0, RateRule::default()), Shift::Same);
        assert_eq!(rate_shift(5, f64::NAN, 500, 1.0, RateRule::default()), Shift::Same);
    }
}
