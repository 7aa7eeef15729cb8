//! Chance from a seed: SplitMix64 (Steele, Lea and Flood, 2014), small, fast and the same everywhere.

/// A stream of pseudo-random numbers.
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Chance {
    /// The stream of a seed.
    #[must_use]
    pub fn new(seed: u64) -> Chance {
        Chance(seed ^ 0x6a09_e667_f3bc_c909)
    }

    /// 64 uniform bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        let span = u128::from(high.saturating_sub(low)) + 1;
        low + ((u128::from(self.bits()) * span) >> 64) as u64
    }

    /// True once in `times` on average.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.between(1, times.max(1)) == 1
    }

    /// One of the items; `items` is not empty.
    pub fn one_of<'a, T>(&mut self, items: &'a [T]) -> &'a T {
        &items[self.between(0, items.len() as u64 - 1) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::Chance;

    #[test]
    fn a_seed_gives_the_same_numbers_within_their_bounds() {
        let draw = |seed| (0..100).map(|_| Chance::new(seed).between(3, 9)).collect::<Vec<_>>();
        assert_eq!(draw(5), draw(5));
        let mut chance = Chance::new(1);
        let drawn: std::collections::BTreeSet<u64> = (0..500).map(|_| chance.between(3, 9)).collect();
        assert_eq!(drawn, (3..=9).collect());
    }
}
