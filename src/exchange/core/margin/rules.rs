//! What USD-M allows on a symbol beyond its grid: the price filter's ends, the largest market order, protection thresholds,
//! the liquidation fee, the funding interval and the maintenance brackets. A bundled table in the venue's numbers, and
//! careful ones for symbols that it does not have. Plain data.

use rust_decimal::Decimal;

use crate::domain::instrument::Instrument;
use crate::domain::money::{Money, Price, Quantity, Ratio};

/// One step of `GET /fapi/v1/leverageBracket`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bracket {
    /// From 1.
    pub bracket: u32,
    /// The highest leverage up to `notional_cap`.
    pub leverage_max: u8,
    pub notional_floor: Money,
    pub notional_cap: Money,
    pub maintenance: Ratio,
    /// Maintenance margin is `notional × maintenance − cumulative`, which makes it continuous over the brackets.
    pub cumulative: Money,
}

/// A perpetual's rules. The price grid starts at zero: every bundled `price_min` is a multiple of its step, so the venue's
/// `(price − minPrice) % tickSize` and the instrument's grid are one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PerpetualRules {
    /// PRICE_FILTER minPrice and maxPrice.
    pub price_min: Price,
    pub price_max: Price,
    /// MARKET_LOT_SIZE maxQty.
    pub market_quantity_max: Quantity,
    /// `triggerProtect`: how far last and mark price may be apart for a protected trigger to fire.
    pub trigger_protect: Ratio,
    /// `marketTakeBound`: how far from the mark a market order may trade.
    pub market_take_bound: Ratio,
    /// `liquidationFee`, a share of what is liquidated; it goes to the insurance fund.
    pub liquidation_fee: Ratio,
    pub funding_hours: u32,
    /// Ascending.
    pub brackets: Vec<Bracket>,
}

struct Row {
    symbol: &'static str,
    price_min: &'static str,
    price_max: &'static str,
    market_quantity_max: &'static str,
    brackets: Table,
}

/// `(leverage_max, notional_cap in thousands, maintenance in hundredths of a percent)`.
type Table = &'static [(u8, i64, i64)];

const BTC: Table = &[
    (125, 300, 40),
    (100, 800, 50),
    (75, 3_000, 65),
    (50, 12_000, 100),
    (25, 70_000, 200),
    (20, 100_000, 250),
    (10, 230_000, 500),
    (5, 480_000, 1_000),
    (4, 600_000, 1_250),
    (3, 800_000, 1_500),
    (2, 1_200_000, 2_500),
    (1, 1_800_000, 5_000),
];

const LARGE: Table = &[
    (100, 600, 50),
    (75, 1_600, 65),
    (50, 4_000, 100),
    (25, 24_000, 200),
    (20, 50_000, 250),
    (10, 80_000, 500),
    (5, 160_000, 1_000),
    (4, 320_000, 1_250),
    (3, 400_000, 1_500),
    (2, 530_000, 2_500),
    (1, 800_000, 5_000),
];

const MIDDLE: Table = &[
    (75, 50, 100),
    (50, 150, 150),
    (25, 2_000, 200),
    (20, 10_000, 250),
    (10, 20_000, 500),
    (5, 40_000, 1_000),
    (4, 50_000, 1_250),
    (3, 70_000, 1_667),
    (2, 100_000, 2_500),
    (1, 150_000, 5_000),
];

/// For symbols of which only the grid is known: no more than 20 times.
const SMALL: Table = &[(20, 5_000, 250), (10, 10_000, 500), (5, 20_000, 1_000), (2, 40_000, 2_500), (1, 80_000, 5_000)];

const fn row(
    symbol: &'static str,
    price_min: &'static str,
    price_max: &'static str,
    market_quantity_max: &'static str,
    brackets: Table,
) -> Row {
    Row { symbol, price_min, price_max, market_quantity_max, brackets }
}

/// PRICE_FILTER and MARKET_LOT_SIZE of `GET /fapi/v1/exchangeInfo`.
const ROWS: [Row; 9] = [
    row("BTCUSDT", "556.80", "4529764", "120", BTC),
    row("ETHUSDT", "39.86", "306177", "2000", LARGE),
    row("SOLUSDT", "0.4200", "6857", "5000", LARGE),
    row("BNBUSDT", "6.600", "100000", "2000", MIDDLE),
    row("XRPUSDT", "0.0143", "100000", "2000000", MIDDLE),
    row("DOGEUSDT", "0.002440", "30", "30000000", MIDDLE),
    row("ADAUSDT", "0.01740", "20000", "1300000", MIDDLE),
    row("LINKUSDT", "0.464", "100000", "20000", MIDDLE),
    row("LTCUSDT", "3.61", "100000", "5000", MIDDLE),
];

impl PerpetualRules {
    /// The bundled rules of the instrument's symbol, or wide ones that follow from the instrument.
    #[must_use]
    pub fn of(instrument: &Instrument) -> Self {
        let row = ROWS.iter().find(|row| row.symbol == instrument.symbol.as_str());
        // A recording may have a finer or coarser grid than the bundled one: then the instrument's own step is the least price.
        let bundled = row.filter(|row| instrument.ticks(Price(number(row.price_min))).is_some());
        let ratio = |mantissa, scale| Ratio(Decimal::new(mantissa, scale));
        Self {
            price_min: bundled.map_or(instrument.price_step, |row| Price(number(row.price_min))),
            price_max: bundled
                .map_or(Price(instrument.price_step.0 * Decimal::from(1_000_000_000_i64)), |row| Price(number(row.price_max))),
            market_quantity_max: bundled.map_or(instrument.max_quantity, |row| Quantity(number(row.market_quantity_max))),
            trigger_protect: ratio(5, 2),
            market_take_bound: ratio(5, 2),
            liquidation_fee: ratio(125, 4),
            funding_hours: 8,
            brackets: brackets(bundled.map_or(SMALL, |row| row.brackets), instrument.max_leverage),
        }
    }

    /// The bracket that a notional value falls into; what is beyond the last one counts as the last.
    #[must_use]
    pub fn bracket(&self, notional: Decimal) -> &Bracket {
        let last = self.brackets.len() - 1;
        let at = self.brackets.iter().position(|bracket| notional <= bracket.notional_cap.0).unwrap_or(last);
        // Invariant: no table is empty.
        &self.brackets[at]
    }

    /// What a position of this absolute value must keep.
    #[must_use]
    pub fn maintenance(&self, notional: Decimal) -> Decimal {
        let bracket = self.bracket(notional);
        notional * bracket.maintenance.0 - bracket.cumulative.0
    }

    /// The most that a position and its orders may be worth at this leverage.
    #[must_use]
    pub fn notional_max(&self, leverage: u8) -> Money {
        let carried = self.brackets.iter().rev().find(|bracket| bracket.leverage_max >= leverage);
        carried.map_or(Money::ZERO, |bracket| bracket.notional_cap)
    }
}

fn brackets(table: Table, leverage_max: u8) -> Vec<Bracket> {
    let mut brackets: Vec<Bracket> = Vec::with_capacity(table.len());
    for (place, (leverage, cap, maintenance)) in table.iter().enumerate() {
        let maintenance = Decimal::new(*maintenance, 4);
        let (floor, cumulative) = brackets.last().map_or((Decimal::ZERO, Decimal::ZERO), |below| {
            let floor = below.notional_cap.0;
            (floor, below.cumulative.0 + floor * (maintenance - below.maintenance.0))
        });
        brackets.push(Bracket {
            bracket: place as u32 + 1,
            leverage_max: (*leverage).min(leverage_max.max(1)),
            notional_floor: Money(floor),
            notional_cap: Money(Decimal::from(*cap) * Decimal::from(1_000)),
            maintenance: Ratio(maintenance),
            cumulative: Money(cumulative),
        });
    }
    brackets
}

/// Invariant: every text in the table is a decimal, which a test holds.
fn number(text: &str) -> Decimal {
    text.parse().expect("a decimal in the bundled table")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::instrument::InstrumentKind;
    use crate::exchange::instruments;

    #[test]
    fn every_bundled_perpetual_has_rules_of_its_own_on_its_grid() {
        for instrument in instruments::all(InstrumentKind::Perpetual) {
            let rules = PerpetualRules::of(&instrument);
            assert!(ROWS.iter().any(|row| row.symbol == instrument.symbol.as_str()), "{}", instrument.symbol);
            assert!(rules.price_min > instrument.price_step, "{}", instrument.symbol);
            assert!(instrument.ticks(rules.price_min).is_some() && instrument.ticks(rules.price_max).is_some());
            assert!(rules.market_quantity_max <= instrument.max_quantity);
            assert_eq!(rules.brackets[0].leverage_max, instrument.max_leverage, "{}", instrument.symbol);
        }
    }

    #[test]
    fn maintenance_margin_has_no_step_between_brackets() {
        let instrument = instruments::all(InstrumentKind::Perpetual).remove(0);
        let rules = PerpetualRules::of(&instrument);
        for pair in rules.brackets.windows(2) {
            let at = pair[0].notional_cap.0;
            let above = at * pair[1].maintenance.0 - pair[1].cumulative.0;
            assert_eq!(rules.maintenance(at), above, "bracket {}", pair[1].bracket);
            assert!(pair[0].leverage_max > pair[1].leverage_max && pair[0].maintenance < pair[1].maintenance);
            // Whoever is at the highest leverage still has more than must be kept.
            assert!(pair[1].maintenance.0 * Decimal::from(pair[1].leverage_max) < Decimal::ONE);
        }
        assert_eq!(rules.notional_max(20), Money(Decimal::from(100_000_000)));
        assert_eq!(rules.notional_max(21), Money(Decimal::from(70_000_000)));
    }
}
