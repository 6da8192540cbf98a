//! Symbols to generate, by name: how the large coins look, and how one that nobody described does.

use rust_decimal::Decimal;

use crate::domain::ids::Symbol;
use crate::domain::instrument::InstrumentKind;
use crate::domain::money::{Price, Quantity};
use crate::exchange::instruments;

use super::SyntheticSymbol;

/// Where a symbol that nobody described opens: any price does, this one has room for both sides of the tick.
const OPENS_AT: i64 = 100;
/// A calm large coin's second-to-second deviation, in millionths.
const VOLATILITY: u32 = 150;
/// What stands at the best price and what a small trade is worth, in quote currency.
const TOUCH_VALUE: i64 = 100_000;
const TRADE_VALUE: i64 = 500;
const TRADES_PER_SECOND: u32 = 14;

/// Prices of one day in the summer of 2024; thousandths.
const OPENS: [(&str, i64); 6] =
    [("BNBUSDT", 580_000), ("XRPUSDT", 570), ("DOGEUSDT", 104), ("ADAUSDT", 335), ("LINKUSDT", 10_400), ("LTCUSDT", 62_000)];

/// Opening price, volatility, quantity at the touch and of a trade (both in thousandths), trades a second.
const STANDARD: [(&str, i64, u32, i64, i64, u32); 3] =
    [("BTCUSDT", 61_800, 100, 4_500, 12, 18), ("ETHUSDT", 2_640, 130, 60_000, 200, 16), ("SOLUSDT", 154, 180, 400_000, 2_500, 14)];

impl SyntheticSymbol {
    /// The symbol of that name as a perpetual or on spot.
    #[must_use]
    pub fn named(kind: InstrumentKind, symbol: Symbol) -> Self {
        let instrument = instruments::bundled(kind, symbol).unwrap_or_else(|| instruments::inferred(kind, symbol, 2, 2));
        let name = symbol.as_str();
        if let Some((_, opens_at, volatility, touch, trade, trades)) = STANDARD.iter().find(|row| row.0 == name) {
            return Self {
                instrument,
                opens_at: Price(Decimal::new(*opens_at, 0)),
                volatility_millionths: *volatility,
                touch: Quantity(Decimal::new(*touch, 3).normalize()),
                trade: Quantity(Decimal::new(*trade, 3).normalize()),
                trades_per_second: *trades,
            };
        }
        let opens_at = OPENS.iter().find(|row| row.0 == name).map_or(Decimal::from(OPENS_AT), |row| Decimal::new(row.1, 3));
        let worth = |value: i64| instrument.quantity_down(Quantity(Decimal::from(value) / opens_at));
        Self {
            touch: worth(TOUCH_VALUE),
            trade: worth(TRADE_VALUE),
            opens_at: Price(opens_at),
            volatility_millionths: VOLATILITY,
            trades_per_second: TRADES_PER_SECOND,
            instrument,
        }
    }
}
