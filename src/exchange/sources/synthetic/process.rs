//! The fair price of a synthetic symbol: a random walk whose volatility comes in clusters, with momentum that lasts a minute
//! or two and a slow pull back to an anchor, so that it trends, turns, and never runs away. Uses only arithmetic that IEEE 754
//! fixes (no `exp`, `ln`, `cos`), so that a seed gives the same bytes on every machine.

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::RngCore;

/// How long a move's momentum lasts.
const MOMENTUM_SECONDS: f64 = 90.0;
/// How slowly the price is pulled back to its anchor: two days leave it ± 5 % or so.
const REVERSION_SECONDS: f64 = 2.0 * 86_400.0;
/// How long a volatility regime lasts, and how fast the volatility follows it.
const REGIME_SECONDS: f64 = 180.0;
const REGIME_APPROACH_SECONDS: f64 = 20.0;
/// Calm, usual, wild, as multiples of the symbol's volatility, and how often each is drawn out of 16.
const REGIMES: [(f64, u64); 3] = [(0.6, 8), (1.0, 5), (2.2, 3)];
/// How far one shock moves the volatility (the ARCH part), and its limits.
const SHOCK_FEEDBACK: f64 = 0.03;
const VOLATILITY_LIMITS: (f64, f64) = (0.3, 4.0);
/// One step moves the price by at most a tenth: even an hour's step in the wildest regime stays within.
const RETURN_LIMIT: f64 = 0.1;

/// Random numbers as the synthetic market needs them.
#[derive(Debug, Clone)]
pub(super) struct Dice(pub ChaCha8Rng);

impl Dice {
    /// Uniform in [0, 1).
    pub(super) fn unit(&mut self) -> f64 {
        const STEP: f64 = 1.0 / (1_u64 << 53) as f64;
        (self.0.next_u64() >> 11) as f64 * STEP
    }

    /// Uniform in `0..bound`; the bias of the remainder is below 2⁻⁵⁰ for the small bounds used here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0.next_u64() % bound.max(1)
    }

    pub(super) fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Standard normal, as the sum of twelve uniforms; its tails end at six, the heavy ones come from the volatility.
    pub(super) fn normal(&mut self) -> f64 {
        let mut sum = 0_u64;
        for _ in 0..3 {
            let word = self.0.next_u64();
            sum += (0..4).map(|n| (word >> (16 * n)) & 0xFFFF).sum::<u64>();
        }
        (sum as f64 + 6.0) / 65_536.0 - 6.0
    }

    /// At least one, Pareto with exponent two: many small, a few very large.
    pub(super) fn heavy(&mut self, limit: f64) -> f64 {
        (1.0 / (1.0 - self.unit()).sqrt()).min(limit)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Process {
    /// Relative standard deviation over one second in the usual regime.
    volatility: f64,
    pub(super) anchor: f64,
    pub(super) price: f64,
    momentum: f64,
    regime: usize,
    level: f64,
}

impl Process {
    pub(super) fn new(volatility: f64, price: f64) -> Self {
        Self { volatility, anchor: price, price, momentum: 0.0, regime: 1, level: 1.0 }
    }

    /// Advances by `seconds`, which may be a fortieth or thousands: the implicit steps stay stable.
    pub(super) fn step(&mut self, seconds: f64, dice: &mut Dice) {
        let root = seconds.sqrt();
        let shock = dice.normal();
        self.move_volatility(seconds, shock, dice);
        let gain = self.volatility * std::f64::consts::SQRT_2 / MOMENTUM_SECONDS;
        self.momentum = (self.momentum + gain * root * dice.normal()) / (1.0 + seconds / MOMENTUM_SECONDS);
        let pull = (self.price / self.anchor - 1.0) * seconds / (REVERSION_SECONDS + seconds);
        let change = self.volatility * self.level * root * shock + self.momentum * seconds - pull;
        self.price *= 1.0 + change.clamp(-RETURN_LIMIT, RETURN_LIMIT);
    }

    fn move_volatility(&mut self, seconds: f64, shock: f64, dice: &mut Dice) {
        if dice.chance(seconds / (REGIME_SECONDS + seconds)) {
            let mut draw = dice.below(16);
            self.regime = REGIMES
                .iter()
                .position(|(_, weight)| match draw.checked_sub(*weight) {
                    Some(rest) => {
                        draw = rest;
                        false
                    }
                    None => true,
                })
                .unwrap_or(1);
        }
        let approach = seconds / (REGIME_APPROACH_SECONDS + seconds);
        self.level += approach * (REGIMES[self.regime].0 - self.level);
        self.level *= 1.0 + SHOCK_FEEDBACK * (shock * shock - 1.0) * approach.sqrt();
        self.level = self.level.clamp(VOLATILITY_LIMITS.0, VOLATILITY_LIMITS.1);
    }

    /// Rising or falling, as the chance that the next taker buys.
    pub(super) fn buyer_chance(&self) -> f64 {
        let tilt = self.momentum * MOMENTUM_SECONDS.sqrt() / self.volatility;
        (0.5 + 0.15 * tilt).clamp(0.2, 0.8)
    }

    /// Busier when it moves more.
    pub(super) fn activity(&self) -> f64 {
        self.level
    }
}
