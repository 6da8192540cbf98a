//! The instruments that come with Ringfence, and instruments made from what a recording shows. Live trading takes the
//! venue's own exchangeInfo instead; these are for the exchange carried inside, for backtests and for recordings.

use rust_decimal::Decimal;

use crate::domain::ids::Symbol;
use crate::domain::instrument::{Instrument, InstrumentKind};
use crate::domain::money::{Money, Price, Quantity, Ratio};

/// One bundled instrument, in the venue's spelling.
struct Row {
    base: &'static str,
    price_step: &'static str,
    quantity_step: &'static str,
    max_quantity: &'static str,
    min_notional: &'static str,
    max_leverage: u8,
}

const fn row(
    base: &'static str,
    price_step: &'static str,
    quantity_step: &'static str,
    max_quantity: &'static str,
    min_notional: &'static str,
    max_leverage: u8,
) -> Row {
    Row { base, price_step, quantity_step, max_quantity, min_notional, max_leverage }
}

const QUOTE: &str = "USDT";

/// PRICE_FILTER, LOT_SIZE and MIN_NOTIONAL of `GET /fapi/v1/exchangeInfo`; the smallest quantity is one step for all of them.
const PERPETUALS: [Row; 9] = [
    row("BTC", "0.10", "0.001", "1000", "100", 125),
    row("ETH", "0.01", "0.001", "10000", "20", 100),
    row("SOL", "0.0100", "0.01", "1000000", "5", 100),
    row("BNB", "0.010", "0.01", "100000", "5", 75),
    row("XRP", "0.0001", "0.1", "10000000", "5", 75),
    row("DOGE", "0.000010", "1", "50000000", "5", 75),
    row("ADA", "0.00010", "1", "6000000", "5", 75),
    row("LINK", "0.001", "0.01", "100000", "20", 75),
    row("LTC", "0.01", "0.001", "10000", "20", 75),
];

/// The same of `GET /api/v3/exchangeInfo`.
const SPOT: [Row; 9] = [
    row("BTC", "0.01", "0.00001", "9000", "5", 1),
    row("ETH", "0.01", "0.0001", "9000", "5", 1),
    row("SOL", "0.01", "0.001", "90000", "5", 1),
    row("BNB", "0.01", "0.001", "900000", "5", 1),
    row("XRP", "0.0001", "0.1", "9222449", "5", 1),
    row("DOGE", "0.00001", "1", "9000000", "5", 1),
    row("ADA", "0.0001", "0.1", "900000", "5", 1),
    row("LINK", "0.01", "0.01", "90000", "5", 1),
    row("LTC", "0.01", "0.001", "900000", "5", 1),
];

/// The bundled instrument of a symbol, if there is one.
#[must_use]
pub fn bundled(kind: InstrumentKind, symbol: Symbol) -> Option<Instrument> {
    let base = symbol.as_str().strip_suffix(QUOTE)?;
    rows(kind).iter().find(|row| row.base == base).map(|row| instrument(kind, symbol, row))
}

/// Every bundled instrument of a kind.
#[must_use]
pub fn all(kind: InstrumentKind) -> Vec<Instrument> {
    let symbols = rows(kind).iter().filter_map(|row| Some((Symbol::new(&format!("{}{QUOTE}", row.base)).ok()?, row)));
    symbols.map(|(symbol, row)| instrument(kind, symbol, row)).collect()
}

/// An instrument for a symbol of which only the digits of its prices and quantities are known. Its limits are wide, its fees
/// are those of a new account.
#[must_use]
pub fn inferred(kind: InstrumentKind, symbol: Symbol, price_decimals: u32, quantity_decimals: u32) -> Instrument {
    let (base, quote) = split(symbol);
    let quantity_step = Decimal::new(1, quantity_decimals);
    let max_leverage = if kind == InstrumentKind::Spot { 1 } else { 20 };
    let fees = Fees::of(kind);
    Instrument {
        symbol,
        kind,
        base,
        quote: quote.to_owned(),
        price_step: Price(Decimal::new(1, price_decimals)),
        quantity_step: Quantity(quantity_step),
        min_quantity: Quantity(quantity_step),
        // Binance's own largest LOT_SIZE is of this order.
        max_quantity: Quantity(Decimal::from(10_000_000)),
        min_notional: Money(Decimal::from(5)),
        price_band: fees.price_band,
        maker_fee: fees.maker,
        taker_fee: fees.taker,
        max_leverage,
    }
}

fn rows(kind: InstrumentKind) -> &'static [Row] {
    match kind {
        InstrumentKind::Spot => &SPOT,
        InstrumentKind::Perpetual => &PERPETUALS,
    }
}

fn instrument(kind: InstrumentKind, symbol: Symbol, row: &Row) -> Instrument {
    let quantity_step = Quantity(number(row.quantity_step));
    Instrument {
        base: row.base.to_owned(),
        quote: QUOTE.to_owned(),
        price_step: Price(number(row.price_step)),
        quantity_step,
        min_quantity: quantity_step,
        max_quantity: Quantity(number(row.max_quantity)),
        min_notional: Money(number(row.min_notional)),
        max_leverage: row.max_leverage,
        ..inferred(kind, symbol, 0, 0)
    }
}

/// Invariant: every text in the tables is a decimal, which a test holds.
fn number(text: &str) -> Decimal {
    text.parse().expect("a decimal in the bundled table")
}

/// What a new account pays (VIP 0, no discount), and the PERCENT_PRICE band.
struct Fees {
    maker: Ratio,
    taker: Ratio,
    price_band: Ratio,
}

impl Fees {
    fn of(kind: InstrumentKind) -> Self {
        let ratio = |mantissa, scale| Ratio(Decimal::new(mantissa, scale));
        match kind {
            // PERCENT_PRICE_BY_SIDE lets a price be a fifth to five times the average; the narrower side counts for both.
            InstrumentKind::Spot => Self { maker: ratio(1, 3), taker: ratio(1, 3), price_band: ratio(8, 1) },
            InstrumentKind::Perpetual => Self { maker: ratio(2, 4), taker: ratio(5, 4), price_band: ratio(5, 2) },
        }
    }
}

/// Quote currencies that a symbol may end with, longer ones before those that they end with.
pub(crate) const QUOTES: [&str; 12] = ["FDUSD", "USDT", "USDC", "BUSD", "TUSD", "USD1", "USDS", "BTC", "ETH", "BNB", "EUR", "TRY"];

/// Base and quote of a symbol; of an unknown quote, the whole is the base.
fn split(symbol: Symbol) -> (String, &'static str) {
    let name = symbol.as_str();
    for quote in QUOTES {
        if let Some(base) = name.strip_suffix(quote).filter(|base| !base.is_empty()) {
            return (base.to_owned(), quote);
        }
    }
    (name.to_owned(), QUOTE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::venues::grid::Grid;

    #[test]
    fn every_bundled_instrument_has_a_grid_and_limits_on_it() {
        for kind in [InstrumentKind::Spot, InstrumentKind::Perpetual] {
            for instrument in all(kind) {
                Grid::of(&instrument).unwrap();
                assert_eq!(bundled(kind, instrument.symbol), Some(instrument.clone()));
                assert!(instrument.check_quantity(instrument.min_quantity).is_ok(), "{}", instrument.symbol);
                assert!(instrument.check_quantity(instrument.max_quantity).is_ok(), "{}", instrument.symbol);
                assert!(instrument.taker_fee >= instrument.maker_fee);
            }
        }
    }

    #[test]
    fn bitcoin_has_the_venues_filters() {
        let symbol = Symbol::new("BTCUSDT").unwrap();
        let perpetual = bundled(InstrumentKind::Perpetual, symbol).unwrap();
        assert_eq!((perpetual.price_step.to_string(), perpetual.quantity_step.to_string()), ("0.1".into(), "0.001".into()));
        let spot = bundled(InstrumentKind::Spot, symbol).unwrap();
        assert_eq!((spot.price_step.to_string(), spot.quantity_step.to_string()), ("0.01".into(), "0.00001".into()));
        assert_eq!(bundled(InstrumentKind::Spot, Symbol::new("NEWUSDT").unwrap()), None);
    }

    #[test]
    fn an_unknown_symbol_gets_a_grid_of_its_digits() {
        let instrument = inferred(InstrumentKind::Spot, Symbol::new("PEPEFDUSD").unwrap(), 8, 0);
        assert_eq!((instrument.base.as_str(), instrument.quote.as_str()), ("PEPE", "FDUSD"));
        assert_eq!(instrument.price_step.to_string(), "0.00000001");
        assert_eq!(instrument.quantity_step.to_string(), "1");
    }
}
