//! A market out of a seed: several perpetuals with realistic spread, depth, trades, volume and clusters of volatility, for the
//! daemon's default run, for tests and for simulation. Pure: the same seed, start and polls give the same bytes. Books,
//! touches and trades agree with each other, and diffs chain by USD-M's rule (`pu` is the diff before).

mod history;
mod named;
mod process;
mod symbol;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind, Ticks};
use crate::domain::market_data::{Candle, DepthSnapshot, MarketFrame};
use crate::domain::money::{Price, Quantity};
use crate::domain::time::Timestamp;

use super::MarketSource;
use process::Dice;
use symbol::SyntheticMarket;

/// The market moves in steps of this length.
pub const STEP: Duration = Duration::from_millis(20);
/// One poll covers at most this much: a machine that slept for hours does not get hours of frames at once.
const CATCH_UP_MAX: Duration = Duration::from_secs(3_600);

/// One symbol to generate.
#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticSymbol {
    pub instrument: Instrument,
    /// Where the market opens, unless it resumes.
    pub opens_at: Price,
    /// Relative standard deviation over one second, in millionths: 100 is 0.01 %, about 56 % a year.
    pub volatility_millionths: u32,
    /// Typical quantity at the best price, and of a small trade.
    pub touch: Quantity,
    pub trade: Quantity,
    /// Typical trades a second.
    pub trades_per_second: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SyntheticConfig {
    pub seed: u64,
    pub symbols: Vec<SyntheticSymbol>,
}

impl SyntheticConfig {
    /// BTCUSDT, ETHUSDT and SOLUSDT perpetuals.
    #[must_use]
    pub fn standard(seed: u64) -> Self {
        // Invariant: three valid names.
        let symbol = |name| Symbol::new(name).expect("invariant: a bundled symbol is a valid name");
        let symbols = ["BTCUSDT", "ETHUSDT", "SOLUSDT"];
        Self { seed, symbols: symbols.map(|name| SyntheticSymbol::named(InstrumentKind::Perpetual, symbol(name))).to_vec() }
    }
}

/// The generated market.
#[derive(Debug, Clone)]
pub struct Synthetic {
    markets: Vec<SyntheticMarket>,
    /// The next step's time.
    next: Timestamp,
    polled: Timestamp,
    opened: bool,
}

impl Synthetic {
    /// Opens the market at `start`. A symbol in `resume` goes on at that price, so that a restart is no jump.
    #[must_use]
    pub fn new(config: &SyntheticConfig, start: Timestamp, resume: &BTreeMap<Symbol, Ticks>) -> Self {
        let step = STEP.as_nanos() as i64;
        let start = Timestamp(start.0.div_euclid(step) * step);
        let markets = config.symbols.iter().enumerate().map(|(n, symbol)| {
            // The start is part of the seed: a restarted market must not repeat its past.
            let stream = config.seed ^ (start.0 as u64).rotate_left(17) ^ (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            SyntheticMarket::new(symbol, start, Dice(ChaCha8Rng::seed_from_u64(stream)), resume.get(&symbol.instrument.symbol).copied())
        });
        Self { markets: markets.collect(), next: start, polled: start, opened: false }
    }
}

impl MarketSource for Synthetic {
    fn instruments(&self) -> Vec<Instrument> {
        self.markets.iter().map(|market| market.instrument.clone()).collect()
    }

    fn poll(&mut self, now: Timestamp, out: &mut Vec<MarketFrame>) {
        if !self.opened {
            self.opened = true;
            out.extend(self.markets.iter().map(|market| market.snapshot(self.next)));
        }
        self.next = self.next.max(now - CATCH_UP_MAX);
        while self.next <= now {
            for market in &mut self.markets {
                market.step(self.next, out);
            }
            self.next = self.next + STEP;
        }
        self.polled = self.polled.max(now);
    }

    fn book(&self, symbol: Symbol, limit: usize) -> Option<DepthSnapshot> {
        self.markets.iter().find(|market| market.instrument.symbol == symbol).map(|market| market.depth(limit))
    }

    fn candles(&self, symbol: Symbol, interval: Duration, limit: usize) -> Vec<Candle> {
        let market = self.markets.iter().find(|market| market.instrument.symbol == symbol);
        market.map_or_else(Vec::new, |market| market.candles(interval, limit, self.polled))
    }
}
