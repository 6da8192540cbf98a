//! The simulation's only source of chance: a small generator that is split by purpose, so that a draw more in one place does
//! not move the draws of all others. The same seed gives the same numbers on every machine.

/// SplitMix64: one addition and a mix for each number, and any seed is a good one.
#[derive(Debug, Clone)]
pub struct Random(u64);

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

impl Random {
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(mix(seed ^ GOLDEN))
    }

    /// A generator of its own for one purpose; it takes nothing from this one.
    #[must_use]
    pub fn split(&self, purpose: &str) -> Self {
        // FNV-1a over the name, so that two purposes are two streams.
        let name = purpose.bytes().fold(0xCBF2_9CE4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3));
        Self(mix(self.0 ^ name))
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// Below `bound`; 0 where the bound is.
    pub fn below(&mut self, bound: u64) -> u64 {
        // The high half of a product: even to one part in 2^64 / bound.
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }

    /// From `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low) + 1)
    }

    /// True so often in a million.
    pub fn chance(&mut self, millionths: u32) -> bool {
        self.below(1_000_000) < u64::from(millionths)
    }

    /// One of them; nothing where there is nothing.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(usize::try_from(self.below(from.len() as u64)).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_the_same_numbers_and_each_purpose_its_own() {
        let draws = |mut random: Random| (0..8).map(|_| random.draw()).collect::<Vec<_>>();
        let base = Random::new(7);
        assert_eq!(draws(base.clone()), draws(Random::new(7)));
        assert_ne!(draws(base.clone()), draws(Random::new(8)));
        assert_ne!(draws(base.split("venue")), draws(base.split("disk")));
    }

    #[test]
    fn bounds_hold_and_every_value_comes() {
        let mut random = Random::new(1);
        let mut seen = [0; 5];
        (0..1_000).for_each(|_| seen[usize::try_from(random.between(0, 4)).unwrap()] += 1);
        assert!(seen.iter().all(|count| *count > 150), "{seen:?}");
        assert_eq!((random.below(0), random.pick::<u8>(&[])), (0, None));
        assert!(!random.chance(0) && random.chance(1_000_000));
    }
}
