//! The filters of a spot symbol beyond its grid, as `exchangeInfo` shows them and admission applies them: one place for both. The
//! numbers are those of the venue's large symbols.

use rust_decimal::Decimal;

use crate::domain::instrument::Instrument;
use crate::domain::money::{Money, Price, Quantity, Ratio};

/// Basis points on one side of the market.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TrailingRange {
    pub min: u32,
    pub max: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub struct SpotFilters {
    /// PRICE_FILTER; zero is no bound.
    pub min_price: Price,
    pub max_price: Price,
    /// MARKET_LOT_SIZE.
    pub market_max_quantity: Quantity,
    /// ICEBERG_PARTS.
    pub iceberg_parts: u32,
    /// TRAILING_DELTA, above and below the market.
    pub trailing_above: TrailingRange,
    pub trailing_below: TrailingRange,
    /// PERCENT_PRICE_BY_SIDE.
    pub bid_up: Ratio,
    pub bid_down: Ratio,
    pub ask_up: Ratio,
    pub ask_down: Ratio,
    /// The minutes that the average price is of.
    pub average_minutes: u32,
    /// NOTIONAL; the minimum counts for market orders too, the maximum does not.
    pub min_notional: Money,
    pub max_notional: Money,
    /// MAX_NUM_ORDERS, stops included.
    pub max_orders: u32,
    /// MAX_NUM_ALGO_ORDERS.
    pub max_algo_orders: u32,
    /// MAX_NUM_ORDER_LISTS.
    pub max_lists: u32,
    /// MAX_NUM_ORDER_AMENDS.
    pub max_amends: u32,
    /// MAX_POSITION, where the symbol has one.
    pub max_position: Option<Quantity>,
}

/// A thousand million steps, as a perpetual without rules of its own has: no market comes near, and clients refuse a symbol
/// whose highest price is zero, although the venue lets zero mean none.
const PRICE_STEPS_MAX: i64 = 1_000_000_000;

const TRAILING: TrailingRange = TrailingRange { min: 10, max: 2_000 };

impl SpotFilters {
    #[must_use]
    pub fn of(instrument: &Instrument) -> Self {
        let band = instrument.price_band.0;
        let (up, down) = (Ratio(Decimal::ONE + band), Ratio((Decimal::ONE - band).max(Decimal::ZERO)));
        Self {
            min_price: instrument.price_step,
            max_price: Price(instrument.price_step.0 * Decimal::from(PRICE_STEPS_MAX)),
            market_max_quantity: instrument.max_quantity,
            iceberg_parts: 100,
            trailing_above: TRAILING,
            trailing_below: TRAILING,
            bid_up: up,
            bid_down: down,
            ask_up: up,
            ask_down: down,
            average_minutes: 5,
            min_notional: instrument.min_notional,
            max_notional: Money(Decimal::from(9_000_000)),
            max_orders: 200,
            max_algo_orders: 5,
            max_lists: 20,
            max_amends: 10,
            max_position: None,
        }
    }
}
