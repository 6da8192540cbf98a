//! Technical indicators as streams: one bar in, at most one value out, constant work per bar (amortised where a window
//! slides). Values and warm-up are TA-Lib's. They are statistics and therefore `f64`; no price, quantity or balance is
//! ever taken from here. No history is kept beyond an indicator's own window, and nothing here reads a clock.
//!
//! Rounding does not pile up: window statistics are never updated by subtracting what leaves (see `window`), and
//! smoothed averages forget their past at the rate that they forget prices.

mod averages;
mod bands;
mod features;
mod wilder;
mod window;

#[cfg(test)]
mod tests;

use rust_decimal::prelude::ToPrimitive;

use super::market_data::Candle;

pub use averages::{Ema, Macd, MacdValue, Sma};
pub use bands::{Bands, Bollinger, Squeeze, VolumeRatio};
pub use features::{FeatureRow, Features};
pub use wilder::{Adx, AdxValue, Atr, Rsi, TrueRange};
pub use window::{RollingHigh, RollingLow};

/// A streaming statistic.
pub trait Indicator {
    type Input;
    type Output;

    /// Takes the next input, oldest first, and gives the value as of it, or `None` during warm-up.
    fn push(&mut self, input: Self::Input) -> Option<Self::Output>;

    /// The value as of the last input.
    fn value(&self) -> Option<Self::Output>;
}

/// A bar as the indicators see it.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Bar {
    pub open: f64,
    pub high: f64,
    pub low: f64,
    pub close: f64,
    pub volume: f64,
}

impl From<&Candle> for Bar {
    fn from(candle: &Candle) -> Self {
        // Invariant: every Decimal has a nearest f64; `to_f64` is `None` for none of them.
        let float = |value: rust_decimal::Decimal| value.to_f64().unwrap_or(f64::NAN);
        Self {
            open: float(candle.open.0),
            high: float(candle.high.0),
            low: float(candle.low.0),
            close: float(candle.close.0),
            volume: float(candle.volume.0),
        }
    }
}
