//! Shares and counts: traffic weights in 1/10 000, and "3 or 25 %" of a number of instances.

use std::fmt;

/// A share of traffic in basis points, 0 to 10 000.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Weight(u16);

/// A weight above 10 000 basis points.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("weight {0} is above 10000 basis points")]
pub struct WeightOutOfRange(pub u32);

impl Weight {
    /// No traffic.
    pub const NONE: Weight = Weight(0);
    /// All traffic.
    pub const ALL: Weight = Weight(10_000);

    /// A weight of so many basis points.
    ///
    /// # Errors
    /// [`WeightOutOfRange`] above 10 000.
    pub fn from_bp(basis_points: u32) -> Result<Weight, WeightOutOfRange> {
        match u16::try_from(basis_points) {
            Ok(bp) if bp <= Self::ALL.0 => Ok(Weight(bp)),
            _ => Err(WeightOutOfRange(basis_points)),
        }
    }

    /// The weight in basis points.
    #[must_use]
    pub fn bp(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", f64::from(self.0) / 100.0)
    }
}

/// A number of instances, given as a count or as a share of the whole.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Amount {
    /// So many.
    Count(u16),
    /// So many in a hundred, 0 to 100.
    Percent(u8),
}

impl Amount {
    /// How many of `total` that is: at least one where `total` is, a share rounded up, never more than `total`.
    #[must_use]
    pub fn at_least_one_of(self, total: u16) -> u16 {
        self.share_up(total).clamp(1.min(total), total)
    }

    /// How many of `total` that is, a share rounded up; may be zero, never more than `total`.
    #[must_use]
    pub fn share_up(self, total: u16) -> u16 {
        match self {
            Amount::Count(count) => count.min(total),
            Amount::Percent(percent) => {
                let exact = u32::from(total) * u32::from(percent.min(100));
                u16::try_from(exact.div_ceil(100)).unwrap_or(total)
            }
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Count(count) => count.fmt(f),
            Amount::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Amount, Weight};

    #[test]
    fn a_share_is_rounded_up_and_bounded_by_the_whole() {
        assert_eq!(Amount::Percent(25).at_least_one_of(4), 1);
        assert_eq!(Amount::Percent(25).at_least_one_of(5), 2);
        assert_eq!(Amount::Percent(0).at_least_one_of(5), 1);
        assert_eq!(Amount::Percent(100).share_up(u16::MAX), u16::MAX);
        assert_eq!(Amount::Count(9).at_least_one_of(4), 4);
        assert_eq!(Amount::Count(1).at_least_one_of(0), 0);
    }

    #[test]
    fn a_weight_ends_at_all() {
        assert_eq!(Weight::from_bp(10_000), Ok(Weight::ALL));
        assert!(Weight::from_bp(10_001).is_err());
        assert_eq!(Weight::from_bp(150).unwrap().to_string(), "1.5%");
    }
}
