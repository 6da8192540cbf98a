//! Every number of `indicator_score`, with the defaults of its specification.

use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

use crate::domain::money::{Money, Ratio};
use crate::strategies::Problem;

/// The longest window of an indicator, and the longest history: what venues give as candles in a few requests.
const LENGTH_MAX: usize = 5_000;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Bars of history that the indicators are warmed with.
    pub history_bars: usize,
    pub rsi_length: usize,
    /// Below `rsi_oversold` counts `points.rsi_extreme` for buying, else below `rsi_low` counts `points.rsi`.
    pub rsi_oversold: f64,
    pub rsi_low: f64,
    /// The same for selling, above.
    pub rsi_high: f64,
    pub rsi_overbought: f64,
    pub macd_fast: usize,
    pub macd_slow: usize,
    pub macd_signal: usize,
    pub bollinger_length: usize,
    pub bollinger_deviations: f64,
    /// A close is near a band when it is within this share of the bands' width of it.
    pub near_band: f64,
    pub sma_fast: usize,
    pub sma_slow: usize,
    pub ema_fast: usize,
    pub ema_slow: usize,
    pub points: Points,
    /// A signal is published when its strength is above this.
    pub publish_above: Ratio,
    /// A signal has a side from this strength on …
    pub side_from: Ratio,
    /// … and is a strong one with this many points on its side.
    pub strong_points: u32,
    /// A trade needs this strength.
    pub min_signal_strength: Ratio,
    pub stop_loss: Ratio,
    pub take_profit: Ratio,
    pub leverage: u8,
    /// The share of equity that is lost when the stop fills at its price.
    pub risk_per_trade: Ratio,
    /// The most that a position may be worth when it is opened, in quote currency.
    pub max_position: Money,
    pub on_opposite: OnOpposite,
}

/// What each rule counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Points {
    pub rsi_extreme: u32,
    pub rsi: u32,
    pub macd: u32,
    pub band: u32,
    pub sma: u32,
    pub ema: u32,
}

impl Default for Points {
    fn default() -> Self {
        Self { rsi_extreme: 2, rsi: 1, macd: 1, band: 1, sma: 1, ema: 1 }
    }
}

/// What an opposite signal does to an open position.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOpposite {
    /// Nothing: stop or target end it.
    Hold,
    #[default]
    Close,
    /// Closes it and, once flat, opens the other side.
    Reverse,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            history_bars: 200,
            rsi_length: 14,
            rsi_oversold: 30.0,
            rsi_low: 40.0,
            rsi_high: 60.0,
            rsi_overbought: 70.0,
            macd_fast: 12,
            macd_slow: 26,
            macd_signal: 9,
            bollinger_length: 20,
            bollinger_deviations: 2.0,
            near_band: 0.1,
            sma_fast: 20,
            sma_slow: 50,
            ema_fast: 12,
            ema_slow: 26,
            points: Points::default(),
            publish_above: Ratio(Decimal::new(6, 1)),
            side_from: Ratio(Decimal::new(65, 2)),
            strong_points: 4,
            min_signal_strength: Ratio(Decimal::new(65, 2)),
            stop_loss: Ratio(Decimal::new(3, 2)),
            take_profit: Ratio(Decimal::new(6, 2)),
            leverage: 3,
            risk_per_trade: Ratio(Decimal::new(2, 2)),
            max_position: Money(Decimal::ONE_THOUSAND),
            on_opposite: OnOpposite::default(),
        }
    }
}

impl Settings {
    #[must_use]
    pub fn validate(&self) -> Vec<Problem> {
        let mut check = Check(Vec::new());
        self.validate_indicators(&mut check);
        self.validate_rules(&mut check);
        self.validate_orders(&mut check);
        check.0
    }

    fn validate_indicators(&self, check: &mut Check) {
        let lengths = [
            ("history_bars", self.history_bars),
            ("rsi_length", self.rsi_length),
            ("macd_fast", self.macd_fast),
            ("macd_slow", self.macd_slow),
            ("macd_signal", self.macd_signal),
            ("bollinger_length", self.bollinger_length),
            ("sma_fast", self.sma_fast),
            ("sma_slow", self.sma_slow),
            ("ema_fast", self.ema_fast),
            ("ema_slow", self.ema_slow),
        ];
        for (path, length) in lengths {
            check.that(path, (1..=LENGTH_MAX).contains(&length), "a length of 1 to 5000 bars", length);
        }
        check.that("bollinger_length", self.bollinger_length != 1, "a length above 1: one close has no deviation", self.bollinger_length);
        let pairs = [
            ("macd_slow", self.macd_fast, self.macd_slow),
            ("sma_slow", self.sma_fast, self.sma_slow),
            ("ema_slow", self.ema_fast, self.ema_slow),
        ];
        for (path, fast, slow) in pairs {
            check.that(path, fast < slow, "a length longer than the fast one's", slow);
        }
        check.that("bollinger_deviations", self.bollinger_deviations > 0.0, "a number above 0", self.bollinger_deviations);
    }

    fn validate_rules(&self, check: &mut Check) {
        let levels = [self.rsi_oversold, self.rsi_low, self.rsi_high, self.rsi_overbought];
        for (path, level) in ["rsi_oversold", "rsi_low", "rsi_high", "rsi_overbought"].into_iter().zip(levels) {
            check.that(path, (0.0..=100.0).contains(&level), "a level from 0 to 100", level);
        }
        let ascending = levels.is_sorted();
        check.that("rsi_low", ascending, "rsi_oversold ≤ rsi_low ≤ rsi_high ≤ rsi_overbought", format_args!("{levels:?}"));
        check.that("near_band", (0.0..0.5).contains(&self.near_band), "a share from 0 to below 0.5", self.near_band);
        let shares =
            [("publish_above", self.publish_above), ("side_from", self.side_from), ("min_signal_strength", self.min_signal_strength)];
        for (path, share) in shares {
            check.that(path, (Decimal::ZERO..=Decimal::ONE).contains(&share.0), "a ratio from \"0\" to \"1\"", share);
        }
    }

    fn validate_orders(&self, check: &mut Check) {
        let shares = [("stop_loss", self.stop_loss), ("take_profit", self.take_profit), ("risk_per_trade", self.risk_per_trade)];
        for (path, share) in shares {
            let inside = share.is_positive() && share.0 < Decimal::ONE;
            check.that(path, inside, "a ratio above \"0\" and below \"1\"", share);
        }
        check.that("leverage", (1..=125).contains(&self.leverage), "a leverage of 1 to 125", self.leverage);
        check.that("max_position", self.max_position.is_positive(), "an amount above \"0\"", self.max_position);
    }
}

struct Check(Vec<Problem>);

impl Check {
    fn that(&mut self, path: &str, holds: bool, expected: &str, found: impl std::fmt::Display) {
        if !holds {
            self.0.push((path.to_owned(), format!("expected {expected}, found {found}")));
        }
    }
}
