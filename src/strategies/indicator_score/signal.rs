//! The score: indicators in, points for buying and for selling out, and what they amount to. Pure arithmetic on one bar; it
//! knows no position and no order. Strengths are compared as exact fractions, never as rounded ones.

use rust_decimal::Decimal;
use serde::Serialize;
use strum::Display;

use crate::domain::ids::Symbol;
use crate::domain::indicators::{Bands, Bollinger, Ema, Indicator, Macd, MacdValue, Rsi, Sma};
use crate::domain::money::Ratio;
use crate::domain::order::Side;

use super::settings::Settings;

/// The indicators of one symbol, streamed.
#[derive(Debug, Clone)]
pub struct Study {
    rsi: Rsi,
    macd: Macd,
    bollinger: Bollinger,
    sma: (Sma, Sma),
    ema: (Ema, Ema),
}

/// What the score is made of: one bar's close and its indicators, fast before slow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Inputs {
    pub symbol: Symbol,
    pub close: f64,
    pub rsi: f64,
    pub macd: MacdValue,
    pub bands: Bands,
    pub sma: (f64, f64),
    pub ema: (f64, f64),
}

impl Study {
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        Self {
            rsi: Rsi::new(settings.rsi_length),
            macd: Macd::new(settings.macd_fast, settings.macd_slow, settings.macd_signal),
            bollinger: Bollinger::new(settings.bollinger_length, settings.bollinger_deviations),
            sma: (Sma::new(settings.sma_fast), Sma::new(settings.sma_slow)),
            ema: (Ema::new(settings.ema_fast), Ema::new(settings.ema_slow)),
        }
    }

    /// Takes a close; gives the inputs once every indicator is warm.
    pub fn push(&mut self, symbol: Symbol, close: f64) -> Option<Inputs> {
        let (rsi, macd, bands) = (self.rsi.push(close), self.macd.push(close), self.bollinger.push(close));
        let sma = (self.sma.0.push(close), self.sma.1.push(close));
        let ema = (self.ema.0.push(close), self.ema.1.push(close));
        Some(Inputs { symbol, close, rsi: rsi?, macd: macd?, bands: bands?, sma: (sma.0?, sma.1?), ema: (ema.0?, ema.1?) })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Display)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum SignalKind {
    StrongBuy,
    Buy,
    /// Strong enough to publish, too weak to have a side. With the default numbers there is none.
    Hold,
    Sell,
    StrongSell,
}

impl SignalKind {
    #[must_use]
    pub const fn side(self) -> Option<Side> {
        match self {
            Self::StrongBuy | Self::Buy => Some(Side::Buy),
            Self::StrongSell | Self::Sell => Some(Side::Sell),
            Self::Hold => None,
        }
    }
}

/// A published signal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Signal {
    pub symbol: Symbol,
    pub kind: SignalKind,
    /// The winning side's share of all points, rounded to four places for people.
    pub strength: Ratio,
    /// Points.
    pub buy: u32,
    pub sell: u32,
    /// The rules that counted, in their order.
    pub reasons: Vec<&'static str>,
}

impl Signal {
    /// Whether the strength is at least `share`, exactly.
    #[must_use]
    pub fn reaches(&self, share: Ratio) -> bool {
        at_least(self.buy, self.sell, share)
    }

    /// For the journal: `strong_buy 5:0`.
    #[must_use]
    pub fn summary(&self) -> String {
        format!("{} {}:{}", self.kind, self.buy, self.sell)
    }
}

/// The signal of one bar, if there is one to publish.
#[must_use]
pub fn score(inputs: &Inputs, settings: &Settings) -> Option<Signal> {
    let mut tally = Tally::default();
    tally.rsi(inputs.rsi, settings);
    let points = &settings.points;
    tally.compare(inputs.macd.macd, inputs.macd.signal, points.macd, ["macd_above_signal", "macd_below_signal"]);
    tally.band(inputs, settings);
    tally.compare(inputs.sma.0, inputs.sma.1, points.sma, ["sma_fast_above_slow", "sma_fast_below_slow"]);
    tally.compare(inputs.ema.0, inputs.ema.1, points.ema, ["ema_fast_above_slow", "ema_fast_below_slow"]);
    // A market that did not move at all says nothing, although its RSI is 0 by definition.
    let moved = inputs.bands.upper > inputs.bands.lower;
    if moved { tally.signal(inputs.symbol, settings) } else { None }
}

#[derive(Debug, Default)]
struct Tally {
    buy: u32,
    sell: u32,
    reasons: Vec<&'static str>,
}

impl Tally {
    fn add(&mut self, side: Side, points: u32, reason: &'static str) {
        if points == 0 {
            return;
        }
        match side {
            Side::Buy => self.buy = self.buy.saturating_add(points),
            Side::Sell => self.sell = self.sell.saturating_add(points),
        }
        self.reasons.push(reason);
    }

    /// The tiers exclude each other: an extreme one does not also count as the plain one.
    fn rsi(&mut self, rsi: f64, settings: &Settings) {
        let points = &settings.points;
        if rsi < settings.rsi_oversold {
            self.add(Side::Buy, points.rsi_extreme, "rsi_oversold");
        } else if rsi < settings.rsi_low {
            self.add(Side::Buy, points.rsi, "rsi_low");
        }
        if rsi > settings.rsi_overbought {
            self.add(Side::Sell, points.rsi_extreme, "rsi_overbought");
        } else if rsi > settings.rsi_high {
            self.add(Side::Sell, points.rsi, "rsi_high");
        }
    }

    /// Counts for buying when the first is above the second, for selling when it is below, for nobody when they are equal.
    fn compare(&mut self, first: f64, second: f64, points: u32, [above, below]: [&'static str; 2]) {
        if first > second {
            self.add(Side::Buy, points, above);
        } else if first < second {
            self.add(Side::Sell, points, below);
        }
    }

    fn band(&mut self, inputs: &Inputs, settings: &Settings) {
        let Bands { upper, lower, .. } = inputs.bands;
        let reach = settings.near_band * (upper - lower);
        if (inputs.close - lower).abs() <= reach {
            self.add(Side::Buy, settings.points.band, "near_lower_band");
        }
        if (upper - inputs.close).abs() <= reach {
            self.add(Side::Sell, settings.points.band, "near_upper_band");
        }
    }

    fn signal(self, symbol: Symbol, settings: &Settings) -> Option<Signal> {
        let Self { buy, sell, reasons } = self;
        let (winner, total) = (u64::from(buy.max(sell)), u64::from(buy) + u64::from(sell));
        let published = total > 0 && Decimal::from(winner) > settings.publish_above.0 * Decimal::from(total);
        if !published {
            return None;
        }
        let strength = Ratio((Decimal::from(winner) / Decimal::from(total)).round_dp(4));
        let sided = at_least(buy, sell, settings.side_from);
        let kind = match (sided, buy.cmp(&sell)) {
            (true, std::cmp::Ordering::Greater) if buy >= settings.strong_points => SignalKind::StrongBuy,
            (true, std::cmp::Ordering::Greater) => SignalKind::Buy,
            (true, std::cmp::Ordering::Less) if sell >= settings.strong_points => SignalKind::StrongSell,
            (true, std::cmp::Ordering::Less) => SignalKind::Sell,
            _ => SignalKind::Hold,
        };
        Some(Signal { symbol, kind, strength, buy, sell, reasons })
    }
}

/// Whether the winning side's share is at least `share`; no points have no share.
fn at_least(buy: u32, sell: u32, share: Ratio) -> bool {
    let (winner, total) = (u64::from(buy.max(sell)), u64::from(buy) + u64::from(sell));
    total > 0 && Decimal::from(winner) >= share.0 * Decimal::from(total)
}

#[cfg(test)]
mod tests;
