//! What a venue allows for a symbol: its grid, its size limits, its fees. Prices and quantities are checked and moved
//! onto the grid here and nowhere else. Inside the book and the matching engine they are whole ticks and lots.

use rust_decimal::{Decimal, RoundingStrategy};
use serde::{Deserialize, Serialize};

use super::ids::Symbol;
use super::money::{Money, Price, Quantity, Ratio};

/// A price as a whole number of price steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ticks(pub i64);

/// A quantity as a whole number of quantity steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Lots(pub i64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstrumentKind {
    /// Bought and sold outright: no leverage, no short.
    Spot,
    /// Linear perpetual (USD-M): margined, may be short.
    Perpetual,
}

/// One symbol's rules at one venue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Instrument {
    pub symbol: Symbol,
    pub kind: InstrumentKind,
    /// The currency the position is in (`BTC`), for people.
    pub base: String,
    /// The currency of prices, fees and profit (`USDT`).
    pub quote: String,
    /// PRICE_FILTER tickSize.
    pub price_step: Price,
    /// LOT_SIZE stepSize.
    pub quantity_step: Quantity,
    /// LOT_SIZE minQty and maxQty.
    pub min_quantity: Quantity,
    pub max_quantity: Quantity,
    /// MIN_NOTIONAL (USD-M) / NOTIONAL (spot); reduce-only orders are exempt on USD-M.
    pub min_notional: Money,
    /// PERCENT_PRICE: a buy may not be above `reference × (1 + band)`, a sell not below `reference × (1 − band)`.
    pub price_band: Ratio,
    pub maker_fee: Ratio,
    pub taker_fee: Ratio,
    pub max_leverage: u8,
}

/// Why a price or a quantity does not fit the instrument.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum GridError {
    #[error("{symbol}: price expected a positive multiple of {step}, found {found}")]
    Price { symbol: Symbol, step: Price, found: Price },
    #[error("{symbol}: quantity expected a multiple of {step} between {min} and {max}, found {found}")]
    Quantity { symbol: Symbol, step: Quantity, min: Quantity, max: Quantity, found: Quantity },
    #[error("{symbol}: order value expected at least {min}, found {found}")]
    Notional { symbol: Symbol, min: Money, found: Money },
}

impl Instrument {
    /// Whole ticks, or `None` when the price is not on the grid or does not fit.
    #[must_use]
    pub fn ticks(&self, price: Price) -> Option<Ticks> {
        whole_steps(price.0, self.price_step.0).map(Ticks)
    }

    /// Whole lots, or `None` when the quantity is not on the grid or does not fit.
    #[must_use]
    pub fn lots(&self, quantity: Quantity) -> Option<Lots> {
        whole_steps(quantity.0, self.quantity_step.0).map(Lots)
    }

    #[must_use]
    pub fn price(&self, ticks: Ticks) -> Price {
        Price(times(self.price_step.0, ticks.0))
    }

    #[must_use]
    pub fn quantity(&self, lots: Lots) -> Quantity {
        Quantity(times(self.quantity_step.0, lots.0))
    }

    /// The nearest price on the grid at or below `price`.
    #[must_use]
    pub fn price_down(&self, price: Price) -> Price {
        Price(round_to(price.0, self.price_step.0, RoundingStrategy::ToNegativeInfinity))
    }

    /// The nearest price on the grid at or above `price`.
    #[must_use]
    pub fn price_up(&self, price: Price) -> Price {
        Price(round_to(price.0, self.price_step.0, RoundingStrategy::ToPositiveInfinity))
    }

    /// The largest quantity on the grid that is not above `quantity`: sizes are never rounded up.
    #[must_use]
    pub fn quantity_down(&self, quantity: Quantity) -> Quantity {
        Quantity(round_to(quantity.0, self.quantity_step.0, RoundingStrategy::ToZero))
    }

    /// The largest quantity on the grid that `value` buys at `price`; zero where either is not positive.
    #[must_use]
    pub fn quantity_worth(&self, value: Money, price: Price) -> Quantity {
        if !value.is_positive() || !price.is_positive() {
            return Quantity::ZERO;
        }
        match lots_worth(value.0, price.0, self.quantity_step.0) {
            Some(lots) => self.quantity(Lots(lots)),
            None => self.quantity_down(value.units_at(price).unwrap_or_default()),
        }
    }

    /// # Errors
    /// When the price is not a positive multiple of the step.
    pub fn check_price(&self, price: Price) -> Result<Ticks, GridError> {
        self.ticks(price).filter(|ticks| ticks.0 > 0).ok_or(GridError::Price { symbol: self.symbol, step: self.price_step, found: price })
    }

    /// # Errors
    /// When the quantity is off the grid or outside LOT_SIZE.
    pub fn check_quantity(&self, quantity: Quantity) -> Result<Lots, GridError> {
        let inside = quantity >= self.min_quantity && quantity <= self.max_quantity && quantity.is_positive();
        self.lots(quantity).filter(|_| inside).ok_or(GridError::Quantity {
            symbol: self.symbol,
            step: self.quantity_step,
            min: self.min_quantity,
            max: self.max_quantity,
            found: quantity,
        })
    }

    /// # Errors
    /// When the order is worth less than the venue takes and does not only reduce.
    pub fn check_notional(&self, value: Money, reduce_only: bool) -> Result<(), GridError> {
        if reduce_only || value >= self.min_notional {
            return Ok(());
        }
        Err(GridError::Notional { symbol: self.symbol, min: self.min_notional, found: value })
    }
}

fn whole_steps(value: Decimal, step: Decimal) -> Option<i64> {
    if let Some((value, step)) = on_one_scale(value, step) {
        return (value % step == 0).then(|| value / step);
    }
    let steps = value.checked_div(step)?;
    if !steps.fract().is_zero() {
        return None;
    }
    i64::try_from(steps.trunc()).ok()
}

/// Both as whole numbers of the finer of their scales, where they fit, which they do for every real symbol: a division of
/// Decimals costs ten times as much. `None` for a step of zero, too.
fn on_one_scale(value: Decimal, step: Decimal) -> Option<(i64, i64)> {
    let scale = value.scale().max(step.scale());
    let raised = |number: Decimal| i64::try_from(number.mantissa()).ok()?.checked_mul(10_i64.checked_pow(scale - number.scale())?);
    Some((raised(value)?, raised(step).filter(|step| *step > 0)?))
}

/// Whole steps that a value comes to, in whole numbers where they fit, which they do for every real symbol: two divisions of
/// Decimals cost ten times as much, and round the first of them.
fn lots_worth(value: Decimal, price: Decimal, step: Decimal) -> Option<i64> {
    let (bought, lot) = (value.mantissa(), price.mantissa().checked_mul(step.mantissa())?);
    let digits = (price.scale() + step.scale()).checked_sub(value.scale());
    let (bought, lot) = match digits {
        Some(more) => (bought.checked_mul(10_i128.checked_pow(more)?)?, lot),
        None => (bought, lot.checked_mul(10_i128.checked_pow(value.scale() - price.scale() - step.scale())?)?),
    };
    i64::try_from(bought.checked_div(lot)?).ok()
}

/// `step × n` without a Decimal multiplication where the mantissas fit, which they do for every real symbol.
fn times(step: Decimal, n: i64) -> Decimal {
    i64::try_from(step.mantissa())
        .ok()
        .and_then(|mantissa| mantissa.checked_mul(n))
        .map_or_else(|| step * Decimal::from(n), |mantissa| Decimal::new(mantissa, step.scale()))
}

fn round_to(value: Decimal, step: Decimal, strategy: RoundingStrategy) -> Decimal {
    match value.checked_div(step) {
        Some(steps) => steps.round_dp_with_strategy(0, strategy) * step,
        None => value,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_value_buys_as_many_whole_lots_as_it_pays_for(
            value in 1_i64..1_000_000_000, price in 1_i64..10_000_000, scales in (0_u32..9, 0_u32..9, 0_u32..9)
        ) {
            let (value, price, step) = (Decimal::new(value, scales.0), Decimal::new(price, scales.1), Decimal::new(1, scales.2));
            let lots = lots_worth(value, price, step).expect("numbers of this size fit");
            let worth = |lots: i64| price * step * Decimal::from(lots);
            prop_assert!(worth(lots) <= value && value < worth(lots + 1), "{lots} lots of {step} at {price} for {value}");
        }
    }

    #[test]
    fn what_does_not_fit_whole_numbers_is_left_to_decimals() {
        assert_eq!(lots_worth(Decimal::MAX, Decimal::new(1, 8), Decimal::new(1, 8)), None);
    }
}
