//! What can be seen at all: the smallest effect that the present traffic would prove in a given time.
//!
//! Any test of level α needs about ln(1/α) nats of information against the nearest null before it can reject (Wald 1945;
//! Kaufmann, Cappé & Garivier 2016, lemma 1). The information of n_C and n_B requests about the odds ratio ψ against ψ0,
//! the base rate unknown, is
//!
//! ```text
//! I(ψ ‖ ψ0) = min over q_B of  n_C kl(p_C ‖ q_C) + n_B kl(p_B ‖ q_B),   q_C the odds of q_B times ψ0
//! ```
//!
//! and for rare events events × kl(ψw/(1+ψw) ‖ ψ0w/(1+ψ0w)), w = n_C/n_B.

use crate::dispersion::Dispersion;
use crate::engine::{Exposure, LOG_STEP};
use crate::special::kl_bernoulli;
use serde::{Deserialize, Serialize};

/// Odds ratios above are not looked for: nobody needs statistics there, and the grid ends at 230.
pub const VISIBLE_MAX: f64 = 100.0;

/// What the mixture costs against a test that knew ψ, in nats: ln 24 less what the neighbours of the best alternative
/// give back and less the skew of the crossing time, as measured by `xtask bench judge`.
const MIXTURE_COST: f64 = 1.6;

/// Both arms' exposure, and the base rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Traffic {
    /// The candidate's exposure (per second, or in all).
    pub candidate: f64,
    /// The current release's.
    pub current: f64,
    /// Events per exposure on the current release.
    pub rate: f64,
}

/// What a gate must overcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Gate<'a> {
    /// What one exposure is.
    pub exposure: Exposure,
    /// ψ0.
    pub null: f64,
    /// α.
    pub alpha: f64,
    /// v_i.
    pub weight: f64,
    /// How burstily events come.
    pub dispersion: &'a Dispersion,
}

/// The smallest effect visible.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Visible {
    /// As an odds ratio; `None`: not even [`VISIBLE_MAX`].
    pub ratio: Option<f64>,
    /// As the candidate's share of exposures with the event, where a ratio is visible.
    pub share: Option<f64>,
}

/// The rate of the candidate whose odds are ψ times those of the current release's rate.
pub fn rate_at(rate: f64, psi: f64, exposure: Exposure) -> f64 {
    match exposure {
        Exposure::Time => rate * psi,
        Exposure::Trials => psi * rate / (1.0 - rate + psi * rate),
    }
}

/// I(ψ ‖ ψ0) in nats for this much traffic; 0 without exposure or base rate.
pub fn information(traffic: &Traffic, exposure: Exposure, psi: f64, null: f64) -> f64 {
    let Traffic { candidate, current, rate } = *traffic;
    if !(candidate > 0.0 && current > 0.0 && rate > 0.0) {
        return 0.0;
    }
    if exposure == Exposure::Time {
        let ratio = candidate / current;
        let events = current * rate + candidate * rate * psi;
        let share = |psi: f64| psi * ratio / (1.0 + psi * ratio);
        return events * kl_bernoulli(share(psi), share(null));
    }
    let rate = rate.min(1.0 - 1e-12);
    let rate_candidate = rate_at(rate, psi, exposure);
    let cost = |log_odds: f64| {
        let base = 1.0 / (1.0 + (-log_odds).exp());
        candidate * kl_bernoulli(rate_candidate, rate_at(base, null, exposure)) + current * kl_bernoulli(rate, base)
    };
    // The cost is convex in the log odds of q_B, and its minimum lies between the odds that fit either arm alone.
    let fits_current = (rate / (1.0 - rate)).ln();
    let fits_candidate = fits_current + (psi / null).ln();
    golden_section_minimum(cost, fits_current.min(fits_candidate), fits_current.max(fits_candidate))
}

/// The minimum of a function with one valley.
fn golden_section_minimum(cost: impl Fn(f64) -> f64, mut low: f64, mut high: f64) -> f64 {
    const GOLDEN: f64 = 0.618_033_988_749_894_9;
    let (mut a, mut b) = (high - GOLDEN * (high - low), low + GOLDEN * (high - low));
    let (mut at_a, mut at_b) = (cost(a), cost(b));
    for _ in 0..60 {
        if at_a < at_b {
            (high, b, at_b) = (b, a, at_a);
            a = high - GOLDEN * (high - low);
            at_a = cost(a);
        } else {
            (low, a, at_a) = (a, b, at_b);
            b = low + GOLDEN * (high - low);
            at_b = cost(b);
        }
    }
    at_a.min(at_b)
}

/// The time any level-α test needs to find ψ, with traffic given per second; infinite when there is nothing to see.
pub fn bound_seconds(traffic_per_second: &Traffic, exposure: Exposure, psi: f64, null: f64, alpha: f64) -> f64 {
    (1.0 / alpha).ln() / information(traffic_per_second, exposure, psi, null)
}

/// The smallest odds ratio above ψ0 that this much traffic in all would prove about half the time.
pub fn smallest_visible(traffic: &Traffic, gate: &Gate<'_>) -> Visible {
    let needed = |psi: f64| {
        let steps = ((psi / gate.null).ln() / LOG_STEP).ceil().max(0.0) as usize;
        ((1.0 / (gate.alpha * gate.weight)).ln() + MIXTURE_COST) * gate.dispersion.for_steps(steps)
    };
    let seen = |psi: f64| information(traffic, gate.exposure, psi, gate.null) >= needed(psi);
    if !(gate.weight > 0.0 && seen(VISIBLE_MAX)) {
        return Visible { ratio: None, share: None };
    }
    let (mut low, mut high) = (gate.null, VISIBLE_MAX);
    for _ in 0..40 {
        let middle = (low * high).sqrt();
        if seen(middle) {
            high = middle;
        } else {
            low = middle;
        }
    }
    Visible { ratio: Some(high), share: Some(rate_at(traffic.rate, high, gate.exposure)) }
}

/// The sentence `plan` prints before the rollout starts.
pub fn sentence(name: &str, requests_per_second: f64, minutes: f64, visible: &Visible) -> String {
    let traffic = if requests_per_second >= 2.0 {
        format!("{requests_per_second:.0} req/s")
    } else {
        format!("{:.0} req/min", requests_per_second * 60.0)
    };
    match visible.ratio {
        Some(ratio) => format!("{name}: at {traffic} this gate can only see ≥ {ratio:.1}× within {minutes:.0} min"),
        None => format!("{name}: at {traffic} this gate can see no difference within {minutes:.0} min"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_events_agree_with_the_formula_for_events() {
        let traffic = Traffic { candidate: 10.0, current: 90.0, rate: 1e-5 };
        let trials = information(&traffic, Exposure::Trials, 5.0, 1.25);
        let events = information(&traffic, Exposure::Time, 5.0, 1.25);
        assert!((trials / events - 1.0).abs() < 1e-3, "{trials} {events}");
    }

    #[test]
    fn more_traffic_sees_smaller_effects() {
        let dispersion = Dispersion::none();
        let gate = Gate { exposure: Exposure::Trials, null: 1.25, alpha: 0.01, weight: 0.35, dispersion: &dispersion };
        let visible = |requests: f64| {
            smallest_visible(&Traffic { candidate: requests * 0.1, current: requests * 0.9, rate: 0.001 }, &gate).ratio
        };
        assert_eq!(visible(100.0), None);
        let (some, more) = (visible(60_000.0).unwrap(), visible(600_000.0).unwrap());
        assert!(more < some && more > 1.25, "{some} {more}");
    }

    #[test]
    fn nothing_is_seen_without_traffic_or_base_rate() {
        let none = Traffic { candidate: 0.0, current: 90.0, rate: 0.1 };
        assert_eq!(information(&none, Exposure::Trials, 5.0, 1.25), 0.0);
        assert_eq!(bound_seconds(&none, Exposure::Trials, 5.0, 1.25, 0.01), f64::INFINITY);
    }

    #[test]
    fn the_sentence_says_what_cannot_be_seen() {
        let visible = Visible { ratio: Some(10.3), share: None };
        assert_eq!(
            sentence("errors", 1.0, 10.0, &visible),
            "errors: at 60 req/min this gate can only see ≥ 10.3× within 10 min"
        );
    }
}
