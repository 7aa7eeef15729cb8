//! The parameters of a shape, of which half is kept apart.
//!
//! A range is cut into slices. While rules are chosen only the even ones are looked at; the odd ones are measured afterwards, so that
//! a rule which fits the numbers that it was chosen on cannot hide.

use crate::bench::judge::chance::Chance;

/// Slices of a range.
const SLICES: u64 = 8;

/// Which half of the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Half {
    /// What rules may be chosen on.
    Tuned,
    /// What is looked at once the rules stand.
    HeldOut,
}

impl Half {
    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Half::Tuned => "tuned",
            Half::HeldOut => "held-out",
        }
    }
}

/// Draws the parameters of one rollout.
pub struct Draw {
    chance: Chance,
    half: Half,
}

impl Draw {
    /// The draws of one seed; those of the two halves have nothing in common.
    pub fn new(seed: u64, half: Half) -> Draw {
        let apart = match half {
            Half::Tuned => 0x7A11,
            Half::HeldOut => 0x4E1D_0000,
        };
        Draw { chance: Chance::new(seed ^ apart), half }
    }

    /// A number of the half's slices of a range, evenly on a logarithmic scale.
    pub fn log_between(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.place())
    }

    /// A number of the half's slices of a range.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.place()
    }

    /// One of a few choices; these are not divided between the halves.
    pub fn choose<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[(self.chance.unit() * choices.len() as f64) as usize % choices.len()]
    }

    fn place(&mut self) -> f64 {
        let slice = 2 * (self.chance.bits() % (SLICES / 2))
            + match self.half {
                Half::Tuned => 0,
                Half::HeldOut => 1,
            };
        (slice as f64 + self.chance.unit()) / SLICES as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_halves_of_a_range_have_no_number_in_common() {
        let slices = |half| -> std::collections::BTreeSet<u64> {
            (0..200).map(|seed| (Draw::new(seed, half).between(0.0, SLICES as f64)) as u64).collect()
        };
        let (tuned, held_out) = (slices(Half::Tuned), slices(Half::HeldOut));
        assert!(tuned.is_disjoint(&held_out), "{tuned:?} {held_out:?}");
        assert_eq!(tuned.len() + held_out.len(), SLICES as usize);
    }
}
